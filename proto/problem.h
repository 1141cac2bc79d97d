/* SPDX-License-Identifier: Apache-2.0 */
/* Problems (RFC 9457) and the error codes of jobs: one table each. */
#ifndef PROTO_PROBLEM_H
#define PROTO_PROBLEM_H

#include <jansson.h>
#include <stddef.h>

/* symbol, code, HTTP status, title */
#define PROTO_PROBLEM_MAP(X)                                                                                     \
    X(PROTO_BAD_JSON, "bad_json", 400, "The body is not valid JSON")                                             \
    X(PROTO_BAD_REQUEST, "bad_request", 400, "The request is malformed")                                         \
    X(PROTO_UNAUTHORIZED, "unauthorized", 401, "Authentication is required")                                     \
    X(PROTO_FORBIDDEN, "forbidden", 403, "Not allowed")                                                          \
    X(PROTO_NOT_FOUND, "not_found", 404, "Not found")                                                            \
    X(PROTO_METHOD_NOT_ALLOWED, "method_not_allowed", 405, "Method not allowed")                                 \
    X(PROTO_NOT_ACCEPTABLE, "not_acceptable", 406, "No such representation")                                     \
    X(PROTO_REQUEST_TIMEOUT, "request_timeout", 408, "The request came too slowly")                              \
    X(PROTO_JOB_ACTIVE, "job_active", 409, "The job has not ended yet")                                          \
    X(PROTO_JOB_FINISHED, "job_finished", 409, "The job has already ended")                                      \
    X(PROTO_NO_DELTA, "no_delta", 409, "The job has no delta")                                                   \
    X(PROTO_INPUTS_GONE, "inputs_gone", 409, "The job's inputs are no longer cached")                            \
    X(PROTO_TOO_LARGE, "too_large", 413, "The request is too large")                                             \
    X(PROTO_TARGET_TOO_LONG, "target_too_long", 414, "The request target is too long")                           \
    X(PROTO_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, "Unsupported media type")                     \
    X(PROTO_RANGE_NOT_SATISFIABLE, "range_not_satisfiable", 416, "Range not satisfiable")                        \
    X(PROTO_INVALID_JOB, "invalid_job", 422, "The job document is invalid")                                      \
    X(PROTO_NOT_SUPPORTED, "not_supported", 422, "Not supported by this version")                                \
    X(PROTO_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 422, "The idempotency key was used with another body") \
    X(PROTO_QUEUE_FULL, "queue_full", 429, "The queue is full")                                                  \
    X(PROTO_RATE_LIMITED, "rate_limited", 429, "Too many requests")                                              \
    X(PROTO_HEADERS_TOO_LARGE, "headers_too_large", 431, "The header fields are too large")                      \
    X(PROTO_INTERNAL, "internal", 500, "Internal error")                                                         \
    X(PROTO_DRAINING, "draining", 503, "The server is shutting down")                                            \
    X(PROTO_NO_SPACE, "no_space", 503, "No space left on the server")                                            \
    X(PROTO_STORE_UNAVAILABLE, "store_unavailable", 503, "The job store is unavailable")

#define X(symbol, code, status, title) symbol,
enum proto_problem { PROTO_PROBLEM_MAP(X) PROTO_PROBLEM_COUNT };
#undef X
const char *proto_problem_code(enum proto_problem problem);
int proto_problem_status(enum proto_problem problem);
const char *proto_problem_title(enum proto_problem problem);

/* symbol, code, what it means (for the docs and the OpenAPI text) */
#define PROTO_JOB_ERROR_MAP(X)                                                                                      \
    X(PROTO_JOB_ADDRESS_FORBIDDEN, "address_forbidden", "a URL leads to an address that kend may not connect to")   \
    X(PROTO_JOB_FETCH_FAILED, "fetch_failed", "an input could not be fetched")                                      \
    X(PROTO_JOB_DIGEST_MISMATCH, "digest_mismatch", "an input or base tensor has another SHA-256")                  \
    X(PROTO_JOB_BAD_CHECKPOINT, "bad_checkpoint", "an input is malformed")                                          \
    X(PROTO_JOB_UNSUPPORTED_CHECKPOINT, "unsupported_checkpoint", "an input is of a kind that kend does not read")  \
    X(PROTO_JOB_TENSOR_MISMATCH, "tensor_mismatch", "model and base do not fit together")                           \
    X(PROTO_JOB_NON_FINITE, "non_finite", "a pruned tensor holds NaN or infinity")                                  \
    X(PROTO_JOB_NO_SPACE, "no_space", "not enough disk")                                                            \
    X(PROTO_JOB_TOO_LARGE, "too_large", "an input is over a limit")                                                 \
    X(PROTO_JOB_ARTIFACT_STORE_FAILED, "artifact_store_failed", "the artifacts could not be stored")                \
    X(PROTO_JOB_TIMED_OUT, "timed_out", "the job took longer than its timeout_seconds or jobs.max_seconds allow")   \
    X(PROTO_JOB_ATTEMPTS_EXHAUSTED, "attempts_exhausted", "the job ended the process three times without progress") \
    X(PROTO_JOB_INTERNAL, "internal", "an error of kend's own")

#define X(symbol, code, text) symbol,
enum proto_job_error { PROTO_JOB_ERROR_MAP(X) PROTO_JOB_ERROR_COUNT };
#undef X
const char *proto_job_error_code(enum proto_job_error error);
/* The job error that an error of the core is reported as (enum ken_code); PROTO_JOB_INTERNAL for those that are nobody else's fault. */
enum proto_job_error proto_job_error_of(int ken_code);

/* One fault of a document. */
struct proto_fault {
    char *pointer; /* RFC 6901 */
    char *detail;
    int not_supported; /* the field is known, its feature is not there yet */
};
/* At most PROTO_MAX_FAULTS are kept; a zeroed struct is empty. */
enum { PROTO_MAX_FAULTS = 64 };
struct proto_faults {
    struct proto_fault fault[PROTO_MAX_FAULTS];
    size_t count;
};
void proto_faults_clear(struct proto_faults *faults);
/* Adds one, formatted. Out of memory: the fault is kept without text. */
void proto_fault_add(struct proto_faults *faults, int not_supported, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* PROTO_NOT_SUPPORTED if all faults are of that kind, else PROTO_INVALID_JOB. */
enum proto_problem proto_faults_problem(const struct proto_faults *faults);

/*
 * The problem (PROTO_INVALID_JOB) that a valid document's job would fail in its check stage: with the job's error as `job_error`, and as
 * the one fault, at `pointer`. New reference, NULL if out of memory.
 */
json_t *proto_failed_check_to_json(enum proto_job_error error, const char *pointer, const char *message);
/* The problem as a document (new reference, NULL if out of memory); faults may be NULL. `type` is "https://kend.dev/problems/CODE" as an
 * identifier only. */
json_t *proto_problem_to_json(enum proto_problem problem, const char *detail, const struct proto_faults *faults);

#endif
