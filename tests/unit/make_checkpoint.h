/* SPDX-License-Identifier: Apache-2.0 */
/* Small checkpoints for tests, well-formed or not, in memory or on disk. Failures of the helpers fail the test. */
#ifndef KEN_TESTS_MAKE_CHECKPOINT_H
#define KEN_TESTS_MAKE_CHECKPOINT_H

#include "checkpoint/checkpoint.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

struct made_file {
    unsigned char *bytes; /* to be freed */
    size_t length;
};

struct make_tensor {
    const char *name;
    const char *dtype;
    const char *shape; /* as in the header: "[2,3]" */
    const void *data;  /* [length]; NULL: bytes that depend on the name and their place */
    size_t length;
};

/* Any header [header_length] and any data [data_length], with the header's true length in front. */
struct made_file make_raw(const char *header, size_t header_length, const void *data, size_t data_length);
/* A well-formed file of these tensors one behind the other, its header padded to 8. metadata_json: an object, or NULL. */
struct made_file make_safetensors(const char *metadata_json, const struct make_tensor *tensors, size_t count);

/* On disk; the folder is mostly that of folder.h. */
void write_file(const char *folder, const char *name, const void *bytes, size_t length);
/* make_safetensors to folder/name. */
void write_safetensors(const char *folder, const char *name, const char *metadata_json, const struct make_tensor *tensors, size_t count);
/* All of a file. */
struct made_file read_file(const char *folder, const char *name);

/* Files in memory as an opener: files[0] is the location itself, the others lie beside it; with is_folder, all lie in it. */
struct memory_file {
    const char *name;
    const void *bytes;
    size_t length;
};
struct memory_opener {
    struct ken_opener opener;
    const struct memory_file *files; /* [count] */
    size_t count;
    int open_sources;           /* not closed yet */
    int fail_open;              /* a code that every open fails with, or 0 */
    size_t reads, fail_read_at; /* the fail_read_at-th read (from 1) fails with KEN_EIO; 0: none */
};
struct memory_opener make_opener(const struct memory_file *files, size_t count, bool is_folder);

/* Opens one file in memory, with default limits where NULL. */
int open_memory(struct ken_checkpoint **checkpoint, const void *bytes, size_t length, const struct ken_checkpoint_limits *limits,
                struct ken_error *error);

#endif
