/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the cache share: its items, and handles to those that are pinned. */
#ifndef KEND_CACHE_PARTS_H
#define KEND_CACHE_PARTS_H

#include "fetch/cache.h"

#include <pthread.h>

#define KEND_GONE_PREFIX ".gone-"
enum { KEND_GONE_NAME = 40 };

/* One entry that is on disk. In the cache's list until its folder is gone and nobody has it pinned. */
struct kend_item {
    struct kend_item *next;
    char key[KEND_CACHE_KEY];  /* empty: detached */
    _Atomic uint64_t bytes;    /* of data that are there; told without the mutex by who has it pinned */
    _Atomic uint64_t reserved; /* that it may grow to; at least what was asked for while pinned */
    int64_t used;              /* nanoseconds since 1970 */
    bool pinned;
    bool going;   /* its folder is being moved out of the way: whoever wants its key waits */
    bool claimed; /* as `wanted`, while room is measured */
    uint64_t wanted;
};

struct kend_cache {
    char *dir;
    int fd, lock;
    uint64_t max_bytes, reserve_bytes;
    pthread_mutex_t granting; /* held by who grants or makes room, one at a time, while the disk is asked; taken before the next */
    pthread_mutex_t mutex;    /* all below, and every item; the disk is not waited for with it */
    pthread_cond_t moved;     /* what was going has gone */
    struct kend_item *items;
    unsigned gone;          /* folders that were renamed to be removed */
    pthread_mutex_t asking; /* the two below; taken before the other one, held while it is asked */
    uint64_t (*promised)(void *opaque);
    void *promised_opaque;
};

struct kend_cached {
    struct kend_cache *cache;
    struct kend_item *item;
    int folder, data;
    bool saved;
    bool dropped;              /* detached, but it could not be moved yet */
    char gone[KEND_GONE_NAME]; /* where it was moved to when it was detached */
};

/* With the mutex held. False: out of memory. `added` may be NULL. */
bool kend_cache_add_item(struct kend_cache *cache, const char *key, uint64_t bytes, int64_t used, struct kend_item **added);
/* With the mutex held. */
void kend_cache_free_item(struct kend_cache *cache, struct kend_item *gone);
/* The name that an entry's folder gets before it is removed. With the mutex held. */
void kend_cache_gone_name(struct kend_cache *cache, char name[KEND_GONE_NAME]);
void kend_cache_remove_folder(struct kend_cache *cache, const char *name);

#endif
