/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the cache as a byte source: whoever reads it waits for its bytes. */
#include "fetch/entry.h"

#include "condition.h"
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- waiting; the mutex is held, and let go meanwhile */

/* One turn of waiting. KEN_ECANCELLED: the location is over. */
static int wait_turn(struct kend_entry_source *source, struct ken_error *error)
{
    struct kend_entry *entry = source->entry;
    ken_condition_wait_ms(&entry->changed, &entry->mutex, KEND_ENTRY_POLL_MS);
    if (!source->active) return ken_fail(error, KEN_ECANCELLED, "cancelled");
    pthread_mutex_unlock(&entry->mutex);
    bool over = kend_location_is_over(source->source.location);
    pthread_mutex_lock(&entry->mutex);
    return over ? ken_fail(error, KEN_ECANCELLED, "cancelled") : 0;
}

static int failed(const struct kend_entry *entry, struct ken_error *error)
{
    return ken_fail(error, entry->error.code, "%s", entry->error.message);
}

/* What a weak validator is silent about may be another byte: then a pruning that was broken off begins anew. */
static void set_state(struct ken_source *source, const struct kend_entry *entry)
{
    const struct kend_validators *validators = &entry->validators;
    source->has_state = false;
    if (!validators->strong) return;
    const char *text = validators->etag[0] ? validators->etag : validators->last_modified;
    ken_source_set_state(source, text, strlen(text));
}

/* Until the origin has said what it is. */
static int wait_open(struct kend_entry_source *source, struct ken_error *error)
{
    struct kend_entry *entry = source->entry;
    int code = 0;
    pthread_mutex_lock(&entry->mutex);
    while (!code && !entry->stale && (entry->state == KEND_ENTRY_PROBING || (entry->state == KEND_ENTRY_OPEN && entry->revalidate)))
        code = wait_turn(source, error);
    if (!code && entry->state == KEND_ENTRY_FAILED && !entry->stale) code = failed(entry, error);
    source->source.base.size = entry->size;
    set_state(&source->source.base, entry);
    pthread_mutex_unlock(&entry->mutex);
    return code;
}

static bool is_stale(struct kend_entry_source *source)
{
    pthread_mutex_lock(&source->entry->mutex);
    bool stale = source->entry->stale;
    pthread_mutex_unlock(&source->entry->mutex);
    return stale;
}

static struct kend_entry_source *of(struct ken_source *source)
{
    return (struct kend_entry_source *)source;
}

static int source_wait(struct ken_source *base, uint64_t offset, uint64_t length, struct ken_error *error)
{
    struct kend_entry_source *source = of(base);
    struct kend_entry *entry = source->entry;
    int code = 0;
    KEN_ASSERT(offset <= base->size && length <= base->size - offset);
    struct kend_waiter waiter = {.first = offset, .end = offset + length};
    pthread_mutex_lock(&entry->mutex);
    if (!kend_ranges_hold(&entry->good, waiter.first, waiter.end)) {
        waiter.next = entry->waiters;
        entry->waiters = &waiter;
        kend_entry_poke(entry);
        while (!code && !kend_ranges_hold(&entry->good, waiter.first, waiter.end))
            code = entry->state == KEND_ENTRY_FAILED ? failed(entry, error) : wait_turn(source, error);
        struct kend_waiter **at = &entry->waiters;
        while (*at != &waiter) at = &(*at)->next;
        *at = waiter.next;
    }
    pthread_mutex_unlock(&entry->mutex);
    return code;
}

static int source_read(struct ken_source *base, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct kend_entry *entry = of(base)->entry;
    ssize_t got = ken_pread(kend_cached_fd(entry->cached), buffer, length, offset);
    if (got < 0) return ken_fail_errno(error, errno, "reading the cached copy of %.200s", entry->url.shown);
    if ((size_t)got < length) return ken_fail(error, KEN_EFETCH, "the cached copy of %.200s was cut off", entry->url.shown);
    return 0;
}

/* All of it, and its digest. */
static int wait_digest(struct kend_entry_source *source, unsigned char sha256[32], struct ken_error *error)
{
    struct kend_entry *entry = source->entry;
    int code = 0;
    pthread_mutex_lock(&entry->mutex);
    entry->want_digest = true;
    kend_entry_poke(entry);
    while (!code && !entry->has_sha256) code = entry->state == KEND_ENTRY_FAILED ? failed(entry, error) : wait_turn(source, error);
    memcpy(sha256, entry->sha256, KEN_SHA256_SIZE);
    pthread_mutex_unlock(&entry->mutex);
    return code;
}

static int source_digest(struct ken_source *base, unsigned char sha256[32], struct ken_error *error)
{
    int code = source_wait(base, 0, base->size, error);
    return code ? code : wait_digest(of(base), sha256, error);
}

static int source_check(struct ken_source *base, struct ken_error *error)
{
    const struct kend_entry *entry = of(base)->entry;
    struct stat status;
    if (fstat(kend_cached_fd(entry->cached), &status)) return ken_fail_errno(error, errno, "the cached copy of %.200s", entry->url.shown);
    return (uint64_t)status.st_size >= base->size
               ? 0
               : ken_fail(error, KEN_EFETCH, "the cached copy of %.200s was cut off while it was read", entry->url.shown);
}

static void source_close(struct ken_source *base)
{
    struct kend_entry_source *source = of(base);
    struct kend_location *location = source->source.location;
    kend_source_leave(&source->source);
    if (source->entry) kend_entry_release(source);
    kend_location_release(location);
    free(source);
}

static void source_fetch(struct kend_source *base)
{
    struct kend_entry_source *source = of(&base->base);
    pthread_mutex_lock(&source->entry->mutex);
    source->fetching = source->entry->want_digest = true;
    kend_entry_poke(source->entry);
    pthread_mutex_unlock(&source->entry->mutex);
}

static void source_state(struct kend_source *base, struct kend_location_state *state)
{
    struct kend_entry_source *source = of(&base->base);
    struct kend_entry *entry = source->entry;
    pthread_mutex_lock(&entry->mutex);
    state->bytes_total += base->base.size;
    state->bytes_there += entry->good.total;
    state->bytes_durable += entry->durable;
    state->bytes_resumed += source->resumed;
    state->complete = state->complete && entry->complete;
    pthread_mutex_unlock(&entry->mutex);
}

static int source_whole(struct kend_source *base, const unsigned char *wanted, struct ken_error *error)
{
    struct kend_entry_source *source = of(&base->base);
    unsigned char sha256[KEN_SHA256_SIZE];
    char is[KEN_SHA256_HEX_SIZE], should[KEN_SHA256_HEX_SIZE];
    int code = source_digest(&base->base, sha256, error);
    if (code || !wanted || memcmp(sha256, wanted, sizeof sha256) == 0) return code;
    kend_entry_drop(source->entry);
    return ken_fail(error, KEN_EDIGEST, "%.200s has the SHA-256 %s, not %s", source->entry->url.shown,
                    ken_hex_encode(is, sha256, sizeof sha256), ken_hex_encode(should, wanted, sizeof sha256));
}

static struct kend_cached *source_cached(const struct kend_source *source)
{
    return ((const struct kend_entry_source *)source)->entry->cached;
}

static void source_stop(struct kend_source *base)
{
    struct kend_entry_source *source = of(&base->base);
    pthread_mutex_lock(&source->entry->mutex);
    source->active = false;
    pthread_cond_broadcast(&source->entry->changed);
    kend_entry_poke(source->entry);
    pthread_mutex_unlock(&source->entry->mutex);
}

static const struct ken_source_ops source_ops = {source_wait, source_read, source_digest, source_check, source_close};
static const struct kend_source_ops more_ops = {source_fetch, source_state, source_whole, source_cached, source_stop};

int kend_entry_source_open(struct kend_location *location, const struct kend_url *url, struct ken_source **result, struct ken_error *error)
{
    struct kend_entry_source *source = calloc(1, sizeof *source);
    if (!source) return ken_fail(error, KEN_ENOMEM, "out of memory");
    source->source.base.ops = &source_ops;
    source->source.base.tells_digest = true; /* made while the bytes come in */
    source->source.more = &more_ops;
    source->source.location = location;
    int code;
    for (;;) {
        code = kend_entry_acquire(source, location, url, error);
        if (code || !source->entry) break;
        code = wait_open(source, error);
        if (code || !is_stale(source)) break;
        kend_entry_release(source);
    }
    if (code) {
        if (source->entry) kend_entry_release(source);
        free(source);
        return code;
    }
    kend_source_join(&source->source);
    *result = &source->source.base;
    return 0;
}
