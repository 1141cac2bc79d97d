/* SPDX-License-Identifier: Apache-2.0 */
/* What of an entry runs in libuv's pool: saving what came in, its digest, making room for more, and letting go. */
#include "fetch/entry.h"

#include "clock.h"
#include "folder.h"

#include <string.h>

enum {
    SAVE_MS = 1000,       /* how much work a crash can cost */
    HASH_BYTES = 8 << 20, /* one turn in the pool: some 20 ms */
    HASH_BUFFER = 128 << 10,
    HEADER_STEP = 1 << 20, /* of a file of known size, before all of it is wanted */
    ROOM_STEP = 16 << 20
};

static void poke(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

static void queue(struct kend_entry *entry, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
    work->data = entry;
    int failed = uv_queue_work(kend_loop_uv(entry->fetcher->loop), work, run, after);
    KEN_ASSERT(!failed);
}

bool kend_durable_is_busy(const struct kend_entry *entry)
{
    return entry->saving || entry->hashing || entry->reserving || entry->dropping || entry->writing;
}

/* ---- saving */

static void run_save(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    entry->save_error.code = 0;
    kend_cached_save(entry->cached, &entry->saving_meta, entry->url.shown, &entry->save_error);
}

static void after_save(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    KEN_ASSERT(status == 0);
    entry->saving = false;
    entry->saved_at = kend_monotonic_ms();
    if (entry->save_error.code) kend_entry_fail(entry, &entry->save_error);
    pthread_mutex_lock(&entry->mutex);
    /* Meanwhile it may have been started anew. */
    if (!entry->save_error.code && entry->saving_meta.ranges.total <= entry->good.total) entry->durable = entry->saving_meta.ranges.total;
    pthread_cond_broadcast(&entry->changed);
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

/* Only what can be used later is worth saving. With the mutex held. */
static bool is_worth_saving(const struct kend_entry *entry)
{
    if (!entry->has_size || entry->unwanted || entry->stale) return false;
    return entry->complete ? kend_validators_known(&entry->validators) : entry->validators.strong && entry->good.total;
}

static int64_t schedule_save(struct kend_entry *entry, bool last)
{
    int64_t due = entry->saved_at + SAVE_MS;
    int code = 0;
    bool start = false;
    pthread_mutex_lock(&entry->mutex);
    if (entry->dirty && !entry->saving && is_worth_saving(entry)) {
        start = last || entry->complete || kend_monotonic_ms() >= due;
        if (start) {
            struct kend_meta *meta = &entry->saving_meta;
            kend_meta_clear(meta);
            meta->has_size = true;
            meta->size = entry->size;
            meta->complete = entry->complete;
            meta->validators = entry->validators;
            meta->has_sha256 = entry->has_sha256;
            memcpy(meta->sha256, entry->sha256, sizeof meta->sha256);
            code = kend_ranges_copy(&meta->ranges, &entry->good);
            entry->dirty = false;
        }
    } else {
        due = INT64_MAX;
    }
    pthread_mutex_unlock(&entry->mutex);
    if (!start) return due;
    if (code) {
        struct ken_error error;
        ken_fail(&error, KEN_ENOMEM, "out of memory");
        kend_entry_fail(entry, &error);
    } else {
        entry->saving = true;
        queue(entry, &entry->save_work, run_save, after_save);
    }
    return INT64_MAX;
}

/* ---- the digest */

static int hash_some(struct kend_entry *entry, struct ken_error *error)
{
    char buffer[HASH_BUFFER];
    while (entry->hashed < entry->hash_end) {
        uint64_t left = entry->hash_end - entry->hashed;
        size_t length = left < sizeof buffer ? (size_t)left : sizeof buffer;
        int code = ken_file_read(kend_cached_fd(entry->cached), entry->hashed, buffer, length, entry->url.shown, error);
        if (code) return code;
        ken_digest_update(&entry->digest, buffer, length);
        entry->hashed += length;
    }
    return 0;
}

static void run_hash(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    entry->hash_error.code = 0;
    if (!entry->digest.context && ken_digest_init(&entry->digest, &entry->hash_error)) return;
    (void)hash_some(entry, &entry->hash_error);
}

/* All bytes are hashed: the digest is known. */
static void end_digest(struct kend_entry *entry)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    struct ken_error error;
    if (ken_digest_final(&entry->digest, sha256, &error)) {
        kend_entry_fail(entry, &error);
        return;
    }
    pthread_mutex_lock(&entry->mutex);
    memcpy(entry->sha256, sha256, sizeof sha256);
    entry->has_sha256 = entry->dirty = true;
    pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
}

static void after_hash(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    KEN_ASSERT(status == 0);
    entry->hashing = false;
    if (entry->hash_error.code) kend_entry_fail(entry, &entry->hash_error);
    poke(entry);
}

static void schedule_hash(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    bool wanted = entry->want_digest && !entry->has_sha256 && entry->has_size && entry->state == KEND_ENTRY_OPEN;
    bool complete = entry->complete;
    uint64_t reach = kend_ranges_reach(&entry->good, 0);
    pthread_mutex_unlock(&entry->mutex);
    if (!wanted || entry->hashing) return;
    if (complete && entry->hashed == entry->size && (entry->digest.context || !entry->size)) {
        if (entry->size || !ken_digest_init(&entry->digest, NULL)) end_digest(entry);
        return;
    }
    if (reach <= entry->hashed || (!complete && reach - entry->hashed < HASH_BYTES)) return;
    entry->hash_end = reach - entry->hashed > HASH_BYTES ? entry->hashed + HASH_BYTES : reach;
    entry->hashing = true;
    queue(entry, &entry->hash_work, run_hash, after_hash);
}

/* ---- room */

bool kend_durable_has_room(struct kend_entry *entry, uint64_t bytes)
{
    if (bytes <= entry->reserved) return true;
    if (bytes > entry->room_least) {
        uint64_t step = bytes + (entry->has_size ? HEADER_STEP : ROOM_STEP);
        entry->room_least = bytes;
        entry->room_most = entry->has_size && entry->size < step && entry->size >= bytes ? entry->size : step;
        poke(entry);
    }
    return false;
}

/* Whether a source of the job has the entry; *alone: of no other one. With the entry's mutex held. */
static bool is_of(const struct kend_entry *entry, const void *job, bool *alone)
{
    bool found = false;
    *alone = true;
    for (const struct kend_entry_source *source = entry->sources; source; source = source->next)
        if (source->source.location->opaque == job)
            found = true;
        else
            *alone = false;
    return found;
}

/* What the job that alone has this entry holds of the cache, and asks for now; 0: it is not alone. */
static uint64_t bytes_of_job(struct kend_entry *entry)
{
    struct kend_fetcher *fetcher = entry->fetcher;
    uint64_t sum = 0;
    bool alone;
    pthread_mutex_lock(&entry->mutex);
    const void *job = entry->sources ? entry->sources->source.location->opaque : NULL;
    is_of(entry, job, &alone);
    pthread_mutex_unlock(&entry->mutex);
    if (!job || !alone) return 0;
    pthread_mutex_lock(&fetcher->mutex);
    for (struct kend_entry *one = fetcher->entries; one; one = one->next) {
        pthread_mutex_lock(&one->mutex);
        if (is_of(one, job, &alone)) sum += kend_cached_charge(one->cached, one == entry ? entry->asked_least : 0);
        pthread_mutex_unlock(&one->mutex);
    }
    pthread_mutex_unlock(&fetcher->mutex);
    return sum;
}

/* A job whose own files are more than the cache may hold waits for nobody. */
static void judge_own(struct kend_entry *entry)
{
    kend_cached_check(entry->cached, bytes_of_job(entry), &entry->room_error);
}

static void run_reserve(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    entry->room_error.code = 0;
    kend_cached_reserve(entry->cached, entry->asked_least, entry->asked_most, &entry->room_granted, &entry->room_error);
    if (entry->room_error.code == KEN_EBUSY) judge_own(entry);
}

static void after_reserve(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    KEN_ASSERT(status == 0);
    entry->reserving = false;
    if (!entry->room_error.code) {
        entry->reserved = entry->room_granted;
        kend_pieces_resume(entry);
    } else {
        /* Nobody waits here: who holds some bytes and waits for more would keep others from theirs. */
        kend_entry_fail(entry, &entry->room_error);
    }
    poke(entry);
}

static void schedule_room(struct kend_entry *entry)
{
    if (entry->reserving || entry->room_least <= entry->reserved) return;
    entry->reserving = true;
    entry->asked_least = entry->room_least;
    entry->asked_most = entry->room_most;
    queue(entry, &entry->room_work, run_reserve, after_reserve);
}

/* ---- letting go */

static void run_drop(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    kend_cached_detach(entry->cached);
}

static void after_drop(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    struct kend_fetcher *fetcher = entry->fetcher;
    KEN_ASSERT(status == 0);
    entry->dropping = false;
    pthread_mutex_lock(&fetcher->mutex);
    pthread_mutex_lock(&entry->mutex);
    entry->detached = true;
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
    pthread_cond_broadcast(&fetcher->changed);
    pthread_mutex_unlock(&fetcher->mutex);
}

static void schedule_drop(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    const bool due = entry->unwanted && !entry->detached && !entry->dropping;
    pthread_mutex_unlock(&entry->mutex);
    if (!due) return;
    entry->dropping = true;
    queue(entry, &entry->drop_work, run_drop, after_drop);
}

int64_t kend_durable_schedule(struct kend_entry *entry, bool last)
{
    schedule_drop(entry);
    if (!last) schedule_hash(entry);
    if (!last) schedule_room(entry);
    return schedule_save(entry, last);
}
