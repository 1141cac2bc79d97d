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

/* What an engine has given up. */
struct kend_room {
    pthread_mutex_t mutex;       /* one at a time makes room: two would give up more than both need */
    atomic_ullong evicted_bytes; /* since start */
};

/*
 * Whether `fetch` bytes of inputs, and at the peak `outputs` bytes of outputs, fit. With the id of the job, whose earlier attempts may have
 * left outputs, room is made; NULL (a dry run): only looked for. KEN_ENO_SPACE says what is needed and what there is.
 */
int kend_room_find(const struct kend_parts *parts, const char *id, uint64_t fetch, uint64_t outputs, struct ken_error *error);
/* Gives up artifacts, `most` jobs' of them, where those of all jobs take more than artifacts.max_bytes. Whether there is more to give up.
 */
bool kend_room_keep(const struct kend_parts *parts, unsigned most);

#endif
