/* SPDX-License-Identifier: Apache-2.0 */
#include "http/job_answer.h"
#include "log.h"

enum MHD_Result kend_route_cancel(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    struct kend_job *job = NULL;
    if (!kend_request_has_id(request)) return kend_answer_no_job(request);
    enum kend_store_result result =
        parts->store->ops->cancel(parts->store, request->match.id, kend_request_sees(request), proto_now_ms(), &job);
    if (result != KEND_STORE_OK) return kend_answer_store(request, result);
    kend_engine_cancel(parts->engine, job);
    kend_waits_changed(parts->waits, job->id, job->owner);
    enum MHD_Result answer = kend_answer_job(request, 202, job, false);
    kend_job_free(&job);
    return answer;
}

enum MHD_Result kend_route_remove(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    struct ken_error error = {0};
    struct kend_job *job;
    enum MHD_Result answer;
    if (!kend_find_job(request, &job, &answer)) return answer;
    enum kend_store_result result = parts->store->ops->remove(parts->store, job->id, kend_request_sees(request));
    if (result != KEND_STORE_OK) {
        kend_job_free(&job);
        return kend_answer_store(request, result);
    }
    /* The row went first: what stays behind after a crash is an orphan, which the engine removes at its start. */
    if (parts->artifacts->ops->remove(parts->artifacts, request->match.id, &error))
        kend_log(KEND_LOG_WARN, "artifacts not removed", KEND_LOG_REQUEST(request), KEND_S("job", request->match.id),
                 KEND_S("error", error.message));
    kend_waits_removed(parts->waits, job->id, job->owner);
    kend_job_free(&job);
    return kend_answer_empty(request, 204, NULL);
}
