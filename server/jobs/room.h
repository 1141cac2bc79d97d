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
enum { KEND_PROMISES = 64 /* the most that jobs.max_running can be */ };
struct kend_room {
    pthread_mutex_t mutex; /* one at a time looks for room */
    struct kend_promise promises[KEND_PROMISES];
    atomic_ullong evicted_bytes; /* since start */
};

/*
 * Whether `fetch` bytes of inputs, and at the peak `outputs` bytes of outputs, fit. With the id of the job, whose earlier attempts may have
 * left outputs, room is made and promised to it until kend_room_leave; NULL (a dry run): only looked for, as if nothing else ran.
 * KEN_ENO_SPACE says what is needed and what there is; KEN_EBUSY: there will be enough when other jobs have ended.
 */
int kend_room_find(const struct kend_parts *parts, const char *id, uint64_t fetch, uint64_t outputs, struct ken_error *error);
/* The job has ended, or runs here no longer. */
void kend_room_leave(const struct kend_parts *parts, const char *id);
/* Gives up artifacts, `most` jobs' of them, where those of all jobs take more than artifacts.max_bytes. Whether there is more to give up.
 */
bool kend_room_keep(const struct kend_parts *parts, unsigned most);

#endif
