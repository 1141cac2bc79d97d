/* SPDX-License-Identifier: Apache-2.0 */
/* A stored job as a document: what several routes answer with. */
#ifndef KEND_HTTP_JOB_ANSWER_H
#define KEND_HTTP_JOB_ANSWER_H

#include "http/respond.h"
#include "job_view.h"

/* The job resource; its artifacts are read from the store. A new reference; NULL if out of memory or the store fails. */
json_t *kend_job_document(struct kend_request *request, const struct kend_job *job);
/* The job's artifacts as an array. A new reference; NULL if out of memory. */
json_t *kend_artifacts_document(const struct kend_request *request, const char *job, const struct kend_artifact_list *list);
/* Looks the path's job up for the request's owner. False: it was answered (with *result). */
bool kend_find_job(struct kend_request *request, struct kend_job **job, enum MHD_Result *result);
/* `limit` of a list. False: it was answered. */
bool kend_list_limit(struct kend_request *request, uint64_t *limit, enum MHD_Result *result);

#endif
