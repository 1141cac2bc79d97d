/* SPDX-License-Identifier: Apache-2.0 */
/* Where bytes come from: the interface between the pruning of a pair and whoever holds or fetches its files. */
#ifndef KEN_SOURCE_H
#define KEN_SOURCE_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct ken_source;
struct stat;

/* All functions may block, and except for `close` may be called from several threads at once. Each returns 0 or an error code. */
struct ken_source_ops {
    /* Blocks until bytes [offset, offset + length) can be read without waiting. NULL: they always can. Asking also tells what is wanted
     * next. */
    int (*wait)(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error);
    /* Reads exactly `length` bytes; the caller has waited for them and stays within size. */
    int (*read)(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error);
    /* SHA-256 of the whole file, waiting for it where it is still coming in. NULL, or KEN_ENOT_FOUND: not known, the reader hashes for
     * itself. */
    int (*digest)(struct ken_source *source, unsigned char sha256[32], struct ken_error *error);
    /* Fails with KEN_EFETCH if the file is not the one that was opened (size, mtime or inode changed). */
    int (*check)(struct ken_source *source, struct ken_error *error);
    void (*close)(struct ken_source *source);
};

enum { KEN_STATE_SIZE = 32 };

struct ken_source {
    const struct ken_source_ops *ops;
    uint64_t size;     /* bytes */
    bool tells_digest; /* its `digest` will be known at the end: whoever reads need not hash the whole */
    /*
     * Tells this state of the file from any other that was or will be at its place: what was made of a part of it before a crash may be
     * used after it only if both are the same. Not known: nothing made of it is taken up.
     */
    bool has_state;
    unsigned char state[KEN_STATE_SIZE];
};

/* Makes state stand for all that bytes [length] say; out of memory it stays unknown. */
void ken_source_set_state(struct ken_source *source, const void *bytes, size_t length);
/* As above for a regular file: its inode, size and time of modification. */
void ken_source_set_file_state(struct ken_source *source, const struct stat *status);

int ken_source_wait(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error);
/* The same of an input that errors are to name: "base: ...". */
int ken_source_wait_named(struct ken_source *source, const char *input, uint64_t offset, uint64_t length, struct ken_error *error);
int ken_source_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error);
int ken_source_digest(struct ken_source *source, unsigned char sha256[32], struct ken_error *error);
int ken_source_check(struct ken_source *source, struct ken_error *error);
/* Closes *source and sets it to NULL; nothing if it is NULL. */
void ken_source_close(struct ken_source **source);

/* A regular file, read with pread, never mapped. The caller owns *source. KEN_ENOT_FOUND if there is none, KEN_EIO if it is no regular
 * file. */
int ken_file_source_open(struct ken_source **source, const char *path, struct ken_error *error);

/* Finds the files of one checkpoint by name: a folder on disk, or a URL's folder. The implementor embeds it. */
struct ken_opener {
    /*
     * Opens `name` (relative, vetted: no "..", no leading '/', no scheme, no control characters) beside the location, or the location
     * itself where name is NULL. The source belongs to the caller. KEN_ENOT_FOUND where there is none: probing goes on with the next name.
     */
    int (*open)(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error);
    bool is_folder;    /* probe for the usual names instead of opening the location itself */
    const char *only;  /* the one name to probe for in place of them; NULL: the usual ones */
    const char *label; /* what messages call the location, a file or a folder; NULL: model.safetensors or its index, "here" */
};

#endif
