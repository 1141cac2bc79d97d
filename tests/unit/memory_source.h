/* SPDX-License-Identifier: Apache-2.0 */
/* Files in memory as sources and an opener, for unit tests and fuzzing: without Check, which writes each assertion into a file. */
#ifndef KEN_TESTS_MEMORY_SOURCE_H
#define KEN_TESTS_MEMORY_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

/* files[0] is the location itself, the others lie beside it; with is_folder, all lie in it. */
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
