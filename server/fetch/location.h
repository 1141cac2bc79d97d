/* SPDX-License-Identifier: Apache-2.0 */
/* A location as its sources see it: whether it is still wanted, and whom to tell. */
#ifndef KEND_LOCATION_H
#define KEND_LOCATION_H

#include "fetch/fetch.h"
#include "fetch/fetch_url.h"

#include <pthread.h>

struct kend_location {
    struct kend_fetcher *fetcher;
    struct kend_url url;
    char *owner, *label; /* label: what messages call its file or folder, printable */
    bool hasty, held, has_sha256;
    unsigned char sha256[32];
    bool (*cancelled)(void *opaque);
    void (*note)(void *opaque, const char *text);
    void *opaque;
    struct ken_opener opener;
    bool was_cached, afresh;         /* some of it was in the cache; nothing of that is to be used. Its own thread */
    unsigned pieces;                 /* transfers that have a share of it; the fetcher's thread */
    _Atomic unsigned references;     /* the runner's, those of its sources and of who passes a note on */
    pthread_mutex_t telling;         /* held by who hands notes over: in order, one at a time; taken before the other */
    pthread_mutex_t mutex;           /* all below; taken before an entry's */
    bool closed;                     /* the callbacks must not be called any more */
    bool told;                       /* it is in the fetcher's line for who hands notes over, or that is at it */
    struct kend_location *next_told; /* of that line; the fetcher's thread */
    struct kend_note *notes, **last_note;
    struct kend_source *sources;
};

/* Whether what blocks for this location is to give up: it was cancelled, or closed. */
bool kend_location_is_over(struct kend_location *location);
/* A line for its owner, who gets it from a thread that may block, at the latest when it is closed. Loop's thread. */
void kend_location_note(struct kend_location *location, const char *text);
void kend_location_retain(struct kend_location *location);
void kend_location_release(struct kend_location *location);

#endif
