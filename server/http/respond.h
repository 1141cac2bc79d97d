/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. Each function that sends returns what the handler returns to libmicrohttpd. */
#ifndef KEND_HTTP_RESPOND_H
#define KEND_HTTP_RESPOND_H

#include "http/request.h"
#include "jobs/store.h"

/* A JSON document (taken over; NULL: out of memory) as a response that kend_send takes. NULL if out of memory. */
struct MHD_Response *kend_response_json(struct kend_request *request, json_t *document);
/* Text as a response; copied. */
struct MHD_Response *kend_response_text(struct kend_request *request, const char *text, size_t length, const char *type);
/* The same; malloc'ed bytes are taken over, NULL: out of memory. */
struct MHD_Response *kend_response_take(struct kend_request *request, char *text, size_t length, const char *type);
/* Adds a header; does nothing for NULL. An answer that lacks one would be another: without memory for it (or its value) *response becomes
 * NULL. */
void kend_response_header(struct MHD_Response **response, const char *name, const char *value);
/* Queues the response (taken over) with what every answer has: X-Request-Id, nosniff, no-store. NULL, for want of
 * memory, becomes 429 where http.max_memory was reached, else 500, or closes the connection. */
enum MHD_Result kend_send(struct kend_request *request, int status, struct MHD_Response *response);
/* As kend_send, for what may be cached by its entity tag. */
enum MHD_Result kend_send_cacheable(struct kend_request *request, int status, struct MHD_Response *response);

/* kend_send of kend_response_json. */
enum MHD_Result kend_answer_json(struct kend_request *request, int status, json_t *document);
/* To one that would have to wait, and was not suspended. */
enum MHD_Result kend_answer_no_wait(struct kend_request *request, enum kend_wait_result why);
/* 204 or 304, without a body. */
enum MHD_Result kend_answer_empty(struct kend_request *request, int status, const char *etag);
enum MHD_Result kend_answer_problem(struct kend_request *request, enum proto_problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum MHD_Result kend_answer_faults(struct kend_request *request, const struct proto_faults *faults);
/* What a dry run failed with. */
enum MHD_Result kend_answer_failed_check(struct kend_request *request, enum proto_job_error error, const char *pointer,
                                         const char *message);
/* The problem that a result of the store means; not for KEND_STORE_OK and EXISTS. */
enum MHD_Result kend_answer_store(struct kend_request *request, enum kend_store_result result);
/* 404 for an id that is unknown, malformed or somebody else's: all the same. */
enum MHD_Result kend_answer_no_job(struct kend_request *request);

/*
 * Counts so many bytes, which a document or the making of an answer takes at most, until the answer is sent or
 * kend_request_let_go_document. False: that is too much now, which was answered (with *result).
 */
bool kend_hold_or_answer(struct kend_request *request, uint64_t bytes, enum MHD_Result *result);

#endif
