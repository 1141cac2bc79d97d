/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and ending the runners, the keeper and retention. */
#include "jobs/engine_parts.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

/* Files without a row: of a deletion that was cut short, or of another database. */
static void sweep(void *opaque, const char *id)
{
    struct kend_engine *engine = opaque;
    const struct kend_parts *parts = &engine->parts;
    struct kend_job *job = NULL;
    struct ken_error error = {0};
    const enum kend_store_result result = parts->store->ops->get(parts->store, id, NULL, &job);
    int code = 0;
    if (result == KEND_STORE_OK && job->status == PROTO_SUCCEEDED && !job->evicted_at)
        code = parts->artifacts->ops->clear_work(parts->artifacts, id, &error);
    else if (result == KEND_STORE_NONE || (result == KEND_STORE_OK && proto_status_is_terminal(job->status)))
        code = parts->artifacts->ops->remove(parts->artifacts, id, &error);
    if (code)
        kend_log(KEND_LOG_WARN, "left-over files could not be removed", KEND_S("job", id), KEND_S("error", error.message));
    else if (result == KEND_STORE_NONE)
        kend_log(KEND_LOG_INFO, "files without a job removed", KEND_S("job", id));
    kend_job_free(&job);
}

/* What the process before this one left. */
static int recover(struct kend_engine *engine, struct ken_error *error)
{
    const struct kend_parts *parts = &engine->parts;
    const enum kend_store_result result = parts->store->ops->abandon(parts->store, parts->holder, proto_now_ms());
    if (result != KEND_STORE_OK) return ken_fail(error, KEN_EIO, "ending old leases: %s", kend_store_result_text(result));
    return parts->artifacts->ops->each(parts->artifacts, sweep, engine, error);
}

static void end_threads(struct kend_engine *engine, size_t keepers, size_t runners)
{
    pthread_mutex_lock(&engine->mutex);
    engine->draining = true;
    engine->ending = true;
    pthread_cond_broadcast(&engine->wake);
    pthread_cond_broadcast(&engine->tick);
    pthread_mutex_unlock(&engine->mutex);
    for (size_t i = 0; i < runners; i++) pthread_join(engine->runners[i].thread, NULL);
    for (size_t i = 0; i < keepers; i++) pthread_join(engine->keepers[i], NULL);
}

static int start_threads(struct kend_engine *engine, struct ken_error *error)
{
    static void *(*const keepers[KEND_KEEPERS])(void *engine) = {kend_keeper_main, kend_retention_main};
    int code;
    for (size_t i = 0; i < KEND_KEEPERS; i++) {
        code = pthread_create(&engine->keepers[i], NULL, keepers[i], engine);
        if (!code) continue;
        end_threads(engine, i, 0);
        return ken_fail_errno(error, code, "starting a keeper");
    }
    for (size_t i = 0; i < engine->runner_count; i++) {
        engine->runners[i].engine = engine;
        code = pthread_create(&engine->runners[i].thread, NULL, kend_runner_main, &engine->runners[i]);
        if (!code) continue;
        end_threads(engine, KEND_KEEPERS, i);
        return ken_fail_errno(error, code, "starting a runner");
    }
    return 0;
}

static void engine_free(struct kend_engine *engine)
{
    kend_room_end(&engine->parts);
    pthread_cond_destroy(&engine->settled);
    pthread_cond_destroy(&engine->tick);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    free(engine->runners);
    free(engine);
}

int kend_engine_create(struct kend_engine **out, const struct kend_parts *parts, struct ken_error *error)
{
    struct kend_engine *engine = calloc(1, sizeof *engine);
    *out = NULL;
    if (!engine) return ken_fail(error, KEN_ENOMEM, "out of memory");
    engine->parts = *parts;
    engine->parts.room = &engine->room;
    kend_room_begin(&engine->parts);
    engine->runner_count = (size_t)parts->conf->jobs_max_running;
    engine->runners = calloc(engine->runner_count, sizeof *engine->runners);
    pthread_mutex_init(&engine->mutex, NULL);
    ken_condition_init(&engine->wake);
    ken_condition_init(&engine->tick);
    ken_condition_init(&engine->settled);
    int code = engine->runners ? recover(engine, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    if (!code) code = start_threads(engine, error);
    if (code) {
        engine_free(engine);
        return code;
    }
    *out = engine;
    return 0;
}

void kend_engine_poke(struct kend_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->pokes++;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->mutex);
}

void kend_engine_cancel(struct kend_engine *engine, const struct kend_job *job)
{
    if (proto_status_is_terminal(job->status)) {
        kend_engine_clear(engine, job->id, job->status);
        kend_metrics_job(engine, job->status);
        return;
    }
    pthread_mutex_lock(&engine->mutex);
    for (size_t i = 0; i < engine->runner_count; i++) {
        struct kend_run *run = engine->runners[i].run;
        if (run && strcmp(run->job->id, job->id) == 0) kend_run_stop(run, KEND_STOP_CANCEL);
    }
    pthread_mutex_unlock(&engine->mutex);
}

void kend_engine_clear(struct kend_engine *engine, const char *job, enum proto_status status)
{
    struct kend_artifacts *artifacts = engine->parts.artifacts;
    /* What is left after a failure here is swept at the next start. */
    if (status == PROTO_SUCCEEDED)
        (void)artifacts->ops->clear_work(artifacts, job, NULL);
    else
        (void)artifacts->ops->remove(artifacts, job, NULL);
}

/* The engine's mutex is held. */
static bool busy(const struct kend_engine *engine)
{
    for (size_t i = 0; i < engine->runner_count; i++)
        if (engine->runners[i].run) return true;
    return engine->dry_runs > 0 || engine->claiming > 0;
}

/* The engine's mutex is held. */
static void hand_all_back(struct kend_engine *engine)
{
    atomic_store(&engine->stopping, true);
    for (size_t i = 0; i < engine->runner_count; i++)
        if (engine->runners[i].run) kend_run_stop(engine->runners[i].run, KEND_STOP_HAND_BACK);
}

void kend_engine_drain(struct kend_engine *engine, unsigned seconds)
{
    const int64_t end = kend_monotonic_ms() + (int64_t)seconds * 1000;
    pthread_mutex_lock(&engine->mutex);
    engine->draining = true;
    pthread_cond_broadcast(&engine->wake);
    while (busy(engine) && !engine->hurry && kend_monotonic_ms() < end)
        ken_condition_wait_ms(&engine->settled, &engine->mutex, end - kend_monotonic_ms());
    /* A claim that is under way must not take a job that is handed back here: it would count one more attempt for nothing. */
    while (engine->claiming) pthread_cond_wait(&engine->settled, &engine->mutex);
    engine->hurry = true;
    hand_all_back(engine);
    while (busy(engine)) pthread_cond_wait(&engine->settled, &engine->mutex);
    pthread_mutex_unlock(&engine->mutex);
}

void kend_engine_hurry(struct kend_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->hurry = true;
    pthread_cond_broadcast(&engine->settled);
    pthread_mutex_unlock(&engine->mutex);
}

void kend_engine_destroy(struct kend_engine **engine)
{
    if (!*engine) return;
    kend_engine_drain(*engine, 0);
    end_threads(*engine, KEND_KEEPERS, (*engine)->runner_count);
    engine_free(*engine);
    *engine = NULL;
}
