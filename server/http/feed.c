/* SPDX-License-Identifier: Apache-2.0 */
#include "http/feed.h"

#include "http/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_HASHES = 1024, FEED_NONE = UINT32_MAX };

/* Position p is in slot p % KEND_FEED_SLOTS. */
struct feed_slot {
    struct kend_feed_entry entry; /* job "": a later slot has the job now */
    uint32_t next;                /* slot of the same hash, or FEED_NONE */
};

struct kend_feed {
    pthread_mutex_t lock;
    uint64_t end; /* the next position */
    uint32_t first[FEED_HASHES];
    struct feed_slot slot[KEND_FEED_SLOTS];
};

int kend_feed_create(struct kend_feed **out, struct ken_error *error)
{
    struct kend_feed *feed = calloc(1, sizeof *feed);
    *out = feed;
    if (!feed) return ken_fail(error, KEN_ENOMEM, "out of memory");
    for (size_t i = 0; i < FEED_HASHES; i++) feed->first[i] = FEED_NONE;
    pthread_mutex_init(&feed->lock, NULL);
    return KEN_OK;
}

void kend_feed_destroy(struct kend_feed **feed)
{
    if (!*feed) return;
    pthread_mutex_destroy(&(*feed)->lock);
    free(*feed);
    *feed = NULL;
}

/* ---- with the lock held */

/* What leads to the job's slot. */
static uint32_t *feed_place(struct kend_feed *feed, const char *job)
{
    uint32_t *place = &feed->first[kend_hash(0, job, strlen(job)) % FEED_HASHES];
    while (*place != FEED_NONE && strcmp(feed->slot[*place].entry.job, job) != 0) place = &feed->slot[*place].next;
    return place;
}

static void feed_forget(struct kend_feed *feed, const char *job)
{
    uint32_t *place = feed_place(feed, job);
    if (*place == FEED_NONE) return;
    struct feed_slot *slot = &feed->slot[*place];
    *place = slot->next;
    slot->entry.job[0] = '\0';
}

/* Ids are never used again: what is told of a job behind its removal happened before. */
static void feed_put(struct kend_feed *feed, const char *job, const char *owner, bool removed)
{
    const uint32_t number = (uint32_t)(feed->end % KEND_FEED_SLOTS);
    struct feed_slot *slot = &feed->slot[number];
    uint32_t *place = feed_place(feed, job);
    if (!removed && *place != FEED_NONE && feed->slot[*place].entry.removed) return;
    feed_forget(feed, job);
    if (*slot->entry.job) feed_forget(feed, slot->entry.job);
    strncpy(slot->entry.job, job, sizeof slot->entry.job - 1);
    strncpy(slot->entry.owner, owner, sizeof slot->entry.owner - 1);
    slot->entry.removed = removed;
    place = feed_place(feed, slot->entry.job);
    KEN_ASSERT(*place == FEED_NONE);
    slot->next = FEED_NONE;
    *place = number;
    feed->end++;
}

/* ---- for others */

void kend_feed_put(struct kend_feed *feed, const char *job, const char *owner, bool removed)
{
    pthread_mutex_lock(&feed->lock);
    feed_put(feed, job, owner, removed);
    pthread_mutex_unlock(&feed->lock);
}

uint64_t kend_feed_end(struct kend_feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    const uint64_t end = feed->end;
    pthread_mutex_unlock(&feed->lock);
    return end;
}

enum kend_feed_result kend_feed_take(struct kend_feed *feed, uint64_t *position, struct kend_feed_entry *entry)
{
    enum kend_feed_result result = KEND_FEED_NOTHING;
    pthread_mutex_lock(&feed->lock);
    if (feed->end - *position > KEND_FEED_SLOTS) result = KEND_FEED_LOST;
    while (result == KEND_FEED_NOTHING && *position < feed->end) {
        *entry = feed->slot[(*position)++ % KEND_FEED_SLOTS].entry;
        if (*entry->job) result = KEND_FEED_TAKEN;
    }
    pthread_mutex_unlock(&feed->lock);
    return result;
}
