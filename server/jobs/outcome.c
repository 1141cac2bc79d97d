/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ended: what the log, the store and the job's folder hear of it. */
#include "jobs/engine_parts.h"
#include "jobs/result.h"

#include "log.h"

#include <unistd.h>

enum { STORE_RETRY_MS = 500 };

static enum kend_store_result tell_once(struct kend_run *run, struct kend_outcome *outcome)
{
    struct kend_store *store = run->engine->parts.store;
    outcome->now = proto_now_ms();
    if (outcome->event == PROTO_HAND_BACK) return store->ops->hand_back(store, run->job->id, run->token, outcome->now, outcome->timings);
    return store->ops->finish(store, run->job->id, run->token, outcome);
}

/* A store that does not answer is asked again until it does, or the process ends: then the next one finds the lease and goes on. */
static void tell(struct kend_run *run, struct kend_outcome *outcome, enum proto_status status)
{
    const struct kend_parts *parts = &run->engine->parts;
    enum kend_store_result result = tell_once(run, outcome);
    while ((result == KEND_STORE_UNAVAILABLE || result == KEND_STORE_NO_SPACE) && !atomic_load(&run->engine->stopping)) {
        kend_log(KEND_LOG_ERROR, "the outcome of a job cannot be stored yet", KEND_LOG_JOB(run->job),
                 KEND_S("reason", kend_store_result_text(result)));
        usleep(STORE_RETRY_MS * 1000);
        result = tell_once(run, outcome);
    }
    if (result != KEND_STORE_OK)
        kend_log(KEND_LOG_WARN, "the outcome of a job was not stored", KEND_LOG_JOB(run->job),
                 KEND_S("reason", kend_store_result_text(result)));
    else if (proto_status_is_terminal(status))
        kend_metrics_job(run->engine, status);
    if (result == KEND_STORE_OK && status == PROTO_FAILED) kend_metrics_error(run->engine, outcome->error);
    if (parts->changed) parts->changed(parts->opaque, run->job->id, run->job->owner);
}

/* What a failed or stopped job is told as. `stage` is where it happened. */
static struct kend_outcome outcome_of(const struct kend_run *run, int code, enum proto_stage stage, const struct ken_error *error)
{
    struct kend_outcome outcome = {
        .event = PROTO_FAIL, .error_stage = stage, .error_message = error->message, .timings = run->state.timings};
    switch ((enum kend_stop)atomic_load(&run->stop)) {
    case KEND_STOP_CANCEL: outcome.event = PROTO_STOP; return outcome;
    case KEND_STOP_LOST: /* if the lease is another's by now, the store refuses */
    case KEND_STOP_HAND_BACK: outcome.event = PROTO_HAND_BACK; return outcome;
    case KEND_STOP_TIMEOUT:
        outcome.error = PROTO_JOB_TIMED_OUT;
        outcome.error_message = run->late;
        return outcome;
    default: break;
    }
    outcome.error = proto_job_error_of(code);
    if (stage == PROTO_PUBLISHING && code == KEN_EIO) outcome.error = PROTO_JOB_ARTIFACT_STORE_FAILED;
    return outcome;
}

static uint64_t total_size(const struct kend_artifact_list *artifacts)
{
    uint64_t bytes = 0;
    for (size_t i = 0; artifacts && i < artifacts->count; i++) bytes += artifacts->item[i].size;
    return bytes;
}

/* One line that tells how it went, whatever came of it. */
static void log_outcome(const struct kend_run *run, const struct kend_outcome *outcome, enum proto_status status)
{
    const double seconds = (double)(proto_now_ms() - run->job->started_at) / 1000;
    const struct kend_log_field attempt = KEND_I("attempt", run->job->attempt);
    if (outcome->event == PROTO_HAND_BACK)
        kend_log(KEND_LOG_INFO, "job handed back", KEND_LOG_JOB(run->job), attempt, KEND_SECONDS("seconds", seconds));
    else if (outcome->event == PROTO_FAIL)
        kend_log(KEND_LOG_WARN, "job ended", KEND_LOG_JOB(run->job), KEND_S("status", proto_status_name(status)),
                 KEND_S("error", proto_job_error_code(outcome->error)), KEND_S("reason", outcome->error_message), attempt,
                 KEND_SECONDS("seconds", seconds));
    else
        kend_log(KEND_LOG_INFO, "job ended", KEND_LOG_JOB(run->job), KEND_S("status", proto_status_name(status)), attempt,
                 KEND_SECONDS("seconds", seconds), KEND_I("bytes_fetched", run->state.progress.bytes_fetched),
                 KEND_I("rows", run->state.progress.rows_done), KEND_I("artifact_bytes", total_size(outcome->artifacts)));
}

void kend_run_conclude(struct kend_run *run, int code, enum proto_stage stage, const struct kend_result *result,
                       const struct ken_error *error)
{
    struct kend_outcome outcome = outcome_of(run, code, stage, error);
    if (!code) {
        outcome.event = PROTO_SUCCEED;
        outcome.artifacts = &result->artifacts;
        outcome.summary = result->summary;
    }
    enum proto_status status;
    KEN_ASSERT(proto_transition(outcome.event, PROTO_RUNNING, &status));
    log_outcome(run, &outcome, status);
    /* Before the row, for on a full disk this may be the room that the row needs. */
    if (proto_status_is_terminal(status)) kend_engine_clear(run->engine, run->job->id, status);
    tell(run, &outcome, status);
}
