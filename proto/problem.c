/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include "error.h"
#include "json.h"
#include "lifecycle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *code, *title;
    int status;
} problems[PROTO_PROBLEM_COUNT] = {
#define X(symbol, name, number, text) [symbol] = {.code = name, .title = text, .status = number},
    PROTO_PROBLEM_MAP(X)
#undef X
};

static const char *const job_errors[PROTO_JOB_ERROR_COUNT] = {
#define X(symbol, code, text) [symbol] = code,
    PROTO_JOB_ERROR_MAP(X)
#undef X
};

const char *proto_problem_code(enum proto_problem problem)
{
    KEN_ASSERT((unsigned)problem < PROTO_PROBLEM_COUNT);
    return problems[problem].code;
}

int proto_problem_status(enum proto_problem problem)
{
    KEN_ASSERT((unsigned)problem < PROTO_PROBLEM_COUNT);
    return problems[problem].status;
}

const char *proto_problem_title(enum proto_problem problem)
{
    KEN_ASSERT((unsigned)problem < PROTO_PROBLEM_COUNT);
    return problems[problem].title;
}

const char *proto_job_error_code(enum proto_job_error error)
{
    KEN_ASSERT((unsigned)error < PROTO_JOB_ERROR_COUNT);
    return job_errors[error];
}

enum proto_job_error proto_job_error_of(int ken_code)
{
    switch (ken_code) {
    case KEN_EBUSY:
    case KEN_ENO_SPACE: return PROTO_JOB_NO_SPACE;
    case KEN_EBAD_CHECKPOINT:
    case KEN_EBAD_DELTA: return PROTO_JOB_BAD_CHECKPOINT;
    case KEN_EUNSUPPORTED: return PROTO_JOB_UNSUPPORTED_CHECKPOINT;
    case KEN_EMISMATCH: return PROTO_JOB_TENSOR_MISMATCH;
    case KEN_ENON_FINITE: return PROTO_JOB_NON_FINITE;
    case KEN_ETOO_LARGE: return PROTO_JOB_TOO_LARGE;
    case KEN_EDIGEST: return PROTO_JOB_DIGEST_MISMATCH;
    case KEN_ENOT_FOUND:
    case KEN_EFETCH: return PROTO_JOB_FETCH_FAILED;
    case KEN_EADDRESS: return PROTO_JOB_ADDRESS_FORBIDDEN;
    case KEN_ETIMED_OUT: return PROTO_JOB_TIMED_OUT;
    default: return PROTO_JOB_INTERNAL;
    }
}

void proto_faults_clear(struct proto_faults *faults)
{
    for (size_t i = 0; i < faults->count; i++) {
        free(faults->fault[i].pointer);
        free(faults->fault[i].detail);
    }
    *faults = (struct proto_faults){.count = 0};
}

void proto_fault_add(struct proto_faults *faults, int not_supported, const char *pointer, const char *format, ...)
{
    if (faults->count == PROTO_MAX_FAULTS) return;
    struct proto_fault *fault = &faults->fault[faults->count++];
    fault->not_supported = not_supported;
    if (asprintf(&fault->pointer, "%s", pointer) < 0) fault->pointer = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&fault->detail, format, arguments) < 0) fault->detail = NULL;
    va_end(arguments);
}

enum proto_problem proto_faults_problem(const struct proto_faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        if (!faults->fault[i].not_supported) return PROTO_INVALID_JOB;
    return faults->count ? PROTO_NOT_SUPPORTED : PROTO_INVALID_JOB;
}

static json_t *faults_to_json(const struct proto_faults *faults)
{
    json_t *errors = json_array();
    for (size_t i = 0; errors && i < faults->count; i++) {
        const struct proto_fault *fault = &faults->fault[i];
        json_t *error = json_pack("{s:o, s:o}", "pointer", proto_json_text(fault->pointer ? fault->pointer : ""), "detail",
                                  proto_json_text(fault->detail ? fault->detail : "(out of memory)"));
        if (json_array_append_new(errors, error) == 0) continue;
        json_decref(errors);
        errors = NULL;
    }
    return errors;
}

json_t *proto_problem_to_json(enum proto_problem problem, const char *detail, const struct proto_faults *faults)
{
    char type[64];
    snprintf(type, sizeof type, "https://kend.dev/problems/%s", proto_problem_code(problem));
    json_t *document = json_pack("{s:s, s:s, s:i, s:o, s:s}", "type", type, "title", proto_problem_title(problem), "status",
                                 proto_problem_status(problem), "detail", proto_json_text(detail), "code", proto_problem_code(problem));
    if (!document || !faults || !faults->count) return document;
    if (json_object_set_new(document, "errors", faults_to_json(faults)) == 0) return document;
    json_decref(document);
    return NULL;
}

json_t *proto_failed_check_to_json(enum proto_job_error error, const char *pointer, const char *message)
{
    struct proto_faults faults = {0};
    char detail[KEN_MESSAGE_MAX + 64];
    snprintf(detail, sizeof detail, "%s: %s", proto_job_error_code(error), message);
    proto_fault_add(&faults, 0, pointer, "%s", message);
    json_t *document = proto_problem_to_json(PROTO_INVALID_JOB, detail, &faults);
    proto_faults_clear(&faults);
    json_t *failure = json_pack("{s:s, s:o, s:s}", "code", proto_job_error_code(error), "message", proto_json_text(message), "stage",
                                proto_stage_name(PROTO_CHECKING));
    if (document && json_object_set_new(document, "title", json_string("The check of the job failed")) == 0 &&
        json_object_set(document, "job_error", failure) == 0) {
        json_decref(failure);
        return document;
    }
    json_decref(failure);
    json_decref(document);
    return NULL;
}
