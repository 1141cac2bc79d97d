/* SPDX-License-Identifier: Apache-2.0 */
#include "event_reader.h"
#include "job_pages.h"
#include "kenctl.h"
#include "lifecycle.h"
#include "print.h"
#include "remote_job.h"

#include <stdlib.h>
#include <string.h>

/* ---- one job */

static int watch_one(struct kenctl *kenctl, struct kenctl_http *http, const char *id)
{
    json_t *job = NULL;
    int status = kenctl_job_follow(kenctl, http, id, kenctl->json, &job);
    if (job && status != KENCTL_INTERRUPTED) {
        int printed = kenctl->json ? kenctl_print_json_line(job) : kenctl_job_show(job);
        if (printed != KENCTL_SUCCESS) status = printed;
    }
    json_decref(job);
    return status;
}

/* ---- all jobs */

struct watch {
    const struct kenctl *kenctl;
    struct kenctl_http *lists; /* a connection beside the stream's */
    struct kenctl_event_reader reader;
    json_t *told; /* of each job that was told: status and stage */
    bool heard;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_end(const char *name)
{
    enum proto_status status;
    return proto_status_parse(name, &status) && proto_status_is_terminal(status);
}

/*
 * Of people's lines there is one for each status and stage. Whether this is one that was not told. An ended job whose artifacts were
 * evicted ended long ago.
 */
static bool is_news(struct watch *watch, const json_t *job)
{
    const char *id = text_of(job, "id"), *status = text_of(job, "status");
    const json_t *before = json_object_get(watch->told, id);
    json_t *now = json_pack("[s, s]", status, text_of(job, "stage"));
    const bool old = !before && is_end(status) && *text_of(job, "evicted_at");
    const bool news = !old && (!now || !json_equal(now, before));
    json_object_set_new(watch->told, id, now);
    return news;
}

static void print_padded(const char *text, int width)
{
    kenctl_print_text(stdout, text);
    printf("%*s", width > (int)strlen(text) ? width - (int)strlen(text) + 2 : 2, "");
}

static void tell_job(struct watch *watch, json_t *job)
{
    const json_t *percent = json_object_get(json_object_get(job, "progress"), "percent");
    char done[16] = "";
    const bool news = is_news(watch, job);
    if (watch->kenctl->json) {
        json_t *line = json_pack("{s:s, s:O}", "type", "job", "data", job);
        kenctl_print_json_line(line);
        json_decref(line);
        return;
    }
    if (!news) return;
    if (json_is_number(percent)) snprintf(done, sizeof done, "%u%%", kenctl_percent(percent));
    print_padded(text_of(job, "id"), 30);
    print_padded(text_of(job, "status"), 9);
    print_padded(text_of(job, "stage"), 10);
    printf("%4s  ", done);
    kenctl_print_text(stdout, text_of(job, "name"));
    putchar('\n');
    fflush(stdout);
}

static void tell_deleted(struct watch *watch, json_t *data)
{
    json_object_del(watch->told, text_of(data, "id"));
    if (watch->kenctl->json) {
        json_t *line = json_pack("{s:s, s:O}", "type", "deleted", "data", data);
        kenctl_print_json_line(line);
        json_decref(line);
        return;
    }
    print_padded(text_of(data, "id"), 30);
    puts("deleted");
    fflush(stdout);
}

static bool take_event(void *opaque, const struct kenctl_event *event)
{
    struct watch *watch = opaque;
    json_t *data = json_loads(event->data, JSON_REJECT_DUPLICATES, NULL);
    watch->heard = true;
    if (data && strcmp(event->type, "job") == 0) tell_job(watch, data);
    if (data && strcmp(event->type, "deleted") == 0) tell_deleted(watch, data);
    json_decref(data);
    return !ferror(stdout);
}

/* ---- what there is */

static bool add_job(void *jobs, json_t *job)
{
    return json_array_append(jobs, job) == 0;
}

/* Tells of the jobs in a status, the oldest first, and takes them out of `open`. False after a fault, which was told. */
static bool tell_those(struct watch *watch, enum proto_status status, json_t *open)
{
    json_t *jobs = json_array();
    const int listed =
        jobs ? kenctl_jobs_each(watch->kenctl, watch->lists, NULL, status, add_job, jobs) : kenctl_fail(KENCTL_FAILURE, "out of memory");
    for (size_t i = json_array_size(jobs); i-- > 0;) {
        tell_job(watch, json_array_get(jobs, i));
        json_object_del(open, text_of(json_array_get(jobs, i), "id"));
    }
    json_decref(jobs);
    return listed == KENCTL_SUCCESS;
}

/* What became of a job that had not ended when it was told of. */
static void tell_fate(struct watch *watch, const char *id)
{
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    char *path = kenctl_job_path(id, "");
    struct kenctl_request request = {.method = "GET", .path = path};
    json_t *data = json_pack("{s:s}", "id", id);
    if (!path || !data)
        kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (kenctl_http_call(watch->lists, &request, &response, &error))
        kenctl_call_failed(watch->kenctl, &error);
    else if (response.status == 404)
        tell_deleted(watch, data);
    else if (response.status == 200 && json_is_object(response.json))
        tell_job(watch, response.json);
    else
        kenctl_refused(watch->kenctl, &response);
    json_decref(data);
    kenctl_response_clear(&response);
    free(path);
}

/* Of the jobs that were told, those that had not ended; ended ones are forgotten. NULL if out of memory. */
static json_t *take_open(struct watch *watch)
{
    const char *id;
    json_t *told, *open = json_object();
    void *next;
    json_object_foreach_safe(watch->told, next, id, told)
    {
        if (is_end(json_string_value(json_array_get(told, 0))))
            json_object_del(watch->told, id);
        else if (open)
            json_object_set(open, id, told);
    }
    return open;
}

/*
 * The stream has begun: now, so that nothing is missed in between, what there is. Told are jobs that have not ended, and what became since
 * of those that were told of. What cannot be asked for is left out, with a word: the stream goes on.
 */
static bool begin_stream(void *opaque, long status)
{
    struct watch *watch = opaque;
    const char *id;
    json_t *told, *open = take_open(watch);
    (void)status;
    if (open && tell_those(watch, PROTO_RUNNING, open) && tell_those(watch, PROTO_QUEUED, open)) {
        json_object_foreach(open, id, told)
        {
            tell_fate(watch, id);
        }
    }
    json_decref(open);
    return true;
}

static bool take_bytes(void *opaque, const void *bytes, size_t length)
{
    struct watch *watch = opaque;
    return kenctl_event_reader_put(&watch->reader, bytes, length);
}

/* Streams, one after the other, until a signal comes or the server does not come back. */
static int watch_streams(struct watch *watch, struct kenctl_http *http)
{
    const struct kenctl_sink sink = {begin_stream, take_bytes, watch};
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    int result = KENCTL_SUCCESS;
    for (unsigned attempt = 0; result == KENCTL_SUCCESS && !ferror(stdout);) {
        watch->heard = false;
        const int code = kenctl_http_stream(http, "/v1/events", "", &sink, &response, &error);
        kenctl_event_reader_end(&watch->reader);
        if (watch->heard) attempt = 0;
        const bool again = code ? code == KEN_EFETCH : response.status == 200 || kenctl_is_busy(response.status);
        if (ferror(stdout) || (again && kenctl_back_off(http, attempt++))) continue;
        if (kenctl_interrupted(NULL))
            result = kenctl_fail(KENCTL_INTERRUPTED, "interrupted");
        else if (!code && response.status == 404)
            result = kenctl_fail(KENCTL_FAILURE, "the server is older and has no stream of all jobs; `kenctl list` shows them");
        else
            result = code ? kenctl_call_failed(watch->kenctl, &error) : kenctl_refused(watch->kenctl, &response);
    }
    kenctl_response_clear(&response);
    return result;
}

static int watch_all(struct kenctl *kenctl, struct kenctl_http *http)
{
    struct watch watch = {.kenctl = kenctl, .lists = kenctl_http_open(kenctl), .told = json_object()};
    watch.reader.take = take_event;
    watch.reader.opaque = &watch;
    kenctl_watch_signals();
    int status = KENCTL_USAGE;
    if (watch.lists) status = watch.told ? watch_streams(&watch, http) : kenctl_fail(KENCTL_FAILURE, "out of memory");
    kenctl_http_close(&watch.lists);
    json_decref(watch.told);
    return status;
}

static int run(struct kenctl *kenctl)
{
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    int status = kenctl->arguments.operand_count ? watch_one(kenctl, http, kenctl->arguments.operands[0]) : watch_all(kenctl, http);
    kenctl_http_close(&http);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT};

const struct kenctl_command kenctl_command_watch = {
    .name = "watch",
    .summary = "Wait for a job's end, or follow all jobs",
    .operands = "[ID]",
    .text =
        "With an ID: shows the job's progress, then the job. The exit status is 0 if it succeeded, 1 if it failed, 3 if it was cancelled.\n"
        "Without: a line for each job that has not ended, and for each change of status or stage from then on, until interrupted.\n"
        "With -o json, each event is a line of its own; the last line of a single job is the job itself.\n"
        "\nExamples:\n"
        "  kenctl watch job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C\n"
        "  kenctl watch -q job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C && kenctl download job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C -o pruned\n"
        "  kenctl watch -o json | jq -r 'select(.data.status == \"failed\").data.id'\n",
    .options = options,
    .option_count = sizeof options,
    .most = 1,
    .run = run,
};
