/* SPDX-License-Identifier: Apache-2.0 */
/* What kept a job's files from being looked at, as a problem. */
#ifndef KEND_HTTP_FAILURE_H
#define KEND_HTTP_FAILURE_H

#include "http/respond.h"

struct kend_failure {
    const char *missing;    /* what is said where the job never had the files; NULL: it must have them */
    const char *log, *told; /* of what is no client's doing: in the log, and to the client */
};

/* Answers with what the error means to those who asked for the path's job. */
enum MHD_Result kend_answer_failure(struct kend_request *request, const struct ken_error *error, const struct kend_failure *failure);

#endif
