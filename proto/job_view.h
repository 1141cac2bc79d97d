/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job as a resource: what GET /v1/jobs/{id} answers, and the lists around it. The fields that the server adds to the document are
 * always there, null where not set; `stage` is there only while the job runs, `owner` only for admins.
 */
#ifndef PROTO_JOB_VIEW_H
#define PROTO_JOB_VIEW_H

#include "lifecycle.h"
#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_artifact_view {
    const char *name;
    const char *variant; /* "" without variants */
    uint64_t size;
    const unsigned char *sha256; /* [32] */
    const char *url;             /* absolute */
};

/* What the server knows of a job. All is borrowed during the call. Times: ms since 1970, 0 where not set. */
struct proto_job_view {
    const char *id;
    const char *spec;  /* the canonical document with URLs as given: shown redacted */
    const char *owner; /* "": the nameless one; NULL: not told */
    enum proto_status status;
    enum proto_stage stage;
    uint64_t bytes_fetched, bytes_total, rows_done, rows_total;
    int64_t attempt; /* 0: never claimed */
    int64_t created_at, started_at, finished_at, cancel_requested_at, expires_at, evicted_at;
    const double *timings; /* [PROTO_STAGE_COUNT] seconds, as of the last progress */
    bool has_error;
    enum proto_job_error error;
    enum proto_stage error_stage;
    const char *error_message;                   /* or NULL */
    const char *summary;                         /* JSON text, or NULL */
    bool listed;                                 /* in a list of jobs: `artifacts` is left out */
    const struct proto_artifact_view *artifacts; /* [artifact_count] */
    size_t artifact_count;
};

/*
 * The resource; a new reference, NULL if out of memory (or if the spec is no JSON object). It depends on the view alone, not on the time of
 * asking, so that it can have an entity tag.
 */
json_t *proto_job_view_to_json(const struct proto_job_view *view);
/* How far it is: {"status", "stage" while it runs, "progress" as in the resource}. */
json_t *proto_progress_view_to_json(const struct proto_job_view *view);
/* One artifact, as in the resource and in the list of artifacts. */
json_t *proto_artifact_view_to_json(const struct proto_artifact_view *artifact);

/* A durable event: {"id", "type", "time", "data"}; data is JSON text. */
struct proto_event_view {
    int64_t sequence, time;
    const char *type, *data;
};
json_t *proto_event_view_to_json(const struct proto_event_view *event);

/* A page of a list; data (an array, taken over) may be NULL: out of memory, as the answer then. next: the cursor of the next page, or NULL:
 * this is the last. */
json_t *proto_list_to_json(json_t *data, const char *next);

#endif
