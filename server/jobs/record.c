/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/record.h"

#include "error.h"
#include "json.h"
#include "json_load.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void kend_record_clear(struct kend_record *record)
{
    kend_job_free(&record->job);
    free(record->holder);
    *record = (struct kend_record){0};
}

/* The one place where a status changes; the caller knows that the job can have the event. */
static void change_status(struct kend_record *record, enum proto_event event, enum proto_stage stage)
{
    enum proto_status to;
    KEN_ASSERT(proto_transition(event, record->job->status, &to));
    record->job->status = to;
    record->job->stage = stage;
    record->announce = true;
}

static void end_lease(struct kend_record *record)
{
    free(record->holder);
    record->holder = NULL;
    record->token[0] = '\0';
    record->lease_until = 0;
}

static void end_job(struct kend_record *record, enum proto_event event, int64_t now, int64_t keep_ms)
{
    change_status(record, event, PROTO_NO_STAGE);
    record->job->finished_at = now;
    record->job->expires_at = keep_ms ? now + keep_ms : 0;
    end_lease(record);
}

static enum kend_store_result set_error(struct kend_job *job, enum proto_job_error error, enum proto_stage stage, const char *message)
{
    char *copy = strdup(message ? message : "");
    if (!copy) return KEND_STORE_UNAVAILABLE;
    free(job->error_message);
    job->error_message = copy;
    job->has_error = true;
    job->error = error;
    job->error_stage = stage;
    return KEND_STORE_OK;
}

static bool make_token(char token[KEND_TOKEN_SIZE])
{
    unsigned char bytes[(KEND_TOKEN_SIZE - 1) / 2];
    ssize_t got;
    do got = getrandom(bytes, sizeof bytes, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof bytes) return false;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static enum kend_store_result exhaust(struct kend_record *record, int64_t now, int64_t keep_ms)
{
    char message[128];
    snprintf(message, sizeof message, "the job's runner ended %d times in a row without new durable progress", KEND_MAX_DEATHS);
    enum kend_store_result result = set_error(record->job, PROTO_JOB_ATTEMPTS_EXHAUSTED, record->job->stage, message);
    if (result != KEND_STORE_OK) return result;
    end_job(record, PROTO_EXHAUST, now, keep_ms);
    return KEND_STORE_EXHAUSTED;
}

int64_t kend_record_deaths(const struct kend_record *record)
{
    return record->job->deaths + (record->job->status == PROTO_RUNNING);
}

enum kend_store_result kend_record_claim(struct kend_record *record, const char *holder, int64_t now, int64_t lease_ms, int64_t keep_ms)
{
    struct kend_job *job = record->job;
    bool died = job->status == PROTO_RUNNING;
    job->deaths = kend_record_deaths(record);
    if (job->deaths >= KEND_MAX_DEATHS) return exhaust(record, now, keep_ms);
    char *copy = strdup(holder);
    if (!copy || !make_token(record->token)) {
        free(copy);
        return KEND_STORE_UNAVAILABLE;
    }
    free(record->holder);
    record->holder = copy;
    record->lease_until = now + lease_ms;
    job->attempt++;
    if (!job->started_at) job->started_at = now;
    change_status(record, died ? PROTO_RECLAIM : PROTO_CLAIM, PROTO_CHECKING);
    return KEND_STORE_OK;
}

bool kend_record_held(const struct kend_record *record, const char *token)
{
    return record->job->status == PROTO_RUNNING && record->token[0] && strcmp(record->token, token) == 0;
}

void kend_record_progress(struct kend_record *record, const struct kend_run_state *state)
{
    struct kend_job *job = record->job;
    if (job->stage != state->stage) record->announce = true;
    job->stage = state->stage;
    job->progress = state->progress;
    memcpy(job->timings, state->timings, sizeof job->timings);
    if (state->marker <= record->marker) return;
    record->marker = state->marker;
    job->deaths = 0;
}

enum kend_store_result kend_record_cancel(struct kend_record *record, int64_t now, int64_t keep_ms)
{
    struct kend_job *job = record->job;
    if (proto_status_is_terminal(job->status)) return KEND_STORE_FINISHED;
    if (!job->cancel_requested_at) job->cancel_requested_at = now;
    if (job->status == PROTO_QUEUED) end_job(record, PROTO_CANCEL, now, keep_ms);
    return KEND_STORE_OK;
}

enum kend_store_result kend_record_finish(struct kend_record *record, const struct kend_outcome *outcome, int64_t keep_ms)
{
    struct kend_job *job = record->job;
    if (outcome->event == PROTO_FAIL) {
        enum kend_store_result result = set_error(job, outcome->error, outcome->error_stage, outcome->error_message);
        if (result != KEND_STORE_OK) return result;
    }
    if (outcome->event == PROTO_SUCCEED && outcome->summary) {
        char *summary = strdup(outcome->summary);
        if (!summary) return KEND_STORE_UNAVAILABLE;
        free(job->summary);
        job->summary = summary;
    }
    if (outcome->timings) memcpy(job->timings, outcome->timings, sizeof job->timings);
    end_job(record, outcome->event, outcome->now, keep_ms);
    return KEND_STORE_OK;
}

void kend_record_hand_back(struct kend_record *record, int64_t now, const double *timings, int64_t keep_ms)
{
    struct kend_job *job = record->job;
    if (timings) memcpy(job->timings, timings, sizeof job->timings);
    if (job->cancel_requested_at) {
        end_job(record, PROTO_STOP, now, keep_ms);
        return;
    }
    change_status(record, PROTO_HAND_BACK, PROTO_NO_STAGE);
    end_lease(record);
}

const char kend_record_eviction_event[] =
    "{\"level\":\"info\",\"message\":\"the artifacts were deleted to make room for those of other jobs (artifacts.max_bytes)\"}";

static int set_stage(json_t *object, enum proto_stage stage)
{
    return stage == PROTO_NO_STAGE ? 0 : json_object_set_new(object, "stage", json_string(proto_stage_name(stage)));
}

char *kend_record_status_event(const struct kend_record *record)
{
    const struct kend_job *job = record->job;
    json_t *event = json_pack("{s:s, s:I}", "status", proto_status_name(job->status), "attempt", (json_int_t)job->attempt);
    if (!event) return NULL;
    char *text = NULL;
    if (set_stage(event, job->stage)) goto out;
    if (job->has_error) {
        json_t *error = json_pack("{s:s, s:o}", "code", proto_job_error_code(job->error), "message", proto_json_text(job->error_message));
        if (json_object_set_new(event, "error", error) || set_stage(error, job->error_stage)) goto out;
    }
    text = proto_json_dump(event, JSON_COMPACT);
out:
    json_decref(event);
    return text;
}
