/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on disk for a job, found before it fetches or writes anything, and made where something can give way: the cache, then (for
 * artifacts.max_bytes) artifacts that are old enough.
 */
#ifndef KEND_ROOM_H
#define KEND_ROOM_H

#include "jobs/engine.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a running job was let have. */
struct kend_promise {
    char id[PROTO_ID_SIZE]; /* "": free */
    uint64_t outputs;
};

/* What an engine has promised and given up. */
enum { KEND_PROMISES = 64 /* the most that jobs.max_running can be */, KEND_LEFTOVERS = 16 };
struct kend_room {
    atomic_ullong evicted_bytes; /* since start */
    pthread_mutex_t mutex;       /* the promises; held for moments only */
    struct kend_promise promises[KEND_PROMISES];
    pthread_mutex_t looking;                      /* one at a time looks for room, and removes files for it; taken before the other */
    char leftover[KEND_LEFTOVERS][PROTO_ID_SIZE]; /* jobs whose evicted files could not be removed */
    size_t leftover_count;
};

/* What a job is to have room for. */
struct kend_room_need {
    const char *id;                         /* its earlier attempts may have left outputs; NULL: a dry run, as if nothing else ran */
    const char *owner;                      /* whose artifacts go first for it */
    struct kend_location *const *locations; /* [location_count] of its inputs */
    size_t location_count;
    uint64_t outputs; /* at the peak */
};
/* Before anybody looks for room, and after. From the one to the other the fetcher knows what has been promised. */
void kend_room_begin(struct kend_parts *parts);
void kend_room_end(const struct kend_parts *parts);
/*
 * What a disk has to hold beside the reserve, now or later: what jobs were let write and have not written yet (the promises, here), and
 * what the cache has reserved and not fetched yet. Both are looked at here with every job, and the fetcher asks here before it grants more.
 *
 * Whether it fits, and would once enough gave way; then it is promised to the job until kend_room_leave. Nothing gives way yet.
 * KEN_ENO_SPACE says what is needed; KEN_EBUSY: there will be enough when other jobs have ended.
 */
int kend_room_find(const struct kend_parts *parts, const struct kend_room_need *need, struct ken_error *error);
/*
 * The same, and what has to gives way. Only when all else that the job needs is known to be there, and reserved: of jobs that looked at
 * the same time, the last one here sees what all of them were granted.
 */
int kend_room_make(const struct kend_parts *parts, const struct kend_room_need *need, struct ken_error *error);
/* The job has ended, or runs here no longer. */
void kend_room_leave(const struct kend_parts *parts, const char *id);
/* Removes what could not be removed when it was evicted. */
void kend_room_clean(const struct kend_parts *parts);
/* Gives up artifacts, `most` jobs' of them, where those of all jobs take more than artifacts.max_bytes. Whether there is more to give up.
 */
bool kend_room_keep(const struct kend_parts *parts, unsigned most);

#endif
