/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which jobs have changed lately: what streams of all jobs read from. Each reader has a position of its own; the feed keeps the last
 * KEND_FEED_SLOTS changes, of a job only the last one, whoever reads how far. Thread-safe.
 */
#ifndef KEND_HTTP_FEED_H
#define KEND_HTTP_FEED_H

#include "error.h"
#include "id.h"
#include "token.h"

#include <stdbool.h>
#include <stdint.h>

enum { KEND_FEED_SLOTS = 2048 };

struct kend_feed;

struct kend_feed_entry {
    char job[PROTO_ID_SIZE];
    bool removed;
    char owner[PROTO_OWNER_MAX + 1]; /* whose it is: to others it is nothing, and of a removed one the store cannot tell any more */
};

/* KEN_ENOMEM. */
int kend_feed_create(struct kend_feed **feed, struct ken_error *error);
void kend_feed_destroy(struct kend_feed **feed);
/* A job of that owner has changed, or was removed: then nothing comes behind, whoever tells it late. */
void kend_feed_put(struct kend_feed *feed, const char *job, const char *owner, bool removed);
/* Where a reader begins who wants to hear of what comes from now on. */
uint64_t kend_feed_end(struct kend_feed *feed);

enum kend_feed_result {
    KEND_FEED_NOTHING, /* the position is the end */
    KEND_FEED_TAKEN,   /* *entry is the next one, the position behind it */
    KEND_FEED_LOST,    /* more has changed since than the feed keeps */
};
enum kend_feed_result kend_feed_take(struct kend_feed *feed, uint64_t *position, struct kend_feed_entry *entry);

#endif
