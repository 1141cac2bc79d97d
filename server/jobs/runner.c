/* SPDX-License-Identifier: Apache-2.0 */
/* A runner: claims a job and takes it through its stages, in plain sequence, on a thread of its own. */
#include "jobs/engine_parts.h"
#include "jobs/inputs.h"
#include "jobs/kind.h"

#include "json_load.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDLE_MS = 1000 };
#define DAY_MS INT64_C(86400000)

/* What a job holds while it is worked on, in the order in which it is taken. */
struct work {
    struct proto_job *job;
    struct kend_check check;
    struct kend_work kind;
    bool other_base; /* it failed because the base is another one than the delta's */
    struct kend_result result;
};

/* ---- what the parts below ask and tell; `opaque` is the run */

void kend_run_stop(struct kend_run *run, enum kend_stop reason)
{
    int none = KEND_STOP_NOT;
    if (reason == KEND_STOP_LOST)
        atomic_store(&run->stop, reason);
    else
        atomic_compare_exchange_strong(&run->stop, &none, reason);
}

bool kend_run_cancelled(void *opaque)
{
    struct kend_run *run = opaque;
    return atomic_load(&run->stop) != KEND_STOP_NOT;
}

static void on_note(void *opaque, const char *text)
{
    kend_run_note(opaque, "info", text);
}

static void on_rows(void *opaque, uint64_t rows)
{
    struct kend_run *run = opaque;
    atomic_store(&run->rows_done, rows);
}

static void on_durable_rows(void *opaque, uint64_t rows)
{
    struct kend_run *run = opaque;
    atomic_store(&run->rows_durable, rows);
    kend_run_report(run);
}

/* ---- the stages */

static int parse_job(struct kend_run *run, struct proto_job **job, struct ken_error *error)
{
    static const struct proto_policy any = {.schemes =
                                                "http,https,file"}; /* what is allowed was asked on submission, and is by the fetcher */
    struct proto_faults faults = {0};
    if (!run->document) return ken_fail(error, KEN_EINTERNAL, "the stored document cannot be read: no JSON");
    int code = proto_job_parse(job, run->document, &any, &faults);
    if (code && faults.count) {
        code = ken_fail(error, KEN_EINTERNAL, "the stored document cannot be read: %s %s", faults.fault[0].pointer, faults.fault[0].detail);
    } else if (code) {
        kend_run_stop(run, KEND_STOP_HAND_BACK); /* as in run_setup: it has done nothing yet that could be lost */
        code = ken_fail(error, KEN_ECANCELLED, "out of memory");
    }
    proto_faults_clear(&faults);
    return code;
}

static int check(struct kend_run *run, struct work *work, struct kend_turn *turn, struct ken_error *error)
{
    const struct kend_check_request request = {
        .job = work->job,
        .owner = run->job->owner,
        .cancelled = kend_run_cancelled,
        .note = on_note,
        .opaque = run,
        .turn = turn,
        .id = run->job->id,
    };
    return kend_check_open(&work->check, &run->engine->parts, &request, error);
}

/* Who waits for room has done nothing yet that a drain should let end. */
static bool need_not_wait(void *opaque)
{
    struct kend_run *run = opaque;
    pthread_mutex_lock(&run->engine->mutex);
    const bool draining = run->engine->draining;
    pthread_mutex_unlock(&run->engine->mutex);
    if (draining) kend_run_stop(run, KEND_STOP_HAND_BACK);
    return kend_run_cancelled(run);
}

/* Checks until there is room for all that the job fetches and writes. While it waits it holds nothing of the cache. */
static int check_in_turn(struct kend_run *run, struct work *work, struct ken_error *error)
{
    struct kend_fetcher *fetcher = run->engine->parts.fetcher;
    struct kend_turn turn = {0};
    char text[KEN_MESSAGE_MAX];
    const int64_t begun = kend_monotonic_ms();
    kend_run_enter(run, PROTO_CHECKING);
    int code = check(run, work, &turn, error);
    const bool waits = code == KEN_EBUSY;
    if (waits) {
        snprintf(text, sizeof text, "waiting for room: %.400s", error->message);
        kend_run_note(run, "info", text);
    }
    while (code == KEN_EBUSY) {
        code = kend_turn_wait(fetcher, &turn, need_not_wait, run, error);
        if (!code) code = check(run, work, &turn, error);
    }
    kend_turn_leave(fetcher, &turn);
    if (waits && !code) {
        snprintf(text, sizeof text, "there is room now, after %.1f s", (double)(kend_monotonic_ms() - begun) / 1000);
        kend_run_note(run, "info", text);
    }
    return code;
}

static void note_resumed(struct kend_run *run, const struct kend_check *check, uint64_t rows)
{
    struct kend_location_state inputs;
    char text[160];
    kend_check_state(check, &inputs);
    if (run->job->attempt > 1 || rows) {
        snprintf(text, sizeof text,
                 "attempt %" PRId64 " goes on: %" PRIu64 " of %" PRIu64 " bytes are there, %" PRIu64 " of %" PRIu64 " rows are done",
                 run->job->attempt, inputs.bytes_resumed, inputs.bytes_total, rows, run->rows_total);
        kend_run_note(run, "info", text);
    }
}

/* Waits for the rest of every input. */
static int wait_for_inputs(const struct kend_check *check, struct ken_error *error)
{
    int code = 0;
    for (size_t i = 0; !code && i < KEND_SIDES; i++) {
        struct ken_error reason = {0};
        code = kend_location_wait(check->sides[i].location, &reason);
        if (code) ken_fail(error, code, "%s: %.480s", check->kind->sides[i].name, reason.message);
    }
    return code;
}

static int open_folder(struct kend_run *run, struct work *work, struct ken_error *error)
{
    struct kend_artifacts *artifacts = run->engine->parts.artifacts;
    int code = work->check.kind->resumes ? 0 : artifacts->ops->clear_work(artifacts, run->job->id, error);
    return code ? code : artifacts->ops->work(artifacts, run->job->id, &work->kind.directory, error);
}

/* Fetching and the work overlap: rows are taken as their bytes come in. */
static int fetch_and_work(struct kend_run *run, struct work *work, struct ken_error *error)
{
    const struct kend_parts *parts = &run->engine->parts;
    const struct kend_kind *kind = work->check.kind;
    uint64_t resumed = 0;
    kend_run_watch(run, &work->check);
    kend_run_enter(run, PROTO_FETCHING);
    for (size_t i = 0; i < KEND_SIDES; i++) kend_location_fetch(work->check.sides[i].location);
    kend_run_report(run); /* everything may be there already */
    work->kind = (struct kend_work){
        .check = &work->check,
        .job = work->job,
        .budget = parts->budget,
        .directory = -1,
        .cancelled = kend_run_cancelled,
        .rows = on_rows,
        .durable_rows = on_durable_rows,
        .opaque = run,
    };
    int code = open_folder(run, work, error);
    if (!code) code = kend_pool_join(parts->pool, &work->kind.executor, error);
    if (!code) code = kind->open(&work->kind, &resumed, error);
    if (code) return code;
    kend_run_resumed(run, resumed);
    note_resumed(run, &work->check, resumed);
    code = kind->run(&work->kind, error);
    work->other_base = code == KEN_EDIGEST;
    if (!code) code = wait_for_inputs(&work->check, error);
    kend_run_report(run); /* the last byte ends fetching, whoever notices first */
    return code;
}

static int publish(struct kend_run *run, struct work *work, struct ken_error *error)
{
    struct kend_artifacts *artifacts = run->engine->parts.artifacts;
    kend_run_enter(run, PROTO_PUBLISHING);
    int code = work->check.kind->finish(&work->kind, &work->result, error);
    if (!code && work->check.plan) code = kend_inputs_write(&work->check, work->kind.directory, error);
    if (!code) code = kend_result_write(&work->result, work->kind.directory, error);
    if (!code && kend_run_cancelled(run)) code = KEN_ECANCELLED;
    if (!code) code = artifacts->ops->publish(artifacts, run->job->id, error);
    return code;
}

static void count_pruned(struct kend_run *run, const struct work *work)
{
    for (size_t i = 0; i < work->job->options.variant_count; i++)
        kend_metrics_pruned(run->engine, work->job->options.variants[i].method, work->check.need.pruned_parameters);
}

/* An earlier attempt died between publishing and telling the store: its result lies beside the artifacts. */
static bool published_before(struct kend_run *run, struct work *work, int *code, struct ken_error *error)
{
    struct kend_artifacts *artifacts = run->engine->parts.artifacts;
    int file;
    uint64_t size;
    if (!artifacts->ops->published(artifacts, run->job->id)) return false;
    kend_run_enter(run, PROTO_PUBLISHING);
    kend_run_note(run, "info", "the artifacts were published by an earlier attempt");
    *code = artifacts->ops->open(artifacts, run->job->id, KEND_RESULT_NAME, &file, &size, error);
    if (*code) return true;
    *code = kend_result_read(&work->result, file, size, error);
    close(file);
    return true;
}

/* What the plan warns of is told once, and early: whoever follows the job may stop it before the work is done. */
static void note_warnings(struct kend_run *run, const struct ken_plan *plan)
{
    enum { MOST = 20 };
    const size_t count = plan && run->job->attempt == 1 ? ken_plan_warning_count(plan) : 0;
    char text[64];
    for (size_t i = 0; i < count && i < MOST; i++) kend_run_note(run, "warn", ken_plan_warning(plan, i));
    if (count <= MOST) return;
    snprintf(text, sizeof text, "%zu more warnings are in the report", count - MOST);
    kend_run_note(run, "warn", text);
}

static void note_suspect(struct kend_run *run)
{
    if (run->job->deaths >= KEND_SUSPECT_DEATHS)
        kend_run_note(run, "info",
                      "the process died with this job again and again: until it gets further, no other job is begun beside it");
}

static int work_through(struct kend_run *run, struct work *work, struct ken_error *error)
{
    note_suspect(run);
    int code = parse_job(run, &work->job, error);
    if (code || published_before(run, work, &code, error)) return code;
    code = check_in_turn(run, work, error);
    if (!code) note_warnings(run, work->check.plan);
    if (!code) code = fetch_and_work(run, work, error);
    if (!code) code = publish(run, work, error);
    if (!code) count_pruned(run, work);
    return code;
}

static void work_close(struct kend_run *run, struct work *work)
{
    if (work->kind.check) work->check.kind->close(&work->kind);
    if (work->kind.executor) kend_pool_leave(&work->kind.executor);
    if (work->kind.directory >= 0) close(work->kind.directory);
    kend_run_watch(run, NULL);
    kend_check_close(&work->check);
    proto_job_free(&work->job);
}

static void run_job(struct kend_run *run)
{
    struct work work = {.kind.directory = -1};
    struct ken_error error = {0};
    int code = kend_run_cancelled(run) ? KEN_ECANCELLED : work_through(run, &work, &error);
    work_close(run, &work);
    kend_room_leave(&run->engine->parts, run->job->id); /* before another runner can have the job, and a promise of the same name */
    enum proto_stage stage = kend_run_settle(run);
    if (code == KEN_EDIGEST) stage = work.other_base ? PROTO_PRUNING : PROTO_FETCHING; /* wherever it was noticed */
    kend_run_conclude(run, code, stage, &work.result, &error);
    kend_result_clear(&work.result);
}

/* ---- claiming */

/* Ends the claiming: makes the run (NULL: there was nothing to claim) visible to the keeper and to a drain in the same step. */
static void claim_end(struct kend_runner *runner, struct kend_run *run)
{
    struct kend_engine *engine = runner->engine;
    pthread_mutex_lock(&engine->mutex);
    if (run && engine->hurry) kend_run_stop(run, KEND_STOP_HAND_BACK);
    runner->run = run;
    engine->claiming--;
    pthread_cond_broadcast(&engine->settled);
    pthread_mutex_unlock(&engine->mutex);
}

static void run_end(struct kend_runner *runner, struct kend_run *run)
{
    struct kend_engine *engine = runner->engine;
    pthread_mutex_lock(&engine->mutex);
    runner->run = NULL;
    while (run->kept) pthread_cond_wait(&engine->settled, &engine->mutex);
    pthread_cond_broadcast(&engine->settled);
    pthread_mutex_unlock(&engine->mutex);
    pthread_mutex_destroy(&run->mutex);
    json_decref(run->document);
    kend_job_free(&run->job);
}

/* The shorter of what the job and the operator allow; counted from the first start, over all attempts. */
static void set_deadline(struct kend_run *run, int64_t claimed_at)
{
    const int64_t own = json_integer_value(json_object_get(run->document, "timeout_seconds"));
    const int64_t most = (int64_t)run->engine->parts.conf->jobs_max_seconds;
    const bool bounded = most && (!own || most < own);
    const int64_t seconds = bounded ? most : own;
    run->late = bounded ? "the job took longer than the server's jobs.max_seconds" : "the job took longer than its timeout_seconds";
    if (seconds) run->deadline = claimed_at + seconds * 1000 - (proto_now_ms() - run->job->started_at);
}

static void run_setup(struct kend_run *run, int64_t claimed_at)
{
    const int64_t lease = (int64_t)run->engine->parts.conf->jobs_lease_seconds * 1000;
    json_error_t error;
    run->document = proto_json_load(run->job->spec, strlen(run->job->spec), 0, &error);
    if (!run->document && !*error.text) kend_run_stop(run, KEND_STOP_HAND_BACK); /* out of memory is no fault of the document */
    atomic_store(&run->lease_ends, claimed_at + lease);
    run->stage_since = claimed_at;
    set_deadline(run, claimed_at);
    memcpy(run->state.timings, run->job->timings, sizeof run->state.timings);
    run->state.progress = run->job->progress;
    run->bytes_shown = run->job->progress.bytes_fetched;
    run->rows_shown = run->job->progress.rows_done;
    pthread_mutex_init(&run->mutex, NULL);
    if (run->job->cancel_requested_at) kend_run_stop(run, KEND_STOP_CANCEL);
}

/* The job died too often: the store has failed it already. */
static void note_exhausted(struct kend_engine *engine, struct kend_job **job)
{
    kend_log(KEND_LOG_WARN, "job ended", KEND_LOG_JOB(*job), KEND_S("status", proto_status_name(PROTO_FAILED)),
             KEND_S("error", proto_job_error_code((*job)->error)), KEND_S("reason", (*job)->error_message),
             KEND_I("attempt", (*job)->attempt), KEND_SECONDS("seconds", (double)((*job)->finished_at - (*job)->started_at) / 1000));
    kend_engine_clear(engine, (*job)->id, PROTO_FAILED);
    kend_metrics_job(engine, PROTO_FAILED);
    kend_metrics_error(engine, (*job)->error);
    if (engine->parts.changed) engine->parts.changed(engine->parts.opaque, (*job)->id, (*job)->owner);
    kend_job_free(job);
}

/* Takes one job through its life; false if there was none, or it was handed back: then there is no hurry to claim it again. */
static bool take_one(struct kend_runner *runner)
{
    struct kend_engine *engine = runner->engine;
    const struct kend_parts *parts = &engine->parts;
    struct kend_run run = {.engine = engine};
    const int64_t lease = (int64_t)parts->conf->jobs_lease_seconds * 1000, before = kend_monotonic_ms();
    switch (parts->store->ops->claim(parts->store, parts->holder, proto_now_ms(), lease, &run.job, run.token)) {
    case KEND_STORE_OK: break;
    case KEND_STORE_EXHAUSTED:
        claim_end(runner, NULL);
        note_exhausted(engine, &run.job);
        return true;
    default: claim_end(runner, NULL); return false;
    }
    kend_log(KEND_LOG_INFO, "job claimed", KEND_LOG_JOB(run.job), KEND_I("attempt", run.job->attempt));
    run_setup(&run, before);
    claim_end(runner, &run);
    run_job(&run);
    run_end(runner, &run);
    return atomic_load(&run.stop) != KEND_STOP_HAND_BACK;
}

void *kend_runner_main(void *opaque)
{
    struct kend_runner *runner = opaque;
    struct kend_engine *engine = runner->engine;
    pthread_mutex_lock(&engine->mutex);
    while (!engine->draining) {
        const uint64_t pokes = engine->pokes;
        engine->claiming++;
        pthread_mutex_unlock(&engine->mutex);
        bool worked = take_one(runner);
        pthread_mutex_lock(&engine->mutex);
        if (!worked && !engine->draining && pokes == engine->pokes) ken_condition_wait_ms(&engine->wake, &engine->mutex, IDLE_MS);
    }
    pthread_mutex_unlock(&engine->mutex);
    return NULL;
}
