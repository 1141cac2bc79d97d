/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http/etag.h"
#include "http/job_answer.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { WAIT_MOST_SECONDS = 60 };

/* `wait` in seconds, clamped; 0: the request does not wait. False: it was answered. */
static bool read_wait(struct kend_request *request, uint64_t *seconds, enum MHD_Result *result)
{
    char detail[256];
    *seconds = 0;
    if (!kend_query_number(&request->query, "wait", 0, 0, seconds, detail, sizeof detail)) {
        *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
        return false;
    }
    if (*seconds > WAIT_MOST_SECONDS) *seconds = WAIT_MOST_SECONDS;
    return true;
}

static enum MHD_Result answer_text(struct kend_request *request, const char *text, const char *etag)
{
    struct MHD_Response *response = kend_response_text(request, text, strlen(text), "application/json");
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    return kend_send_cacheable(request, 200, response);
}

/*
 * Answers, or suspends. With If-None-Match the caller knows a representation and waits for another one; without, it waits for the job's
 * end. MHD_NO with *again: something happened meanwhile, look again.
 */
static enum MHD_Result show_or_wait(struct kend_request *request, const struct kend_job *job, uint64_t seen, bool *again)
{
    const char *known = request->headers.value[KEND_IF_NONE_MATCH];
    char etag[KEND_ETAG_SIZE];
    json_t *document;
    enum kend_store_result made = kend_job_document(request, job, &document);
    if (made != KEND_STORE_OK) return kend_answer_store(request, made);
    char *text = document ? proto_json_line(document) : NULL;
    enum MHD_Result result = MHD_NO;
    json_decref(document);
    if (!text || !kend_etag_of(etag, text, strlen(text))) {
        result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
        goto out;
    }
    bool same = known && kend_etag_matches(known, etag);
    bool wait = known ? same : !proto_status_is_terminal(job->status);
    if (wait && kend_monotonic_ms() < request->deadline && kend_request_may_wait(request)) {
        switch (kend_wait_suspend(request->http->parts.waits, &request->wait, request->connection, job->id, seen, request->deadline)) {
        case KEND_WAIT_SUSPENDED: result = MHD_YES; goto out;
        case KEND_WAIT_CHANGED: *again = true; goto out;
        case KEND_WAIT_FULL:
        case KEND_WAIT_CLOSING: break;
        }
    }
    result = same ? kend_answer_empty(request, 304, etag) : answer_text(request, text, etag);
out:
    free(text);
    return result;
}

enum MHD_Result kend_route_show(struct kend_request *request)
{
    enum MHD_Result result;
    struct kend_job *job;
    uint64_t seconds;
    if (!read_wait(request, &seconds, &result)) return result;
    if (!request->deadline) request->deadline = kend_monotonic_ms() + (int64_t)seconds * 1000;
    for (bool again = true; again;) {
        uint64_t seen = kend_waits_seen(request->http->parts.waits, request->match.id);
        if (!kend_find_job(request, &job, &result)) return result;
        again = false;
        result = show_or_wait(request, job, seen, &again);
        kend_job_free(&job);
    }
    return result;
}
