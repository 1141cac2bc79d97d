/* SPDX-License-Identifier: Apache-2.0 */
#include "http/job_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *artifact_url(const struct kend_request *request, const char *job, const char *name)
{
    char *url = NULL; /* names of artifacts need no escapes: letters, digits, '.', '_', '-' and '/' */
    return asprintf(&url, "%s/v1/jobs/%s/artifacts/%s", request->http->base_url, job, name) < 0 ? NULL : url;
}

static void views_free(struct proto_artifact_view *views, size_t count)
{
    for (size_t i = 0; views && i < count; i++) free((char *)(uintptr_t)views[i].url);
    free(views);
}

/* [list->count] views that borrow from the list; NULL if out of memory. */
static struct proto_artifact_view *views_make(const struct kend_request *request, const char *job, const struct kend_artifact_list *list)
{
    struct proto_artifact_view *views = calloc(list->count + 1, sizeof *views);
    for (size_t i = 0; views && i < list->count; i++) {
        const struct kend_job_artifact *artifact = &list->item[i];
        views[i] = (struct proto_artifact_view){artifact->name, artifact->variant, artifact->size, artifact->sha256,
                                                artifact_url(request, job, artifact->name)};
        if (views[i].url) continue;
        views_free(views, i);
        views = NULL;
    }
    return views;
}

json_t *kend_artifacts_document(const struct kend_request *request, const char *job, const struct kend_artifact_list *list)
{
    struct proto_artifact_view *views = views_make(request, job, list);
    json_t *array = views ? json_array() : NULL;
    for (size_t i = 0; array && i < list->count; i++)
        if (json_array_append_new(array, proto_artifact_view_to_json(&views[i])) < 0) {
            json_decref(array);
            array = NULL;
        }
    views_free(views, list->count);
    return array;
}

/* All but what is the view's alone. Who sees everybody's jobs is told whose each is. */
static struct proto_job_view view_of(const struct kend_request *request, const struct kend_job *job)
{
    return (struct proto_job_view){
        .id = job->id,
        .spec = job->spec,
        .owner = kend_request_sees(request) ? NULL : job->owner,
        .status = job->status,
        .stage = job->stage,
        .bytes_fetched = job->progress.bytes_fetched,
        .bytes_total = job->progress.bytes_total,
        .rows_done = job->progress.rows_done,
        .rows_total = job->progress.rows_total,
        .attempt = job->attempt,
        .created_at = job->created_at,
        .started_at = job->started_at,
        .finished_at = job->finished_at,
        .cancel_requested_at = job->cancel_requested_at,
        .expires_at = job->expires_at,
        .evicted_at = job->evicted_at,
        .timings = job->timings,
        .has_error = job->has_error,
        .error = job->error,
        .error_stage = job->error_stage,
        .error_message = job->error_message,
        .summary = job->summary,
    };
}

json_t *kend_listed_job_document(const struct kend_request *request, const struct kend_job *job)
{
    struct proto_job_view view = view_of(request, job);
    view.listed = true;
    return proto_job_view_to_json(&view);
}

json_t *kend_progress_document(const struct kend_request *request, const struct kend_job *job)
{
    const struct proto_job_view view = view_of(request, job);
    return proto_progress_view_to_json(&view);
}

enum kend_store_result kend_job_document(const struct kend_request *request, const struct kend_job *job, json_t **document)
{
    struct kend_store *store = request->http->parts.store;
    struct kend_artifact_list list = {0};
    *document = NULL;
    enum kend_store_result result = job->status == PROTO_SUCCEEDED ? store->ops->artifacts(store, job->id, &list) : KEND_STORE_OK;
    if (result != KEND_STORE_OK) return result;
    struct proto_artifact_view *artifacts = views_make(request, job->id, &list);
    if (artifacts) {
        struct proto_job_view view = view_of(request, job);
        view.artifacts = artifacts;
        view.artifact_count = list.count;
        *document = proto_job_view_to_json(&view);
    }
    views_free(artifacts, list.count);
    kend_artifact_list_clear(&list);
    return KEND_STORE_OK;
}

enum MHD_Result kend_answer_evicted(struct kend_request *request)
{
    return kend_answer_problem(request, PROTO_NOT_FOUND, "the job's artifacts were deleted to make room (artifacts.max_bytes)");
}

bool kend_find_job(struct kend_request *request, struct kend_job **job, enum MHD_Result *result)
{
    struct kend_store *store = request->http->parts.store;
    *job = NULL;
    enum kend_store_result found = KEND_STORE_NONE;
    if (kend_request_has_id(request)) found = store->ops->get(store, request->match.id, kend_request_sees(request), job);
    if (found == KEND_STORE_OK) return true;
    *result = kend_answer_store(request, found);
    return false;
}

enum MHD_Result kend_answer_with_job(struct kend_request *request,
                                     enum MHD_Result (*answer)(struct kend_request *request, const struct kend_job *job))
{
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_find_job(request, &job, &result)) return result;
    result = answer(request, job);
    kend_job_free(&job);
    return result;
}

bool kend_artifacts_gone(struct kend_request *request, enum MHD_Result *result)
{
    struct kend_job *job;
    if (!kend_find_job(request, &job, result)) return true;
    const bool evicted = job->evicted_at != 0;
    kend_job_free(&job);
    if (evicted) *result = kend_answer_evicted(request);
    return evicted;
}

/* Where the job is: without memory for the document still, since who is not told that a job was made submits it twice. */
static struct MHD_Response *add_location(struct kend_request *request, const struct kend_job *job, struct MHD_Response *response)
{
    char path[sizeof "/v1/jobs/" + PROTO_ID_SIZE], *url;
    snprintf(path, sizeof path, "/v1/jobs/%s", job->id);
    if (asprintf(&url, "%s%s", request->http->base_url, path) < 0) url = NULL;
    kend_response_header(&response, MHD_HTTP_HEADER_LOCATION, url ? url : path);
    if (!response) {
        request->bytes = 0;
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        kend_response_header(&response, MHD_HTTP_HEADER_LOCATION, url ? url : path);
    }
    free(url);
    return response;
}

enum MHD_Result kend_answer_job(struct kend_request *request, int status, const struct kend_job *job, bool location)
{
    json_t *document;
    enum kend_store_result result = kend_job_document(request, job, &document);
    if (result != KEND_STORE_OK) return kend_answer_store(request, result);
    struct MHD_Response *response = kend_response_json(request, document);
    if (location) response = add_location(request, job, response);
    return kend_send(request, status, response);
}
