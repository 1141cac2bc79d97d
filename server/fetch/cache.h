/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetched files on disk: DIR/KEY/data and DIR/KEY/meta. What is used is pinned; of the rest, the least recently used go when room is
 * needed. All functions may block on the disk and may be called from any thread; a handle from one at a time unless said otherwise.
 */
#ifndef KEND_CACHE_H
#define KEND_CACHE_H

#include "fetch/fetch.h"
#include "fetch/meta.h"

#include <stdbool.h>
#include <stdint.h>

enum { KEND_CACHE_KEY = KEN_SHA256_HEX_SIZE };

struct kend_cache;
struct kend_cached; /* an entry, pinned */

/* Makes the folder, takes its lock, removes what a crash left unfinished. KEN_EINVAL: it cannot be used, or another process does. */
int kend_cache_create(struct kend_cache **cache, const char *dir, uint64_t max_bytes, uint64_t reserve_bytes, struct ken_error *error);
/* Nothing may be pinned any more. */
void kend_cache_destroy(struct kend_cache **cache);
/* Bytes of data that the entries hold. */
uint64_t kend_cache_bytes(struct kend_cache *cache);

/* What is free on the cache's disk (and which that is, st_dev), and what the cache would give up for it. */
void kend_cache_room(struct kend_cache *cache, struct kend_cache_room *room);
/* Gives up what was used longest ago until `bytes` are free beside the reserve, or nothing is left that nobody uses. */
void kend_cache_make_room(struct kend_cache *cache, uint64_t bytes);

/* key = SHA-256 of owner and URL, in hexadecimal. */
int kend_cache_key(char key[KEND_CACHE_KEY], const char *owner, const char *url, struct ken_error *error);
/*
 * Pins the entry, making it if needed; at most one handle for a key at a time. *meta (owned by the caller) is what is known and agrees with
 * the data; where nothing is, the data is empty.
 */
int kend_cache_open(struct kend_cache *cache, const char *key, struct kend_cached **cached, struct kend_meta *meta,
                    struct ken_error *error);
/* Open for reading and writing, as long as the handle. Any thread. */
int kend_cached_fd(const struct kend_cached *cached);
/*
 * Makes sure that the entry's data may grow to `most` bytes, or where that much cannot be had, to at least `least`; *granted says which.
 * Errors as those of kend_cache_reserve.
 */
int kend_cached_reserve(struct kend_cached *cached, uint64_t least, uint64_t most, uint64_t *granted, struct ken_error *error);

/* An entry that is to have so many bytes. */
struct kend_claim {
    struct kend_cached *cached;
    uint64_t bytes;
};
/*
 * Makes sure that all of them may grow so far, or grants nothing; an entry may be named twice. What nobody uses is evicted for it.
 * KEN_ETOO_LARGE: never, the limit is named. KEN_ENO_SPACE: the disk is too small, whatever others do. KEN_EBUSY: not before others let go
 * of theirs. Any thread.
 */
int kend_cache_reserve(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct ken_error *error);
/* Whether the limit lets the claims be granted at all: 0 or KEN_ETOO_LARGE. *bytes is what they take together. */
int kend_cache_check(struct kend_cache *cache, const struct kend_claim *claims, size_t count, uint64_t *bytes, struct ken_error *error);
/* What is to come, were the claims granted. */
void kend_cache_coming(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct kend_coming *coming);
/* As kend_fetcher_share_disk. */
void kend_cache_share_disk(struct kend_cache *cache, uint64_t (*promised)(void *opaque), void *opaque);
/* Whether there is room for so many bytes beside what is in use and promised. */
bool kend_cache_has_room(struct kend_cache *cache, uint64_t bytes);
/* What it takes of the cache if it has so many bytes; never less than was reserved. Any thread; waits for nobody. */
uint64_t kend_cached_charge(const struct kend_cached *cached, uint64_t bytes);
/* Whether the limit lets it have so many bytes at all: 0 or KEN_ETOO_LARGE. Any thread; waits for nobody. */
int kend_cached_check(const struct kend_cached *cached, uint64_t bytes, struct ken_error *error);
/* Tells how many bytes the data now has. Any thread; waits for nobody. */
void kend_cached_wrote(struct kend_cached *cached, uint64_t bytes);
/* Makes the data durable, then says in meta what it is; both survive a crash whole. `url` is for people who look into the folder. */
int kend_cached_save(struct kend_cached *cached, const struct kend_meta *meta, const char *url, struct ken_error *error);
/* Forgets what is known and empties the data. */
int kend_cached_truncate(struct kend_cached *cached, struct ken_error *error);
/* Removes it from the cache; the descriptor stays readable until the handle is closed, and the key is free when it returns. */
void kend_cached_detach(struct kend_cached *cached);
/* Unpins. What was never saved is removed. */
void kend_cached_close(struct kend_cached **cached);

#endif
