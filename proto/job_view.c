/* SPDX-License-Identifier: Apache-2.0 */
#include "job_view.h"

#include "job.h"
#include "json.h"
#include "json_load.h"

#include <math.h>

/* Of the work that is known, fetching and pruning each make a half; less than 100 before the end. */
static double part_done(const struct proto_job_view *view)
{
    double bytes = view->bytes_total ? (double)view->bytes_fetched / (double)view->bytes_total : 0;
    double rows = view->rows_total ? (double)view->rows_done / (double)view->rows_total : 0;
    return fmin((fmin(bytes, 1) + fmin(rows, 1)) / 2, 0.999);
}

static json_t *percent_to_json(const struct proto_job_view *view)
{
    if (view->status == PROTO_SUCCEEDED) return json_real(100);
    return json_real(floor(part_done(view) * 1000) / 10);
}

/* By the rate so far. Nothing is said of the first percent, which tells too little. */
static json_t *eta_to_json(const struct proto_job_view *view)
{
    double done = part_done(view), seconds = view->timings[PROTO_FETCHING] + view->timings[PROTO_PRUNING];
    if (view->status != PROTO_RUNNING || done < 0.01 || seconds <= 0) return json_null();
    return json_integer((json_int_t)fmin(ceil(seconds * (1 - done) / done), 1e9));
}

static json_t *progress_to_json(const struct proto_job_view *view)
{
    json_t *object = proto_json_set(json_object(), "percent", percent_to_json(view));
    object = proto_json_set_number(object, "bytes_fetched", view->bytes_fetched);
    object = proto_json_set_number(object, "bytes_total", view->bytes_total);
    object = proto_json_set_number(object, "rows_done", view->rows_done);
    object = proto_json_set_number(object, "rows_total", view->rows_total);
    return proto_json_set(object, "eta_seconds", eta_to_json(view));
}

static json_t *timings_to_json(const struct proto_job_view *view)
{
    json_t *object = json_object();
    for (unsigned stage = PROTO_NO_STAGE + 1; stage < PROTO_STAGE_COUNT; stage++)
        object = proto_json_set(object, proto_stage_name((enum proto_stage)stage), json_real(round(view->timings[stage] * 1000) / 1000));
    return object;
}

static json_t *error_to_json(const struct proto_job_view *view)
{
    if (!view->has_error) return json_null();
    json_t *object = proto_json_set_text(json_object(), "code", proto_job_error_code(view->error));
    object = proto_json_set_text(object, "message", view->error_message ? view->error_message : "");
    bool staged = view->error_stage != PROTO_NO_STAGE;
    return proto_json_set(object, "stage", proto_json_text_or_null(staged ? proto_stage_name(view->error_stage) : NULL));
}

json_t *proto_artifact_view_to_json(const struct proto_artifact_view *artifact)
{
    json_t *object = proto_json_set_text(json_object(), "name", artifact->name);
    object = proto_json_set(object, "variant", proto_json_text_or_null(*artifact->variant ? artifact->variant : NULL));
    object = proto_json_set_number(object, "size", artifact->size);
    object = proto_json_set(object, "sha256", proto_json_sha256(artifact->sha256));
    return proto_json_set_text(object, "url", artifact->url);
}

static json_t *artifacts_to_json(const struct proto_job_view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->artifact_count; i++) array = proto_json_append(array, proto_artifact_view_to_json(&view->artifacts[i]));
    return array;
}

static json_t *document_to_json(const char *spec)
{
    json_t *document = proto_json_load_text(spec);
    if (!document || !json_is_object(document) || proto_job_redact(document)) {
        json_decref(document);
        return NULL;
    }
    return document;
}

static json_t *set_status(json_t *object, const struct proto_job_view *view)
{
    object = proto_json_set_text(object, "status", proto_status_name(view->status));
    if (view->status != PROTO_RUNNING || view->stage == PROTO_NO_STAGE) return object;
    return proto_json_set_text(object, "stage", proto_stage_name(view->stage));
}

json_t *proto_progress_view_to_json(const struct proto_job_view *view)
{
    return proto_json_set(set_status(json_object(), view), "progress", progress_to_json(view));
}

json_t *proto_job_view_to_json(const struct proto_job_view *view)
{
    json_t *object = proto_json_set_text(json_object(), "id", view->id);
    object = proto_json_set_text(object, "object", "job");
    object = set_status(object, view);
    json_t *document = document_to_json(view->spec);
    if (!object || !document || json_object_update(object, document)) {
        json_decref(object);
        object = NULL;
    }
    json_decref(document);
    if (view->owner) object = proto_json_set(object, "owner", proto_json_text_or_null(*view->owner ? view->owner : NULL));
    object = proto_json_set(object, "progress", progress_to_json(view));
    object = proto_json_set(object, "attempt", json_integer(view->attempt));
    object = proto_json_set(object, "created_at", proto_json_time(view->created_at));
    object = proto_json_set(object, "started_at", proto_json_time(view->started_at));
    object = proto_json_set(object, "finished_at", proto_json_time(view->finished_at));
    object = proto_json_set(object, "cancel_requested_at", proto_json_time(view->cancel_requested_at));
    object = proto_json_set(object, "expires_at", proto_json_time(view->expires_at));
    object = proto_json_set(object, "evicted_at", proto_json_time(view->evicted_at));
    object = proto_json_set(object, "timings", timings_to_json(view));
    object = proto_json_set(object, "error", error_to_json(view));
    if (!view->listed) object = proto_json_set(object, "artifacts", artifacts_to_json(view));
    return proto_json_set(object, "summary", view->summary ? proto_json_load_text(view->summary) : json_null());
}

json_t *proto_event_view_to_json(const struct proto_event_view *event)
{
    json_t *object = proto_json_set(json_object(), "id", json_integer(event->sequence));
    object = proto_json_set_text(object, "type", event->type);
    object = proto_json_set(object, "time", proto_json_time(event->time));
    return proto_json_set(object, "data", proto_json_load_text(event->data));
}

json_t *proto_list_to_json(json_t *data, const char *next)
{
    json_t *object = proto_json_set_text(json_object(), "object", "list");
    object = proto_json_set(object, "data", data);
    object = proto_json_set(object, "has_more", json_boolean(next));
    return proto_json_set(object, "next", proto_json_text_or_null(next));
}
