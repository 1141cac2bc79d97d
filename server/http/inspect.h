/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a finished job's inputs beside its delta: what all routes have in common that do so. */
#ifndef KEND_HTTP_INSPECT_H
#define KEND_HTTP_INSPECT_H

#include "http/job_answer.h"
#include "inspect/pair.h"

/* What is looked at: the beginning of what a route asks for, which is freed as a whole. */
struct kend_inspection {
    char *tensor;
    char variant[KEN_MAX_VARIANT_NAME + 1]; /* "" of a job that has none */
    bool row;                               /* a whole row, else single values: what memory it takes */
    /* Looks, with everything open, on any thread; the request is out of reach. What it finds counts only if it is answered. */
    int (*look)(struct kend_inspection *inspection, const struct ken_pair *pair, struct ken_error *error);
    enum MHD_Result (*answer)(struct kend_inspection *inspection, struct kend_request *request);
    void (*clear)(struct kend_inspection *inspection); /* all but its own memory and the tensor */
};

/* Reads `tensor` and `variant` of a request for the path's job. False: it was answered. */
bool kend_inspection_read(struct kend_inspection *inspection, struct kend_request *request, const struct kend_job *job,
                          enum MHD_Result *result);
/*
 * Opens the job's delta, and its inputs if they are the very bytes that it had, and has them looked at, and answers: at once where their
 * headers are small, else on a thread of its own (http/task.h), after which the handler is called again and calls kend_inspect_again.
 * Takes the inspection over, a block of memory, and *job.
 */
enum MHD_Result kend_inspect(struct kend_request *request, struct kend_job **job, struct kend_inspection *inspection);
enum MHD_Result kend_inspect_again(struct kend_request *request);
void kend_inspection_free(struct kend_inspection *inspection);

/* The picture of view "row", for the handler of heatmap.png; takes *job over. */
enum MHD_Result kend_answer_row_picture(struct kend_request *request, struct kend_job **job);

#endif
