/* SPDX-License-Identifier: Apache-2.0 */
/* What others see of a run: stage, progress and notes. The runner and the keeper both report, so every write is made under the run's mutex.
 */
#include "jobs/engine_parts.h"

#include "log.h"
#include "json_load.h"

#include <stdlib.h>
#include <string.h>

/* A row that is durable counts as much as this many bytes that are, in the marker of durable work. */
enum { ROW_WEIGHT = 64 };

static void changed(const struct kend_run *run)
{
    const struct kend_parts *parts = &run->engine->parts;
    if (parts->changed) parts->changed(parts->opaque, run->job->id, run->job->owner);
}

/* The run's mutex is held. Adds the time since the last look to the stage that it was spent in. */
static void clock_in(struct kend_run *run)
{
    const int64_t now = kend_monotonic_ms();
    run->state.timings[run->state.stage] += (double)(now - run->stage_since) / 1000;
    run->stage_since = now;
}

/* The run's mutex is held. */
static void enter(struct kend_run *run, enum proto_stage stage)
{
    clock_in(run);
    if (stage == run->state.stage) return;
    kend_metrics_stage(run->engine, run->state.stage, run->state.timings[run->state.stage] - run->stage_before);
    if (stage != PROTO_NO_STAGE) kend_log(KEND_LOG_INFO, "stage", KEND_LOG_JOB(run->job), KEND_S("stage", proto_stage_name(stage)));
    run->state.stage = stage;
    run->stage_before = run->state.timings[stage];
}

static uint64_t not_back(uint64_t done, uint64_t shown, uint64_t total)
{
    if (shown > total) shown = total;
    return done > shown ? done : shown;
}

/* The run's mutex is held. Fetching ends by itself: rows are pruned as their bytes come in, what is left after the last byte is pruning. */
static void look(struct kend_run *run)
{
    clock_in(run);
    if (run->check) {
        struct kend_location_state inputs;
        kend_check_state(run->check, &inputs);
        run->state.progress.bytes_total = inputs.bytes_total;
        run->state.progress.bytes_fetched = not_back(inputs.bytes_there, run->bytes_shown, inputs.bytes_total);
        run->state.progress.rows_total = run->rows_total;
        run->state.progress.rows_done = not_back(atomic_load(&run->rows_done), run->rows_shown, run->rows_total);
        run->state.marker = inputs.bytes_durable + ROW_WEIGHT * atomic_load(&run->rows_durable);
        if (run->state.stage == PROTO_FETCHING && inputs.complete) enter(run, PROTO_PRUNING);
    }
}

/* The run's mutex is held. */
static void write_state(struct kend_run *run)
{
    struct kend_store *store = run->engine->parts.store;
    const enum kend_store_result result = store->ops->progress(store, run->job->id, run->token, proto_now_ms(), &run->state);
    if (result == KEND_STORE_LOST) kend_run_stop(run, KEND_STOP_LOST);
    if (result != KEND_STORE_OK) return;
    run->written = run->state;
    changed(run);
}

static bool differs(const struct kend_run_state *a, const struct kend_run_state *b)
{
    return a->stage != b->stage || a->marker != b->marker || memcmp(&a->progress, &b->progress, sizeof a->progress) != 0;
}

void kend_run_enter(struct kend_run *run, enum proto_stage stage)
{
    pthread_mutex_lock(&run->mutex);
    look(run);
    enter(run, stage);
    write_state(run);
    pthread_mutex_unlock(&run->mutex);
}

void kend_run_report(struct kend_run *run)
{
    pthread_mutex_lock(&run->mutex);
    if (run->state.stage != PROTO_NO_STAGE) {
        look(run);
        if (differs(&run->state, &run->written)) write_state(run);
    }
    pthread_mutex_unlock(&run->mutex);
}

void kend_run_watch(struct kend_run *run, const struct kend_check *check)
{
    pthread_mutex_lock(&run->mutex);
    if (!check) look(run);
    run->check = check;
    if (check) run->rows_total = check->need.rows;
    pthread_mutex_unlock(&run->mutex);
}

void kend_run_resumed(struct kend_run *run, uint64_t rows)
{
    struct kend_location_state inputs;
    pthread_mutex_lock(&run->mutex);
    atomic_store(&run->rows_durable, rows);
    atomic_store(&run->rows_done, rows);
    kend_check_state(run->check, &inputs);
    if (!rows) run->rows_shown = 0;
    if (!inputs.bytes_resumed) run->bytes_shown = 0;
    pthread_mutex_unlock(&run->mutex);
}

enum proto_stage kend_run_settle(struct kend_run *run)
{
    pthread_mutex_lock(&run->mutex);
    const enum proto_stage last = run->state.stage;
    enter(run, PROTO_NO_STAGE);
    pthread_mutex_unlock(&run->mutex);
    return last;
}

void kend_run_note(struct kend_run *run, const char *level, const char *message)
{
    struct kend_store *store = run->engine->parts.store;
    json_t *data = json_pack("{s:s, s:s}", "level", level, "message", message);
    char *text = data ? proto_json_dump(data, JSON_COMPACT) : NULL;
    if (text && store->ops->log(store, run->job->id, run->token, proto_now_ms(), text) == KEND_STORE_OK) changed(run);
    free(text);
    json_decref(data);
    kend_log(KEND_LOG_INFO, message, KEND_LOG_JOB(run->job));
}
