/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that a durable run has to itself: makes durable what was written, and journals it. The disk may take its time, pruning goes on.
 */
#ifndef KEN_SYNCER_H
#define KEN_SYNCER_H

#include "error.h"
#include "pruning/progress.h"

#include <pthread.h>

struct ken_prune;
struct ken_syncer;

/* *progress, under *lock, is how far the outputs are written; what it is at the beginning is durable. Both are borrowed until the end.
 * *syncer is NULL where the run keeps no journal. */
int ken_syncer_start(struct ken_syncer **syncer, struct ken_prune *prune, pthread_mutex_t *lock, const struct ken_progress *progress,
                     struct ken_error *error);
/* Fails if the disk did; nothing if syncer is NULL. */
int ken_syncer_check(struct ken_syncer *syncer, struct ken_error *error);
/* Ends the thread, and makes durable what it has not, if `sync`. *syncer becomes NULL; nothing if it is. */
int ken_syncer_end(struct ken_syncer **syncer, bool sync, struct ken_error *error);

#endif
