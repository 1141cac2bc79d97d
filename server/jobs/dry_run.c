/* SPDX-License-Identifier: Apache-2.0 */
/* Dry runs: the check stage alone, each on a short-lived thread of its own, a bounded number at once. */
#include "jobs/engine_parts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_RETRY_MS = 500 };

struct dry_run {
    struct kend_engine *engine;
    struct proto_job *job;
    char *owner;
    unsigned place;
    kend_dry_run_done *done;
    void *opaque;
    int64_t deadline; /* monotonic ms */
    atomic_bool timed_out;
};

static bool cancelled(void *opaque)
{
    struct dry_run *run = opaque;
    if (kend_monotonic_ms() > run->deadline) atomic_store(&run->timed_out, true);
    return atomic_load(&run->timed_out) || atomic_load(&run->engine->stopping);
}

static void look(struct dry_run *run)
{
    const struct kend_check_request request = {.job = run->job, .owner = run->owner, .cancelled = cancelled, .opaque = run};
    struct ken_error error = {0};
    struct kend_check check;
    json_t *plan = NULL;
    int code = kend_check_open(&check, &run->engine->parts, &request, &error);
    while (code == KEN_EBUSY && !cancelled(run)) {
        usleep(BUSY_RETRY_MS * 1000);
        code = kend_check_open(&check, &run->engine->parts, &request, &error);
    }
    if (!code) {
        plan = kend_check_to_json(&check, run->job);
        if (!plan) code = ken_fail(&error, KEN_ENOMEM, "out of memory");
        kend_check_close(&check);
    } else if (atomic_load(&run->timed_out) && code != KEN_EBUSY) {
        code = ken_fail(&error, KEN_ETIMED_OUT, "the check did not end within %d s", KEND_DRY_RUN_SECONDS);
    }
    run->done(run->opaque, code, check.pointer, error.message, plan);
    json_decref(plan);
}

static void dry_run_free(struct dry_run *run)
{
    proto_job_free(&run->job);
    free(run->owner);
    free(run);
}

/* Of the places, an owner has some; whoever has no name is alone. */
static bool take_place(struct dry_run *run)
{
    struct kend_engine *engine = run->engine;
    unsigned own = 0;
    run->place = KEND_DRY_RUNS;
    pthread_mutex_lock(&engine->mutex);
    for (unsigned i = 0; i < KEND_DRY_RUNS; i++)
        if (!engine->dry_run_owner[i])
            run->place = i;
        else
            own += strcmp(engine->dry_run_owner[i], run->owner) == 0;
    bool taken = run->place < KEND_DRY_RUNS && !engine->draining && (!*run->owner || own < KEND_DRY_RUNS_OF_OWNER);
    if (taken) {
        engine->dry_run_owner[run->place] = run->owner;
        engine->dry_runs++;
    }
    pthread_mutex_unlock(&engine->mutex);
    return taken;
}

/* Frees the run; without the lock, its engine may be gone. */
static void give_place(struct dry_run *run)
{
    struct kend_engine *engine = run->engine;
    pthread_mutex_lock(&engine->mutex);
    engine->dry_run_owner[run->place] = NULL;
    dry_run_free(run);
    engine->dry_runs--;
    pthread_cond_broadcast(&engine->settled);
    pthread_mutex_unlock(&engine->mutex);
}

static void *dry_run_main(void *opaque)
{
    struct dry_run *run = opaque;
    look(run);
    give_place(run);
    return NULL;
}

bool kend_engine_dry_run(struct kend_engine *engine, struct proto_job *job, const char *owner, kend_dry_run_done *done, void *opaque)
{
    pthread_t thread;
    struct dry_run *run = calloc(1, sizeof *run);
    if (!run) {
        proto_job_free(&job);
        return false;
    }
    *run = (struct dry_run){.engine = engine,
                            .job = job,
                            .owner = strdup(owner),
                            .done = done,
                            .opaque = opaque,
                            .deadline = kend_monotonic_ms() + KEND_DRY_RUN_SECONDS * INT64_C(1000)};
    if (!run->owner || !take_place(run)) {
        dry_run_free(run);
        return false;
    }
    if (pthread_create(&thread, NULL, dry_run_main, run)) {
        give_place(run);
        return false;
    }
    pthread_detach(thread);
    return true;
}
