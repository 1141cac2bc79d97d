/* SPDX-License-Identifier: Apache-2.0 */
#include "remote_job.h"

#include "lifecycle.h"
#include "progress.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_SECONDS = 20, LEAST_PAUSE_MS = 200 };

int kenctl_call_failed(const struct kenctl *kenctl, const struct ken_error *error)
{
    int status = kenctl_fail_error(error);
    if (error->code == KEN_EFETCH)
        fprintf(stderr, "Is a kend running at %s? Another one is named with --server URL or KENCTL_SERVER.\n", kenctl->server);
    return status;
}

char *kenctl_job_path(const char *id, const char *rest)
{
    char *encoded = proto_percent_encode(id, ""), *path = NULL;
    if (encoded && asprintf(&path, "/v1/jobs/%s%s", encoded, rest) < 0) path = NULL;
    free(encoded);
    return path;
}

/* The answer to GET below a job: KENCTL_SUCCESS with 200 or 304. */
static int get(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, const char *etag, unsigned wait,
               struct kenctl_response *response)
{
    struct ken_error error = {0};
    char *path = kenctl_job_path(id, rest);
    if (!path) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    struct kenctl_request request = {.method = "GET", .path = path, .if_none_match = etag, .wait_seconds = wait};
    int code = kenctl_http_call(http, &request, response, &error);
    free(path);
    if (code) return kenctl_call_failed(kenctl, &error);
    if (response->status == 304) return KENCTL_SUCCESS;
    if (response->status != 200 || !json_is_object(response->json)) return kenctl_refused(kenctl, response);
    return KENCTL_SUCCESS;
}

json_t *kenctl_job_get(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, int *status)
{
    struct kenctl_response response = {0};
    *status = get(kenctl, http, id, rest, NULL, 0, &response);
    json_t *json = *status == KENCTL_SUCCESS ? json_incref(response.json) : NULL;
    kenctl_response_clear(&response);
    return json;
}

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

/* ---- warnings */

/* Prints a page's warnings with ids above *last, which follows. */
static void print_warnings(const json_t *page, json_int_t *last)
{
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(page, "data"), i, event)
    {
        const json_t *data = json_object_get(event, "data");
        const char *level = json_string_value(json_object_get(data, "level")),
                   *message = json_string_value(json_object_get(data, "message"));
        json_int_t id = json_integer_value(json_object_get(event, "id"));
        if (id <= *last) continue;
        *last = id;
        if (level && message && strcmp(level, "warn") == 0) kenctl_print_warning(message);
    }
}

void kenctl_job_warn(struct kenctl_http *http, const char *id, json_int_t *last)
{
    enum { MOST_PAGES = 50 };
    char *path = kenctl_job_path(id, "/events?limit=200");
    for (unsigned page = 0; path && page < MOST_PAGES; page++) {
        struct kenctl_response response = {0};
        struct kenctl_request request = {.method = "GET", .path = path, .once = true};
        struct ken_error error = {0};
        int code = kenctl_http_call(http, &request, &response, &error);
        free(path);
        path = NULL;
        if (!code && response.status == 200) {
            const char *next = json_string_value(json_object_get(response.json, "next"));
            char *encoded = next ? proto_percent_encode(next, "") : NULL, *rest = NULL;
            print_warnings(response.json, last);
            if (encoded && asprintf(&rest, "/events?limit=200&after=%s", encoded) >= 0) path = kenctl_job_path(id, rest);
            free(rest);
            free(encoded);
        }
        kenctl_response_clear(&response);
    }
    free(path);
}

/* ---- waiting */

/* Whether all that a job's check warns of has been told. */
static bool is_checked(const json_t *job)
{
    const char *stage = json_string_value(json_object_get(job, "stage"));
    return stage && *stage && strcmp(stage, proto_stage_name(PROTO_CHECKING)) != 0;
}

static int exit_of(enum proto_status status)
{
    return status == PROTO_SUCCEEDED ? KENCTL_SUCCESS : status == PROTO_CANCELLED ? KENCTL_CANCELLED : KENCTL_FAILURE;
}

int kenctl_job_follow(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, json_t **job)
{
    struct kenctl_progress progress;
    struct kenctl_response response = {0};
    struct timespec pause = {.tv_nsec = LEAST_PAUSE_MS * 1000000L};
    char etag[sizeof response.etag] = "", rest[32];
    enum proto_status status = PROTO_QUEUED;
    json_int_t last_event = 0;
    bool checked = false;
    int result;
    *job = NULL;
    snprintf(rest, sizeof rest, "?wait=%d", WAIT_SECONDS);
    kenctl_watch_signals();
    kenctl_progress_begin(&progress, kenctl->quiet);
    for (;;) {
        /* The first answer comes at once: a wait without an ETag would last until the job's end. */
        result = get(kenctl, http, id, *etag ? rest : "", *etag ? etag : NULL, WAIT_SECONDS, &response);
        if (result != KENCTL_SUCCESS) break;
        if (response.status == 200) {
            json_decref(*job);
            *job = json_incref(response.json);
            memcpy(etag, response.etag, sizeof etag);
            const char *name = json_string_value(json_object_get(*job, "status"));
            if (!name || !proto_status_parse(name, &status)) {
                result = kenctl_fail(KENCTL_FAILURE, "the server tells a status that this kenctl does not know: %s", name ? name : "none");
                break;
            }
            result = exit_of(status);
            bool ended = proto_status_is_terminal(status);
            if (ended || (!checked && is_checked(*job))) {
                kenctl_progress_clear(&progress);
                kenctl_job_warn(http, id, &last_event);
                checked = true;
            }
            if (ended) {
                kenctl_progress_end(&progress, proto_status_name(status));
                break;
            }
            show_progress(&progress, *job);
        }
        nanosleep(&pause, NULL);
    }
    kenctl_progress_clear(&progress);
    kenctl_response_clear(&response);
    if (result == KENCTL_INTERRUPTED)
        fprintf(stderr, "The job goes on. `kenctl watch %s` waits again, `kenctl cancel %s` ends it.\n", id, id);
    return result;
}
