/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a finished job's inputs beside its delta, while the request waits: what all routes have in common that do so. */
#ifndef KEND_HTTP_INSPECT_H
#define KEND_HTTP_INSPECT_H

#include "http/job_answer.h"
#include "inspect/pair.h"

/* What is looked at. */
struct kend_inspection {
    const char *tensor;
    char variant[KEN_MAX_VARIANT_NAME + 1]; /* "" of a job that has none */
    bool row;                               /* a whole row, else single values: what memory it takes */
    /* Looks, with everything open. What it finds counts only if kend_inspect is true in the end. */
    int (*look)(void *opaque, const struct ken_pair *pair, struct ken_error *error);
    void *opaque;
};

/* Reads `tensor` and `variant` of a request for the path's job. False: it was answered. */
bool kend_inspection_read(struct kend_inspection *inspection, struct kend_request *request, const struct kend_job *job,
                          enum MHD_Result *result);
/*
 * Opens the job's delta, and its inputs if they are the very bytes that it had, and has them looked at. False: it was answered. What it
 * takes of http.max_memory is the caller's to let go of (kend_request_let_go_document), when the answer is made.
 */
bool kend_inspect(struct kend_request *request, const struct kend_job *job, const struct kend_inspection *inspection,
                  enum MHD_Result *result);

/* The picture of view "row", for the handler of heatmap.png; job: borrowed. */
enum MHD_Result kend_answer_row_picture(struct kend_request *request, const struct kend_job *job);

#endif
