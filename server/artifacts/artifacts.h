/* SPDX-License-Identifier: Apache-2.0 */
/* Where finished files live: a const table of functions behind one header; a folder now, an S3-compatible store later. */
#ifndef KEND_ARTIFACTS_H
#define KEND_ARTIFACTS_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct kend_artifacts;
struct kend_artifacts_ops {
    void (*close)(struct kend_artifacts *artifacts);
    /* Opens (and makes) the job's working folder, on the file system where its files will be published: a descriptor for the caller to
     * close, or an error code. */
    int (*work)(struct kend_artifacts *artifacts, const char *job, int *directory, struct ken_error *error);
    /* Publishes the working folder's sub-folder `out` as the job's artifacts in one atomic step, durable when it returns. Again after it
     * was done: 0. */
    int (*publish)(struct kend_artifacts *artifacts, const char *job, struct ken_error *error);
    /* Whether the job's artifacts are in sight. */
    bool (*published)(struct kend_artifacts *artifacts, const char *job);
    /* Opens a published file by its name as listed (or an internal one below ".kend/"); the name never leaves the job's folder.
     * KEN_ENOT_FOUND. */
    int (*open)(struct kend_artifacts *artifacts, const char *job, const char *name, int *file, uint64_t *size, struct ken_error *error);
    /* Removes the working folder; nothing if there is none. */
    int (*clear_work)(struct kend_artifacts *artifacts, const char *job, struct ken_error *error);
    /* Removes artifacts and working folder, out of sight first. */
    int (*remove)(struct kend_artifacts *artifacts, const char *job, struct ken_error *error);
    /* Calls visit for every job id that has something here: whatever has no row is removed at start. */
    int (*each)(struct kend_artifacts *artifacts, void (*visit)(void *opaque, const char *job), void *opaque, struct ken_error *error);
    /* Bytes free for new artifacts, and which file system that is (st_dev), so that needs on the same one add up. */
    int (*free_bytes)(struct kend_artifacts *artifacts, uint64_t *bytes, uint64_t *device, struct ken_error *error);
    /* Bytes of disk that a job's artifacts and working folder take; those of all jobs if `job` is NULL. */
    int (*used_bytes)(struct kend_artifacts *artifacts, const char *job, uint64_t *bytes, struct ken_error *error);
};
struct kend_artifacts {
    const struct kend_artifacts_ops *ops;
};

/* "file:PATH"; the folder is made if missing. */
int kend_artifacts_open(struct kend_artifacts **artifacts, const char *url, struct ken_error *error);
void kend_artifacts_close(struct kend_artifacts **artifacts);

#endif
