/* SPDX-License-Identifier: Apache-2.0 */
/* What pictures and comparisons are made from: a job's delta, and the cells beside it. */
#ifndef KEND_HTTP_PICTURE_FILES_H
#define KEND_HTTP_PICTURE_FILES_H

#include "delta/delta.h"
#include "http/request.h"

enum { KEND_PICTURE_ETAG_SIZE = 2 * 16 + 3 };

/* Descriptors; -1: none. */
struct kend_picture_files {
    int cells, delta;
    uint64_t cells_bytes, delta_bytes;
};

/* What is said where a job has none. */
#define KEND_NO_PICTURE_FILES "of this job there is no delta with what pictures are made of"

/* variant "" of a job that has none. To be closed also after a failure: as of artifacts->ops->open. */
int kend_picture_files_open(struct kend_picture_files *files, struct kend_artifacts *artifacts, const char *job, const char *variant,
                            struct ken_error *error);
void kend_picture_files_close(struct kend_picture_files *files);
/* Bytes that opening the delta itself takes at most: its header, some times over. */
int kend_picture_files_delta_bytes(const struct kend_picture_files *files, uint64_t *bytes, struct ken_error *error);
/* Opens the delta, which borrows the files' descriptor. */
int kend_picture_files_delta(const struct kend_picture_files *files, struct ken_delta **delta, struct ken_error *error);
/* The tag of what never changes while its job is there: of the job and all that was asked for. False if out of memory. */
bool kend_picture_etag(char etag[KEND_PICTURE_ETAG_SIZE], const struct kend_request *request);

#endif
