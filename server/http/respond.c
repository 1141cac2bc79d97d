/* SPDX-License-Identifier: Apache-2.0 */
#include "http/respond.h"

#include "http/memory.h"
#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer up to this size is always sent: http.max_connections bounds how many there are. */
enum { RESPOND_SMALL = 16 << 10 };

struct MHD_Response *kend_response_take(struct kend_request *request, char *text, size_t length, const char *type)
{
    if (!text) return NULL;
    const bool large = length > RESPOND_SMALL && kend_method_is_safe(request->method); /* what was done already must be told */
    request->crowded = large && !kend_request_hold(request, length);
    if (request->crowded) {
        free(text);
        return NULL;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return NULL;
    }
    kend_response_header(&response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    request->bytes = length;
    return response;
}

static struct MHD_Response *response_document(struct kend_request *request, json_t *document, const char *type)
{
    char *text = document ? proto_json_line(document) : NULL;
    json_decref(document);
    return kend_response_take(request, text, text ? strlen(text) : 0, type);
}

struct MHD_Response *kend_response_json(struct kend_request *request, json_t *document)
{
    return response_document(request, document, "application/json");
}

struct MHD_Response *kend_response_text(struct kend_request *request, const char *text, size_t length, const char *type)
{
    char *copy = malloc(length + 1);
    if (copy) memcpy(copy, text, length);
    return kend_response_take(request, copy, length, type);
}

void kend_response_header(struct MHD_Response **response, const char *name, const char *value)
{
    if (!*response || (value && MHD_add_response_header(*response, name, value) == MHD_YES)) return;
    MHD_destroy_response(*response);
    *response = NULL;
}

static enum MHD_Result response_queue(struct kend_request *request, int status, struct MHD_Response *response)
{
    kend_response_header(&response, "X-Request-Id", request->id);
    kend_response_header(&response, "X-Content-Type-Options", "nosniff");
    if (request->http->hsts) kend_response_header(&response, "Strict-Transport-Security", "max-age=31536000");
    if (request->last || atomic_load(&request->http->ending) || kend_connections_are_scarce(request->http->connections))
        kend_response_header(&response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (!response) return MHD_NO;
    if (request->bytes) kend_connection_sends(request->http->connections, request->peer);
    enum MHD_Result result = MHD_queue_response(request->connection, (unsigned)status, response);
    MHD_destroy_response(response);
    if (result == MHD_YES) request->status = status;
    return result;
}

bool kend_hold_or_answer(struct kend_request *request, uint64_t bytes, enum MHD_Result *result)
{
    if (kend_request_hold_document(request, (size_t)bytes)) return true;
    *result = kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", KEND_CROWDED);
    return false;
}

/* In place of an answer that there was no memory for; there may be for this much. */
static enum MHD_Result send_no_memory(struct kend_request *request)
{
    if (!request->crowded) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    return kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", KEND_CROWDED);
}

enum MHD_Result kend_send(struct kend_request *request, int status, struct MHD_Response *response)
{
    if (!response) return send_no_memory(request);
    kend_response_header(&response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return response_queue(request, status, response);
}

enum MHD_Result kend_send_cacheable(struct kend_request *request, int status, struct MHD_Response *response)
{
    if (!response) return send_no_memory(request);
    kend_response_header(&response, MHD_HTTP_HEADER_CACHE_CONTROL, "private, no-cache");
    return response_queue(request, status, response);
}

enum MHD_Result kend_answer_json(struct kend_request *request, int status, json_t *document)
{
    return kend_send(request, status, kend_response_json(request, document));
}

enum MHD_Result kend_answer_empty(struct kend_request *request, int status, const char *etag)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (etag) kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    request->bytes = 0;
    return etag ? kend_send_cacheable(request, status, response) : kend_send(request, status, response);
}

/* Seconds after which the same request may well be answered; NULL where it will not. */
static const char *retry_after(enum proto_problem problem)
{
    switch (problem) {
    case PROTO_RATE_LIMITED: return "1";
    case PROTO_QUEUE_FULL:
    case PROTO_DRAINING:
    case PROTO_STORE_UNAVAILABLE: return "5";
    case PROTO_NO_SPACE: return "60";
    default: return NULL;
    }
}

static enum MHD_Result answer_problem(struct kend_request *request, enum proto_problem problem, const char *detail,
                                      const struct proto_faults *faults)
{
    struct MHD_Response *response = response_document(request, proto_problem_to_json(problem, detail, faults), "application/problem+json");
    const char *seconds = retry_after(problem);
    char own[24];
    if (request->retry_after) {
        snprintf(own, sizeof own, "%lld", (long long)request->retry_after);
        seconds = own;
    }
    if (seconds) kend_response_header(&response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    if (*request->challenge) kend_response_header(&response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, request->challenge);
    if (problem == PROTO_METHOD_NOT_ALLOWED) kend_response_header(&response, MHD_HTTP_HEADER_ALLOW, request->match.allow);
    if (problem == PROTO_RANGE_NOT_SATISFIABLE) kend_response_header(&response, MHD_HTTP_HEADER_CONTENT_RANGE, request->content_range);
    if (!response) return MHD_NO;
    return kend_send(request, proto_problem_status(problem), response);
}

enum MHD_Result kend_answer_failed_check(struct kend_request *request, enum proto_job_error error, const char *pointer, const char *message)
{
    return kend_send(request, proto_problem_status(PROTO_INVALID_JOB),
                     response_document(request, proto_failed_check_to_json(error, pointer, message), "application/problem+json"));
}

enum MHD_Result kend_answer_problem(struct kend_request *request, enum proto_problem problem, const char *format, ...)
{
    char detail[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    return answer_problem(request, problem, detail, NULL);
}

enum MHD_Result kend_answer_faults(struct kend_request *request, const struct proto_faults *faults)
{
    char detail[64];
    if (!faults->count) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    snprintf(detail, sizeof detail, faults->count == 1 ? "%zu fault" : "%zu faults", faults->count);
    return answer_problem(request, proto_faults_problem(faults), detail, faults);
}

enum MHD_Result kend_answer_no_wait(struct kend_request *request, enum kend_wait_result why)
{
    if (why == KEND_WAIT_CLOSING) return kend_answer_problem(request, PROTO_DRAINING, "kend is shutting down");
    return kend_answer_problem(request, PROTO_RATE_LIMITED, "too many requests wait");
}

enum MHD_Result kend_answer_no_job(struct kend_request *request)
{
    return kend_answer_problem(request, PROTO_NOT_FOUND, "there is no such job");
}

enum MHD_Result kend_answer_store(struct kend_request *request, enum kend_store_result result)
{
    switch (result) {
    case KEND_STORE_NONE: return kend_answer_no_job(request);
    case KEND_STORE_KEY_MISMATCH:
        return kend_answer_problem(request, PROTO_IDEMPOTENCY_MISMATCH, "this Idempotency-Key belongs to a job with another document");
    case KEND_STORE_QUEUE_FULL: return kend_answer_problem(request, PROTO_QUEUE_FULL, "as many jobs are queued as jobs.max_queued allows");
    case KEND_STORE_OWNER_QUEUE_FULL:
        return kend_answer_problem(request, PROTO_QUEUE_FULL, "as many of your jobs are queued as jobs.max_queued_per_owner allows");
    case KEND_STORE_OWNER_BYTES_FULL:
        return kend_answer_problem(
            request, PROTO_QUEUE_FULL,
            "the documents of your jobs would take more than jobs.max_bytes_per_owner allows: delete jobs that have ended");
    case KEND_STORE_ACTIVE: return kend_answer_problem(request, PROTO_JOB_ACTIVE, "cancel it, or wait for its end, before it is deleted");
    case KEND_STORE_FINISHED: return kend_answer_problem(request, PROTO_JOB_FINISHED, "nothing is left to cancel");
    case KEND_STORE_NO_SPACE: return kend_answer_problem(request, PROTO_NO_SPACE, "the disk of the job store is full");
    case KEND_STORE_UNAVAILABLE: return kend_answer_problem(request, PROTO_STORE_UNAVAILABLE, "the job store cannot be reached");
    default: return kend_answer_problem(request, PROTO_INTERNAL, "unexpected answer of the job store");
    }
}
