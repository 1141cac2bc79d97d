/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: renews leases, reports progress, ends jobs past their time, removes jobs past their days, keeps the disk's reserve free. */
#include "jobs/engine_parts.h"

#include "log.h"

enum { TICK_MS = 500, STOP_MS = 1000, RETENTION_MS = 60000, RETENTION_BATCH = 10 };

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

/*
 * The row first: files without a row are swept at the next start, a row without files would promise what is not there. Whether there are
 * more.
 */
static bool remove_expired(const struct kend_parts *parts)
{
    bool removed = false;
    struct kend_job_list list = {0};
    struct ken_error error = {0};
    if (parts->store->ops->expired(parts->store, proto_now_ms(), RETENTION_BATCH, &list) == KEND_STORE_OK) {
        for (size_t i = 0; i < list.count; i++) {
            const char *id = list.item[i]->id;
            if (parts->store->ops->remove(parts->store, id, NULL) != KEND_STORE_OK) continue;
            removed = true;
            if (parts->artifacts->ops->remove(parts->artifacts, id, &error))
                kend_log(KEND_LOG_WARN, "artifacts of an expired job could not be removed", KEND_S("job", id),
                         KEND_S("error", error.message));
            else
                kend_log(KEND_LOG_INFO, "expired job removed", KEND_S("job", id));
        }
    }
    bool more = list.has_more && removed;
    kend_job_list_clear(&list);
    return more;
}

void *kend_keeper_main(void *opaque)
{
    struct kend_engine *engine = opaque;
    int64_t next_removal = kend_monotonic_ms();
    pthread_mutex_lock(&engine->mutex);
    while (!engine->ending) {
        keep_all(engine);
        pthread_mutex_unlock(&engine->mutex);
        kend_fetcher_make_room(engine->parts.fetcher, 0); /* the cache is the first to go when the disk runs full */
        pthread_mutex_lock(&engine->mutex);
        if (kend_monotonic_ms() >= next_removal) {
            pthread_mutex_unlock(&engine->mutex);
            bool more = remove_expired(&engine->parts);
            pthread_mutex_lock(&engine->mutex);
            next_removal = kend_monotonic_ms() + (more ? 0 : RETENTION_MS);
        }
        if (!engine->ending) ken_condition_wait_ms(&engine->tick, &engine->mutex, TICK_MS);
    }
    pthread_mutex_unlock(&engine->mutex);
    return NULL;
}
