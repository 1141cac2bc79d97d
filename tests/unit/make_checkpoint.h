/* SPDX-License-Identifier: Apache-2.0 */
/* Small checkpoints for tests, well-formed or not, in memory or on disk. Failures of the helpers fail the test. */
#ifndef KEN_TESTS_MAKE_CHECKPOINT_H
#define KEN_TESTS_MAKE_CHECKPOINT_H

#include "memory_source.h"

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

#endif
