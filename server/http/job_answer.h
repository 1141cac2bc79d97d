/* SPDX-License-Identifier: Apache-2.0 */
/* A stored job as a document: what several routes answer with. */
#ifndef KEND_HTTP_JOB_ANSWER_H
#define KEND_HTTP_JOB_ANSWER_H

#include "http/respond.h"
#include "job_view.h"

/* The job as in a list of jobs, without its artifacts. A new reference; NULL if out of memory. */
json_t *kend_listed_job_document(const struct kend_request *request, const struct kend_job *job);
/* How far the job is: status, stage and progress. A new reference; NULL if out of memory. */
json_t *kend_progress_document(const struct kend_request *request, const struct kend_job *job);
/*
 * The job resource; its artifacts are read from the store. OK: *document is a new reference, or NULL if out of memory. NONE: the job was
 * removed since it was read.
 */
enum kend_store_result kend_job_document(const struct kend_request *request, const struct kend_job *job, json_t **document);
/* Answers with the job resource, or with what kept it from being made. `location`: add its URL, which is told even
 * where there is no memory for more. */
enum MHD_Result kend_answer_job(struct kend_request *request, int status, const struct kend_job *job, bool location);
/* The job's artifacts as an array. A new reference; NULL if out of memory. */
json_t *kend_artifacts_document(const struct kend_request *request, const char *job, const struct kend_artifact_list *list);
/* Looks the path's job up among those that the request may see. False: it was answered (with *result). */
bool kend_find_job(struct kend_request *request, struct kend_job **job, enum MHD_Result *result);
/* Answers by `answer` with the path's job, which is borrowed, or that there is none. */
enum MHD_Result kend_answer_with_job(struct kend_request *request,
                                     enum MHD_Result (*answer)(struct kend_request *request, const struct kend_job *job));
/*
 * What was there when the path's job was looked at is not there any more. True: because the job was removed or its artifacts were evicted
 * since, which was answered.
 */
bool kend_artifacts_gone(struct kend_request *request, enum MHD_Result *result);
/* Answers that the job's artifacts were evicted. */
enum MHD_Result kend_answer_evicted(struct kend_request *request);

#endif
