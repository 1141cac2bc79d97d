/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: renews leases, reports progress, ends jobs past their time. It does nothing that a slow disk could hold up for long. */
#include "jobs/engine_parts.h"

#include "log.h"

enum { STOP_MS = 1000 };

/*
 * One run. Its lease is renewed at a third of its length, so that two renewals may fail. Where all do, the run stops before the lease
 * ends for others: an eighth and the time that stopping may take before, counted on the monotonic clock.
 */
static void renew(struct kend_run *run)
{
    struct kend_engine *engine = run->engine;
    struct kend_store *store = engine->parts.store;
    const int64_t lease = (int64_t)engine->parts.conf->jobs_lease_seconds * 1000;
    const int64_t now = kend_monotonic_ms();
    bool cancel = false;
    if (atomic_load(&run->lease_ends) - now > lease * 2 / 3) return;
    switch (store->ops->renew(store, run->job->id, run->token, proto_now_ms(), lease, &cancel)) {
    case KEND_STORE_OK:
        atomic_store(&run->lease_ends, now + lease);
        if (cancel) kend_run_stop(run, KEND_STOP_CANCEL);
        break;
    case KEND_STORE_NONE:
    case KEND_STORE_LOST: kend_run_stop(run, KEND_STOP_LOST); break;
    default:
        kend_log(KEND_LOG_WARN, "a lease could not be renewed", KEND_LOG_JOB(run->job));
        if (atomic_load(&run->lease_ends) - now < lease / 8 + STOP_MS) kend_run_stop(run, KEND_STOP_LOST);
    }
}

static void keep(struct kend_run *run)
{
    if (run->deadline && kend_monotonic_ms() > run->deadline) kend_run_stop(run, KEND_STOP_TIMEOUT);
    renew(run);
    kend_run_report(run);
}

/* The engine's mutex is held; it is given up while the store is asked. A run stays while it is being kept (run_end waits). */
static void keep_all(struct kend_engine *engine)
{
    for (size_t i = 0; i < engine->runner_count; i++) {
        struct kend_run *run = engine->runners[i].run;
        if (!run) continue;
        run->kept = true;
        pthread_mutex_unlock(&engine->mutex);
        keep(run);
        pthread_mutex_lock(&engine->mutex);
        run->kept = false;
        pthread_cond_broadcast(&engine->settled);
    }
}

void *kend_keeper_main(void *opaque)
{
    struct kend_engine *engine = opaque;
    pthread_mutex_lock(&engine->mutex);
    while (!engine->ending) {
        keep_all(engine);
        if (!engine->ending) ken_condition_wait_ms(&engine->tick, &engine->mutex, KEND_TICK_MS);
    }
    pthread_mutex_unlock(&engine->mutex);
    return NULL;
}
