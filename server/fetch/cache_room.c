/* SPDX-License-Identifier: Apache-2.0 */
/* Room in the cache and on its disk: who may take how much, and what goes for it. */
#include "fetch/cache_parts.h"

#include "bytes.h"
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the cache would hold if the claims were granted, and its disk. */
struct room {
    uint64_t total;      /* there or reserved, by anyone */
    uint64_t own;        /* of it what the claims take */
    uint64_t coming;     /* of the total what is not yet there */
    uint64_t own_coming; /* of that what the claims take */
    uint64_t evictable;  /* there for nobody */
    uint64_t held;       /* there for others */
    uint64_t promised;   /* to be written to the disk by others than the cache */
    uint64_t free;       /* on the disk */
    uint64_t late;       /* given up, but not yet free */
};

/* Tells each item what is claimed of it. With the mutex held. */
static void mark_claims(const struct kend_cache *cache, const struct kend_claim *claims, size_t count)
{
    for (struct kend_item *item = cache->items; item; item = item->next) {
        item->claimed = false;
        item->wanted = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct kend_item *item = claims[i].cached->item;
        item->claimed = true;
        item->wanted = larger(item->wanted, claims[i].bytes);
    }
}

/* With the mutex held. */
static struct room add_up(const struct kend_cache *cache)
{
    struct room room = {0};
    for (const struct kend_item *item = cache->items; item; item = item->next) {
        const uint64_t there = item->bytes; /* may grow meanwhile */
        const uint64_t charged = larger(larger(there, item->reserved), item->wanted);
        room.total = ken_bytes_add(room.total, charged);
        room.coming = ken_bytes_add(room.coming, charged - there);
        if (item->claimed) {
            room.own = ken_bytes_add(room.own, charged);
            room.own_coming = ken_bytes_add(room.own_coming, charged - there);
        } else if (item->pinned) {
            room.held = ken_bytes_add(room.held, there);
        } else {
            room.evictable = ken_bytes_add(room.evictable, there);
        }
    }
    return room;
}

/* All but the disk. */
static struct room measure(struct kend_cache *cache, const struct kend_claim *claims, size_t count)
{
    pthread_mutex_lock(&cache->mutex);
    mark_claims(cache, claims, count);
    const struct room room = add_up(cache);
    pthread_mutex_unlock(&cache->mutex);
    return room;
}

/* A file system that does not tell is no reason to evict or to refuse: writing says what it lacks. The most leaves room for a sum. */
static uint64_t free_bytes(const struct kend_cache *cache)
{
    const uint64_t most = UINT64_MAX / 2;
    struct statvfs status;
    uint64_t bytes;
    if (fstatvfs(cache->fd, &status)) return most;
    return __builtin_mul_overflow((uint64_t)status.f_bavail, (uint64_t)status.f_frsize, &bytes) || bytes > most ? most : bytes;
}

/* Whether `coming` bytes fit on the disk once `spare` were given up. */
static bool disk_holds(const struct kend_cache *cache, const struct room *room, uint64_t coming, uint64_t spare)
{
    uint64_t there = ken_bytes_add(room->free, room->late);
    there = ken_bytes_add(there, spare);
    return ken_bytes_add(cache->reserve_bytes, coming) <= there;
}

/* Whether the claims fit once `spare` bytes that nobody uses were given up. */
static bool fits(const struct kend_cache *cache, const struct room *room, uint64_t spare)
{
    if (cache->max_bytes && room->total - spare > cache->max_bytes) return false;
    return !room->own_coming || disk_holds(cache, room, ken_bytes_add(room->coming, room->promised), spare);
}

/* ---- what goes */

/*
 * What was given up, for some file systems take their time until it is free. What others write meanwhile is no part of that: no more counts
 * as late than what each eviction left wanting at its own end, nor more than what is wanting in all.
 */
struct given_up {
    uint64_t expected; /* bytes that were free before the first, and what was given up; 0: nothing was */
    uint64_t wanting;
};

static uint64_t late(const struct given_up *given, uint64_t there)
{
    const uint64_t missing = given->expected > there ? given->expected - there : 0;
    return missing < given->wanting ? missing : given->wanting;
}

/* With the mutex held. NULL: nothing is there for nobody. */
static struct kend_item *find_oldest(const struct kend_cache *cache)
{
    struct kend_item *oldest = NULL;
    for (struct kend_item *item = cache->items; item; item = item->next)
        if (!item->pinned && (!oldest || item->used < oldest->used)) oldest = item;
    return oldest;
}

/* With `granting` held, and so many bytes free. False: there is nothing to evict. */
static bool evict(struct kend_cache *cache, struct given_up *given, uint64_t before)
{
    char name[KEND_GONE_NAME], key[KEND_CACHE_KEY];
    pthread_mutex_lock(&cache->mutex);
    struct kend_item *item = find_oldest(cache);
    if (item) {
        item->going = true;
        memcpy(key, item->key, sizeof key);
        kend_cache_gone_name(cache, name);
    }
    pthread_mutex_unlock(&cache->mutex);
    if (!item) return false;
    const uint64_t bytes = item->bytes; /* nobody has it */
    const bool moved = renameat(cache->fd, key, cache->fd, name) == 0;
    pthread_mutex_lock(&cache->mutex);
    kend_cache_free_item(cache, item);
    pthread_cond_broadcast(&cache->moved);
    pthread_mutex_unlock(&cache->mutex);
    kend_log(KEND_LOG_INFO, "cache entry evicted", KEND_S("entry", key), KEND_I("bytes", bytes));
    if (!moved) return true;
    kend_cache_remove_folder(cache, name);
    const uint64_t after = free_bytes(cache), freed = after > before ? after - before : 0;
    given->expected = ken_bytes_add(given->expected ? given->expected : before, bytes);
    given->wanting = ken_bytes_add(given->wanting, bytes > freed ? bytes - freed : 0);
    return true;
}

void kend_cache_room(struct kend_cache *cache, struct kend_cache_room *room)
{
    struct stat status;
    *room = (struct kend_cache_room){.free = free_bytes(cache), .device = fstat(cache->fd, &status) ? 0 : status.st_dev};
    pthread_mutex_lock(&cache->mutex);
    for (const struct kend_item *item = cache->items; item; item = item->next)
        if (!item->pinned) room->evictable += item->bytes;
    pthread_mutex_unlock(&cache->mutex);
}

void kend_cache_coming(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct kend_coming *coming)
{
    const struct room room = measure(cache, claims, count);
    /* Sums that were cut at the most there is still have the one part below the other. */
    *coming = (struct kend_coming){.own = room.own_coming, .others = room.coming - room.own_coming, .held = room.held};
}

void kend_cache_share_disk(struct kend_cache *cache, uint64_t (*promised)(void *opaque), void *opaque)
{
    pthread_mutex_lock(&cache->asking);
    cache->promised = promised;
    cache->promised_opaque = opaque;
    pthread_mutex_unlock(&cache->asking);
}

static uint64_t promised_by_others(struct kend_cache *cache)
{
    pthread_mutex_lock(&cache->asking);
    const uint64_t bytes = cache->promised ? cache->promised(cache->promised_opaque) : 0;
    pthread_mutex_unlock(&cache->asking);
    return bytes;
}

void kend_cache_make_room(struct kend_cache *cache, uint64_t bytes)
{
    const uint64_t wanted = ken_bytes_add(bytes, cache->reserve_bytes);
    pthread_mutex_lock(&cache->granting);
    struct given_up given = {0};
    uint64_t there = free_bytes(cache);
    while (there + late(&given, there) < wanted && evict(cache, &given, there)) there = free_bytes(cache);
    pthread_mutex_unlock(&cache->granting);
}

static int no_room(const struct kend_cache *cache, const struct room *room, struct ken_error *error)
{
    if (cache->max_bytes && room->total - room->evictable > cache->max_bytes)
        return ken_fail(error, KEN_EBUSY,
                        "%llu bytes do not fit into the cache beside what running jobs use of it (cache.max_bytes is %llu)",
                        (unsigned long long)room->own, (unsigned long long)cache->max_bytes);
    uint64_t others = room->evictable;
    others = ken_bytes_add(others, room->held);
    return ken_fail(error, disk_holds(cache, room, room->own_coming, others) ? KEN_EBUSY : KEN_ENO_SPACE,
                    "%llu more bytes do not fit on the cache's disk beside what disk.reserve_bytes keeps",
                    (unsigned long long)room->own_coming);
}

static int too_large(const struct kend_cache *cache, uint64_t bytes, struct ken_error *error)
{
    if (!cache->max_bytes || bytes <= cache->max_bytes) return 0;
    return ken_fail(error, KEN_ETOO_LARGE, "%llu bytes are more than cache.max_bytes (%llu)", (unsigned long long)bytes,
                    (unsigned long long)cache->max_bytes);
}

/*
 * With `granting` held. Nothing is evicted where that would not do. The disk is asked last: what is written meanwhile counts as still to
 * come.
 */
static int make_fit(struct kend_cache *cache, const struct kend_claim *claims, size_t count, uint64_t promised, struct ken_error *error)
{
    struct given_up given = {0};
    for (;;) {
        struct room room = measure(cache, claims, count);
        room.promised = promised;
        room.free = free_bytes(cache);
        room.late = late(&given, room.free);
        int code = too_large(cache, room.own, error);
        if (code || fits(cache, &room, 0)) return code;
        if (!fits(cache, &room, room.evictable) || !evict(cache, &given, room.free)) return no_room(cache, &room, error);
    }
}

int kend_cache_reserve(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct ken_error *error)
{
    const uint64_t promised = promised_by_others(cache);
    pthread_mutex_lock(&cache->granting);
    int code = make_fit(cache, claims, count, promised, error);
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < count && !code; i++) {
        struct kend_item *item = claims[i].cached->item;
        item->reserved = larger(item->reserved, claims[i].bytes);
    }
    pthread_mutex_unlock(&cache->mutex);
    pthread_mutex_unlock(&cache->granting);
    return code;
}

int kend_cache_check(struct kend_cache *cache, const struct kend_claim *claims, size_t count, uint64_t *bytes, struct ken_error *error)
{
    *bytes = measure(cache, claims, count).own;
    return too_large(cache, *bytes, error);
}

uint64_t kend_cached_charge(const struct kend_cached *cached, uint64_t bytes)
{
    return larger(larger(cached->item->bytes, cached->item->reserved), bytes);
}

int kend_cached_check(const struct kend_cached *cached, uint64_t bytes, struct ken_error *error)
{
    return too_large(cached->cache, kend_cached_charge(cached, bytes), error);
}

bool kend_cache_has_room(struct kend_cache *cache, uint64_t bytes)
{
    const uint64_t promised = promised_by_others(cache);
    struct room room = measure(cache, NULL, 0);
    room.promised = promised;
    room.free = free_bytes(cache);
    room.total = ken_bytes_add(room.total, bytes);
    room.coming = ken_bytes_add(room.coming, bytes);
    room.own_coming = bytes;
    return fits(cache, &room, room.evictable);
}

int kend_cached_reserve(struct kend_cached *cached, uint64_t least, uint64_t most, uint64_t *granted, struct ken_error *error)
{
    struct kend_cache *cache = cached->cache;
    if (cache->max_bytes && most > cache->max_bytes) most = cache->max_bytes;
    *granted = larger(least, most);
    int code = kend_cache_reserve(cache, &(struct kend_claim){cached, *granted}, 1, error);
    if (!code || *granted == least) return code;
    *granted = least;
    return kend_cache_reserve(cache, &(struct kend_claim){cached, least}, 1, error);
}
