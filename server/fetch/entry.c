/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/entry.h"

#include "clock.h"
#include "condition.h"
#include "fetch/piece.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRUSTED_MS = 2000,   /* an answer of the origin holds so long for others of the same owner */
    HANDOVER_MS = 10000, /* how long a failed or closing entry may take before another one takes its place */
    MAX_NOTED = 16
};

void kend_entry_poke(struct kend_entry *entry)
{
    kend_loop_poke(entry->fetcher->loop, &entry->tick);
}

bool kend_entry_is_fetching(const struct kend_entry *entry)
{
    for (const struct kend_entry_source *source = entry->sources; source; source = source->next)
        if (source->active && source->fetching) return true;
    return false;
}

static bool is_idle(const struct kend_entry *entry)
{
    for (const struct kend_entry_source *source = entry->sources; source; source = source->next)
        if (source->active) return false;
    return true;
}

void kend_entry_fail(struct kend_entry *entry, const struct ken_error *error)
{
    pthread_mutex_lock(&entry->mutex);
    if (entry->state != KEND_ENTRY_FAILED) {
        entry->state = KEND_ENTRY_FAILED;
        entry->error = *error;
        pthread_cond_broadcast(&entry->changed);
    }
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

void kend_entry_note(struct kend_entry *entry, const char *format, ...)
{
    struct kend_location *whom[MAX_NOTED];
    size_t count = 0;
    char text[KEN_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&entry->mutex);
    for (struct kend_entry_source *source = entry->sources; source && count < MAX_NOTED; source = source->next) {
        kend_location_retain(source->source.location);
        whom[count++] = source->source.location;
    }
    pthread_mutex_unlock(&entry->mutex);
    for (size_t i = 0; i < count; i++) {
        kend_location_note(whom[i], text);
        kend_location_release(whom[i]);
    }
}

/* ---- life */

static void free_entry(struct kend_entry *entry)
{
    kend_cached_close(&entry->cached);
    kend_url_clear(&entry->url);
    kend_ranges_clear(&entry->good);
    kend_ranges_clear(&entry->seen);
    kend_meta_clear(&entry->saving_meta);
    ken_digest_free(&entry->digest);
    pthread_cond_destroy(&entry->changed);
    pthread_mutex_destroy(&entry->mutex);
    free(entry);
}

/* Takes it out of the list. With the fetcher's mutex held. */
static void unlist(struct kend_entry *entry)
{
    struct kend_entry **at = &entry->fetcher->entries;
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    pthread_cond_broadcast(&entry->fetcher->changed);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free_entry(handle->data);
}

/* In the pool: may remove a large file. */
static void close_cached(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    if (entry->unwanted) kend_cached_detach(entry->cached); /* said at the last moment */
    kend_cached_close(&entry->cached);
}

static void after_close(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    struct kend_fetcher *fetcher = entry->fetcher;
    KEN_ASSERT(status == 0);
    pthread_mutex_lock(&fetcher->mutex);
    unlist(entry);
    pthread_mutex_unlock(&fetcher->mutex);
    uv_close((uv_handle_t *)&entry->timer, on_timer_closed);
}

/* Nobody has it any more, nothing is under way. */
static void finish(struct kend_entry *entry)
{
    uv_timer_stop(&entry->timer);
    pthread_mutex_lock(&entry->mutex);
    entry->closing = true;
    pthread_mutex_unlock(&entry->mutex);
    kend_loop_forget(entry->fetcher->loop, &entry->tick);
    kend_share_forget(entry);
    entry->save_work.data = entry;
    int failed = uv_queue_work(kend_loop_uv(entry->fetcher->loop), &entry->save_work, close_cached, after_close);
    KEN_ASSERT(!failed);
}

static void on_timer(uv_timer_t *timer)
{
    struct kend_entry *entry = timer->data;
    kend_entry_poke(entry);
}

static void set_timer(struct kend_entry *entry, int64_t when)
{
    int64_t now = kend_monotonic_ms();
    if (when == INT64_MAX)
        uv_timer_stop(&entry->timer);
    else
        uv_timer_start(&entry->timer, on_timer, when > now ? (uint64_t)(when - now) : 0, 0);
}

static void on_tick(struct kend_tick *tick)
{
    struct kend_entry *entry = (struct kend_entry *)tick;
    int64_t when = INT64_MAX;
    if (!entry->timer.data) {
        uv_timer_init(kend_loop_uv(entry->fetcher->loop), &entry->timer);
        entry->timer.data = entry;
    }
    uv_update_time(kend_loop_uv(entry->fetcher->loop));
    pthread_mutex_lock(&entry->mutex);
    bool closing = !entry->sources, over = is_idle(entry) || entry->state == KEND_ENTRY_FAILED;
    pthread_mutex_unlock(&entry->mutex);
    if (over)
        kend_pieces_cancel(entry);
    else
        when = kend_pieces_schedule(entry);
    int64_t durable = kend_durable_schedule(entry, over);
    if (closing && !kend_durable_is_busy(entry)) {
        finish(entry);
        return;
    }
    set_timer(entry, durable < when ? durable : when);
}

/* Takes what the cache knows over into a new entry. */
static int adopt(struct kend_entry *entry, struct kend_meta *meta)
{
    entry->has_size = meta->has_size;
    entry->size = meta->size;
    entry->complete = meta->complete;
    entry->was_cached = meta->has_size;
    entry->has_sha256 = meta->has_sha256;
    memcpy(entry->sha256, meta->sha256, sizeof entry->sha256);
    entry->validators = meta->validators;
    entry->good = meta->ranges;
    meta->ranges = (struct kend_ranges){0};
    entry->durable = entry->reserved = entry->good.total;
    return kend_ranges_copy(&entry->seen, &entry->good);
}

static bool can_be_resumed(const struct kend_meta *meta)
{
    return meta->complete ? kend_validators_known(&meta->validators) : meta->validators.strong;
}

/* A new entry, which nobody else touches until it is open. With the fetcher's mutex held. NULL: out of memory. */
static struct kend_entry *add(struct kend_fetcher *fetcher, const char *key)
{
    struct kend_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return NULL;
    pthread_mutex_init(&entry->mutex, NULL);
    ken_condition_init(&entry->changed);
    entry->tick.run = on_tick;
    entry->fetcher = fetcher;
    entry->opening = true;
    memcpy(entry->key, key, sizeof entry->key);
    entry->next = fetcher->entries;
    fetcher->entries = entry;
    return entry;
}

/* What the cache has of it. No mutex is held: it waits for the disk. */
static int open_cached(struct kend_entry *entry, const struct kend_url *url, bool afresh, struct ken_error *error)
{
    struct kend_meta meta = {0};
    int code = kend_url_copy(&entry->url, url) ? ken_fail(error, KEN_ENOMEM, "out of memory") : 0;
    if (!code) code = kend_cache_open(entry->fetcher->cache, entry->key, &entry->cached, &meta, error);
    if (!code && meta.has_size && (afresh || !can_be_resumed(&meta))) {
        kend_meta_clear(&meta);
        code = kend_cached_truncate(entry->cached, error);
    }
    if (!code && adopt(entry, &meta)) code = ken_fail(error, KEN_ENOMEM, "out of memory");
    kend_meta_clear(&meta);
    if (code) kend_cached_close(&entry->cached); /* before the key is free for others */
    return code;
}

void kend_entry_drop(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    if (!entry->unwanted && !entry->closing) {
        entry->unwanted = true;
        kend_entry_poke(entry);
    }
    pthread_mutex_unlock(&entry->mutex);
}

static struct kend_entry *find(struct kend_fetcher *fetcher, const char *key)
{
    struct kend_entry *entry = fetcher->entries;
    while (entry && (entry->detached || strcmp(entry->key, key) != 0)) entry = entry->next;
    return entry;
}

/* Adds a source to the entry. With both mutexes held. */
static void join(struct kend_entry *entry, struct kend_entry_source *source)
{
    bool trusted = entry->state == KEND_ENTRY_OPEN && kend_monotonic_ms() - entry->validated_at <= TRUSTED_MS;
    if (entry->state == KEND_ENTRY_OPEN && !trusted) entry->revalidate = true;
    source->entry = entry;
    source->active = true;
    source->resumed = entry->good.total;
    source->source.location->was_cached |= entry->was_cached;
    source->next = entry->sources;
    entry->sources = source;
    kend_entry_poke(entry);
}

/* False where the entry has to be opened, or to end first; impatient, it is put out of the way. With the fetcher's mutex held. */
static bool try_join(struct kend_entry *entry, struct kend_entry_source *source, bool patient)
{
    if (entry->opening) return false;
    pthread_mutex_lock(&entry->mutex);
    bool usable = entry->sources && entry->state != KEND_ENTRY_FAILED && !entry->stale && !entry->unwanted;
    const bool distrusted = entry->was_cached && source->source.location->afresh;
    const bool in_the_way = distrusted || (!usable && (entry->stale || !patient));
    usable = usable && !distrusted;
    if (usable) join(entry, source);
    pthread_mutex_unlock(&entry->mutex);
    if (in_the_way) kend_entry_drop(entry);
    return usable;
}

/* Opens a new entry and is the first to have it. */
static int open_and_join(struct kend_entry *entry, const struct kend_url *url, struct kend_entry_source *source, struct ken_error *error)
{
    struct kend_fetcher *fetcher = entry->fetcher;
    const int code = open_cached(entry, url, source->source.location->afresh, error);
    pthread_mutex_lock(&fetcher->mutex);
    entry->opening = false;
    if (code) {
        unlist(entry);
    } else {
        pthread_mutex_lock(&entry->mutex);
        join(entry, source);
        pthread_mutex_unlock(&entry->mutex);
        pthread_cond_broadcast(&fetcher->changed);
    }
    pthread_mutex_unlock(&fetcher->mutex);
    if (code) free_entry(entry);
    return code;
}

int kend_entry_acquire(struct kend_entry_source *source, struct kend_location *location, const struct kend_url *url,
                       struct ken_error *error)
{
    struct kend_fetcher *fetcher = location->fetcher;
    char key[KEND_CACHE_KEY];
    int64_t deadline = kend_monotonic_ms() + HANDOVER_MS;
    int code = kend_cache_key(key, location->owner, url->text, error);
    if (code) return code;
    for (;;) {
        if (kend_location_is_over(location)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        pthread_mutex_lock(&fetcher->mutex);
        struct kend_entry *there = find(fetcher, key), *added = there ? NULL : add(fetcher, key);
        const bool joined = there && try_join(there, source, kend_monotonic_ms() < deadline);
        if (there && !joined) ken_condition_wait_ms(&fetcher->changed, &fetcher->mutex, KEND_ENTRY_POLL_MS);
        pthread_mutex_unlock(&fetcher->mutex);
        if (joined) return 0;
        if (!there) return added ? open_and_join(added, url, source, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    }
}

bool kend_entry_digest(struct kend_fetcher *fetcher, const char *key, unsigned char sha256[KEN_SHA256_SIZE])
{
    bool known = false;
    pthread_mutex_lock(&fetcher->mutex);
    struct kend_entry *entry = find(fetcher, key);
    if (entry) {
        pthread_mutex_lock(&entry->mutex);
        known = entry->complete && entry->has_sha256 && !entry->stale && entry->state == KEND_ENTRY_OPEN;
        memcpy(sha256, entry->sha256, KEN_SHA256_SIZE);
        pthread_mutex_unlock(&entry->mutex);
    }
    pthread_mutex_unlock(&fetcher->mutex);
    return known;
}

void kend_entry_release(struct kend_entry_source *source)
{
    struct kend_entry *entry = source->entry;
    pthread_mutex_lock(&entry->mutex);
    struct kend_entry_source **at = &entry->sources;
    while (*at != source) at = &(*at)->next;
    *at = source->next;
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
    source->entry = NULL;
}
