/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a job's end: by its stream of events, or by long polls where the server has none, or none to spare. */
#include "event_reader.h"
#include "lifecycle.h"
#include "progress.h"
#include "remote_job.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_SECONDS = 20, LEAST_PAUSE_MS = 200 };

struct follow {
    const struct kenctl *kenctl;
    struct kenctl_http *http;
    const char *id;
    bool lines; /* events are printed as JSON */
    struct kenctl_progress progress;
    struct kenctl_event_reader reader;
    enum proto_status status;
    bool heard;                  /* something, since the stream was asked for */
    bool lost;                   /* a status that is not known; told */
    bool warned;                 /* of all that the check warns of */
    json_t *job;                 /* its last representation, or NULL */
    char etag[KENCTL_ETAG_SIZE]; /* of that; "": to be asked for anew */
};

static uint64_t count_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void show_progress(struct kenctl_progress *progress, const json_t *job)
{
    const json_t *numbers = json_object_get(job, "progress"), *eta = json_object_get(numbers, "eta_seconds");
    const char *stage = json_string_value(json_object_get(job, "stage")), *status = json_string_value(json_object_get(job, "status"));
    struct kenctl_progress_state state = {.stage = stage && *stage ? stage : status ? status : "?", .eta_seconds = -1};
    if (json_is_number(eta)) state.eta_seconds = json_number_value(eta);
    if (strcmp(state.stage, proto_stage_name(PROTO_FETCHING)) == 0) {
        state.done = count_of(numbers, "bytes_fetched");
        state.total = count_of(numbers, "bytes_total");
    } else if (strcmp(state.stage, proto_stage_name(PROTO_PRUNING)) == 0) {
        state.unit = KENCTL_ROWS;
        state.done = count_of(numbers, "rows_done");
        state.total = count_of(numbers, "rows_total");
    }
    kenctl_progress_show(progress, &state);
}

static int exit_of(enum proto_status status)
{
    return status == PROTO_SUCCEEDED ? KENCTL_SUCCESS : status == PROTO_CANCELLED ? KENCTL_CANCELLED : KENCTL_FAILURE;
}

static int read_status(struct follow *follow, const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "status"));
    if (name && proto_status_parse(name, &follow->status)) return KENCTL_SUCCESS;
    return kenctl_fail(KENCTL_FAILURE, "the server tells a status that this kenctl does not know: %s", name ? name : "none");
}

/* ---- the stream */

static void tell_warning(struct follow *follow, const json_t *data)
{
    const char *level = json_string_value(json_object_get(data, "level")), *message = json_string_value(json_object_get(data, "message"));
    if (!level || !message || strcmp(level, "warn") != 0) return;
    kenctl_progress_clear(&follow->progress);
    kenctl_print_warning(message);
}

/* A durable event is printed as it is, progress with its type. */
static void print_event(const char *type, json_t *event)
{
    json_t *line = json_object_get(event, "type") ? json_incref(event) : json_pack("{s:s, s:O}", "type", type, "data", event);
    kenctl_print_json_line(line);
    json_decref(line);
}

static bool take_event(void *opaque, const struct kenctl_event *event)
{
    struct follow *follow = opaque;
    json_t *object = json_loads(event->data, JSON_REJECT_DUPLICATES, NULL);
    const json_t *data = json_object_get(object, "data");
    follow->heard = true;
    if (object && follow->lines) print_event(event->type, object);
    if (strcmp(event->type, "progress") == 0) show_progress(&follow->progress, object);
    if (strcmp(event->type, "log") == 0) tell_warning(follow, data);
    if (strcmp(event->type, "status") == 0) {
        follow->lost = read_status(follow, data) != KENCTL_SUCCESS;
        if (!follow->lost && follow->status == PROTO_QUEUED)
            show_progress(&follow->progress, data); /* a running one's progress comes behind */
    }
    json_decref(object);
    return !follow->lost;
}

static bool begin_stream(void *opaque, long status)
{
    (void)opaque, (void)status;
    return true;
}

static bool take_bytes(void *opaque, const void *bytes, size_t length)
{
    struct follow *follow = opaque;
    return kenctl_event_reader_put(&follow->reader, bytes, length);
}

/* Until the job has ended, over as many streams as that takes. *none: the server gives none; nothing was told then. */
static int follow_by_stream(struct follow *follow, bool *none)
{
    const struct kenctl_sink sink = {begin_stream, take_bytes, follow};
    char *path = kenctl_job_path(follow->id, "/events");
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    int result = path ? KENCTL_SUCCESS : kenctl_fail(KENCTL_FAILURE, "out of memory");
    bool ended = false;
    for (unsigned attempt = 0; result == KENCTL_SUCCESS && !ended && !*none;) {
        follow->heard = false;
        const int code = kenctl_http_stream(follow->http, path, follow->reader.id, &sink, &response, &error);
        kenctl_event_reader_end(&follow->reader);
        ended = proto_status_is_terminal(follow->status) || (!code && response.status == 204);
        if (follow->lost) result = KENCTL_FAILURE;
        *none = !ended && !code && response.status != 200;
        if (ended || *none || follow->lost) break;
        if (follow->heard) attempt = 0;
        if ((code && code != KEN_EFETCH) || !kenctl_back_off(follow->http, attempt++)) {
            if (!code) ken_fail(&error, KEN_EFETCH, "%s: the stream of events ends again and again", follow->kenctl->server);
            if (kenctl_interrupted(NULL)) ken_fail(&error, KEN_ECANCELLED, "interrupted");
            result = kenctl_call_failed(follow->kenctl, &error);
        }
    }
    kenctl_response_clear(&response);
    free(path);
    return result;
}

/* ---- its representation */

/* Whether all that a job's check warns of has been told. */
static bool is_checked(const json_t *job)
{
    const char *stage = json_string_value(json_object_get(job, "stage"));
    return stage && *stage && strcmp(stage, proto_stage_name(PROTO_CHECKING)) != 0;
}

static int take_job(struct follow *follow, json_t *job)
{
    json_decref(follow->job);
    follow->job = json_incref(job);
    int result = read_status(follow, job);
    if (result != KENCTL_SUCCESS) return result;
    const bool ended = proto_status_is_terminal(follow->status);
    if (!follow->warned && (ended || is_checked(job))) {
        json_int_t last = strtoll(follow->reader.id, NULL, 10);
        kenctl_progress_clear(&follow->progress);
        kenctl_job_warn(follow->http, follow->id, &last);
        if (last) kenctl_event_reader_begin(&follow->reader, last);
        follow->warned = !ended;
    }
    if (!ended) show_progress(&follow->progress, job);
    return KENCTL_SUCCESS;
}

/* Asks for the job: as it is the first time, or after it was told by other means, then when it has changed, or for nothing after a while.
 */
static int ask(struct follow *follow)
{
    struct kenctl_response response = {0};
    char rest[32] = "";
    const char *etag = *follow->etag ? follow->etag : NULL;
    if (etag) snprintf(rest, sizeof rest, "?wait=%d", WAIT_SECONDS);
    int result = kenctl_job_ask(follow->kenctl, follow->http, follow->id, rest, etag, WAIT_SECONDS, &response);
    if (result == KENCTL_SUCCESS && response.status == 200) {
        memcpy(follow->etag, response.etag, sizeof follow->etag);
        result = take_job(follow, response.json);
    }
    kenctl_response_clear(&response);
    return result;
}

static int follow_by_polls(struct follow *follow)
{
    const struct timespec pause = {.tv_nsec = LEAST_PAUSE_MS * 1000000L};
    int result = KENCTL_SUCCESS;
    while (result == KENCTL_SUCCESS && !proto_status_is_terminal(follow->status)) {
        nanosleep(&pause, NULL);
        result = ask(follow);
    }
    return result;
}

static int follow_to_the_end(struct follow *follow)
{
    bool none = false;
    follow->warned = follow->lines; /* among the lines */
    int result = ask(follow);
    const enum proto_status first = follow->status;
    if (result != KENCTL_SUCCESS || (proto_status_is_terminal(first) && !follow->lines)) return result;
    follow->status = PROTO_QUEUED; /* until the stream tells more */
    result = follow_by_stream(follow, &none);
    follow->warned = !none;
    if (none) {
        follow->status = first;
        return follow_by_polls(follow);
    }
    follow->etag[0] = '\0';
    return result == KENCTL_SUCCESS ? ask(follow) : result;
}

int kenctl_job_follow(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, bool lines, json_t **job)
{
    struct follow follow = {.kenctl = kenctl, .http = http, .id = id, .lines = lines};
    follow.reader.take = take_event;
    follow.reader.opaque = &follow;
    kenctl_watch_signals();
    kenctl_progress_begin(&follow.progress, kenctl->quiet);
    int result = follow_to_the_end(&follow);
    *job = follow.job;
    if (result == KENCTL_SUCCESS) {
        kenctl_progress_end(&follow.progress, proto_status_name(follow.status));
        result = exit_of(follow.status);
    }
    kenctl_progress_clear(&follow.progress);
    if (result == KENCTL_INTERRUPTED)
        fprintf(stderr, "The job goes on. `kenctl watch %s` waits again, `kenctl cancel %s` ends it.\n", id, id);
    return result;
}
