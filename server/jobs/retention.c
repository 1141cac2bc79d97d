/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: removes jobs past their days, gives up artifacts beyond their limit, keeps the disk's reserve free. On a thread of its own,
 * since deleting large files may take longer than a lease; a few jobs at a time, each a short transaction and then its files.
 */
#include "jobs/engine_parts.h"

#include "log.h"

enum { PAUSE_MS = 60000, BATCH = 10, SHRINK_MS = 5000, STEP_MS = 50 /* between two steps of shrinking */ };

static bool ends(struct kend_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    const bool ending = engine->ending;
    pthread_mutex_unlock(&engine->mutex);
    return ending;
}

/*
 * The row first: files without a row are swept at the next start, a row without files would promise what is not there. Whether it was
 * removed.
 */
static bool remove_one(const struct kend_parts *parts, const struct kend_job *job)
{
    const char *id = job->id;
    struct ken_error error = {0};
    if (parts->store->ops->remove(parts->store, id, NULL) != KEND_STORE_OK) return false;
    if (parts->artifacts->ops->remove(parts->artifacts, id, &error))
        kend_log(KEND_LOG_WARN, "artifacts of an expired job could not be removed", KEND_S("job", id), KEND_S("error", error.message));
    else
        kend_log(KEND_LOG_INFO, "expired job removed", KEND_S("job", id));
    if (parts->removed) parts->removed(parts->opaque, id, job->owner);
    return true;
}

/* Whether there are more. */
static bool remove_expired(struct kend_engine *engine)
{
    const struct kend_parts *parts = &engine->parts;
    bool removed = false;
    struct kend_job_list list = {0};
    if (parts->store->ops->expired(parts->store, proto_now_ms(), BATCH, &list) == KEND_STORE_OK)
        for (size_t i = 0; i < list.count && !ends(engine); i++) removed = remove_one(parts, list.item[i]) || removed;
    const bool more = list.has_more && removed;
    kend_job_list_clear(&list);
    return more;
}

/* Gives a bit of the store's file back to the disk. Whether there is more; a failure is tried again with the next round. */
static bool shrink_store(struct kend_store *store, int64_t *next)
{
    if (kend_monotonic_ms() < *next) return false;
    const bool more = store->ops->shrink(store) == KEND_STORE_OK;
    if (!more) *next = kend_monotonic_ms() + SHRINK_MS;
    return more;
}

void *kend_retention_main(void *opaque)
{
    struct kend_engine *engine = opaque;
    int64_t next = kend_monotonic_ms(), next_shrink = next;
    while (!ends(engine)) {
        kend_fetcher_make_room(engine->parts.fetcher, 0); /* the cache is the first to go when the disk runs full */
        if (kend_monotonic_ms() >= next) {
            kend_room_clean(&engine->parts);
            const bool more_expired = remove_expired(engine), more_evictable = kend_room_keep(&engine->parts, BATCH);
            next = kend_monotonic_ms() + (more_expired || more_evictable ? 0 : PAUSE_MS);
        }
        const bool shrinks = shrink_store(engine->parts.store, &next_shrink);
        pthread_mutex_lock(&engine->mutex);
        if (!engine->ending) ken_condition_wait_ms(&engine->tick, &engine->mutex, shrinks ? STEP_MS : KEND_TICK_MS);
        pthread_mutex_unlock(&engine->mutex);
    }
    return NULL;
}
