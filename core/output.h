/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is written front to back, and its SHA-256: made by the writer, or beside it by a follower on another thread. */
#ifndef KEN_OUTPUT_H
#define KEN_OUTPUT_H

#include "folder.h"

#include <pthread.h>

enum { KEN_OUTPUT_BUFFER = 65536 };

/* Tells a follower how far the writer is. */
struct ken_follow {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t written; /* bytes */
    bool ended;
};

void ken_follow_init(struct ken_follow *follow);
void ken_follow_destroy(struct ken_follow *follow);
/* Nothing more will be written, for whatever reason: to be called once the output is closed or abandoned. */
void ken_follow_end(struct ken_follow *follow);
/* SHA-256 of all that is written to the file `path` below directory until then. `cancelled` is asked now and then. */
int ken_follow_digest(struct ken_follow *follow, int directory, const char *path, bool (*cancelled)(void *opaque), void *opaque,
                      unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error);

/* Zeroed: none. */
struct ken_output_file {
    int file;
    char path[KEN_PATH_SIZE];
    unsigned char *buffer; /* [KEN_OUTPUT_BUFFER] */
    size_t used;
    uint64_t size;             /* bytes so far */
    struct ken_digest digest;  /* none if there is a follower */
    struct ken_follow *follow; /* or NULL */
};

/* follow: who makes the digest, borrowed until the output is closed or abandoned; or NULL. */
int ken_output_create(struct ken_output_file *output, int directory, const char *path, struct ken_follow *follow, struct ken_error *error);
int ken_output_write(struct ken_output_file *output, const void *bytes, uint64_t length, struct ken_error *error);
/* Writes what is left, syncs if durable, closes. The output is none afterwards, also on failure. sha256: NULL if there is a follower. */
int ken_output_close(struct ken_output_file *output, bool durable, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error);
/* Closes and leaves what there is; nothing if it is none. */
void ken_output_abandon(struct ken_output_file *output);

#endif
