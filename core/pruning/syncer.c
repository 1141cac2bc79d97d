/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/syncer.h"

#include "condition.h"
#include "pruning/run.h"

#include <stdlib.h>

#define DEFAULT_SYNC_SECONDS 1.0
/* Then twice as much, and so on: something should last of a process that is killed as soon as the one before it. */
#define FIRST_SYNC_SECONDS 0.05

struct ken_syncer {
    struct ken_prune *prune;
    pthread_mutex_t *lock; /* over *progress */
    const struct ken_progress *progress;
    uint64_t tensor, unit; /* durable up to there; the thread's, and of whoever ends it behind it */
    pthread_t thread;
    double seconds; /* to the next; the thread's */

    pthread_mutex_t own; /* over what follows */
    pthread_cond_t ended;
    bool ending;
    struct ken_error error;
};

/* The outputs first, then the entry that tells of them. What is written meanwhile does no harm: the entry does not tell of it. */
static int sync_written(struct ken_syncer *syncer, struct ken_error *error)
{
    struct ken_prune *prune = syncer->prune;
    pthread_mutex_lock(syncer->lock);
    struct ken_progress progress = *syncer->progress;
    pthread_mutex_unlock(syncer->lock);
    if (progress.tensor == syncer->tensor && progress.unit == syncer->unit) return KEN_OK;
    int code = prune->models ? ken_model_writer_sync(prune->models, error) : KEN_OK;
    if (!code) code = ken_scratch_sync(prune->scratch, error);
    if (!code && prune->cells) code = ken_cells_writer_sync(prune->cells, error);
    if (!code) code = ken_journal_append(prune->journal, &progress, error);
    if (code) return code;
    if (prune->env.durable_rows) prune->env.durable_rows(prune->env.opaque, progress.rows);
    syncer->tensor = progress.tensor;
    syncer->unit = progress.unit;
    return KEN_OK;
}

/* False when it is to end. */
static bool wait_for_next(struct ken_syncer *syncer)
{
    double most = syncer->prune->env.sync_seconds > 0 ? syncer->prune->env.sync_seconds : DEFAULT_SYNC_SECONDS;
    double seconds = syncer->seconds < most ? syncer->seconds : most;
    syncer->seconds = 2 * seconds;
    pthread_mutex_lock(&syncer->own);
    if (!syncer->ending) ken_condition_wait_ms(&syncer->ended, &syncer->own, seconds > 0.001 ? (int64_t)(seconds * 1000) : 1);
    bool ending = syncer->ending;
    pthread_mutex_unlock(&syncer->own);
    return !ending;
}

static void *run_on_syncer(void *opaque)
{
    struct ken_syncer *syncer = opaque;
    struct ken_error error = {0};
    int code = KEN_OK;
    while (!code && wait_for_next(syncer)) code = sync_written(syncer, &error);
    pthread_mutex_lock(&syncer->own);
    syncer->error = error;
    pthread_mutex_unlock(&syncer->own);
    return NULL;
}

static void destroy(struct ken_syncer *syncer)
{
    pthread_cond_destroy(&syncer->ended);
    pthread_mutex_destroy(&syncer->own);
    free(syncer);
}

int ken_syncer_start(struct ken_syncer **syncer, struct ken_prune *prune, pthread_mutex_t *lock, const struct ken_progress *progress,
                     struct ken_error *error)
{
    *syncer = NULL;
    if (!prune->journal) return KEN_OK;
    struct ken_syncer *started = calloc(1, sizeof *started);
    if (!started) return ken_fail(error, KEN_ENOMEM, "out of memory for a thread");
    started->prune = prune;
    started->lock = lock;
    started->progress = progress;
    started->seconds = FIRST_SYNC_SECONDS;
    started->tensor = progress->tensor;
    started->unit = progress->unit;
    pthread_mutex_init(&started->own, NULL);
    ken_condition_init(&started->ended);
    int errnum = pthread_create(&started->thread, NULL, run_on_syncer, started);
    if (errnum) {
        destroy(started);
        return ken_fail_errno(error, errnum, "starting a thread");
    }
    *syncer = started;
    return KEN_OK;
}

int ken_syncer_check(struct ken_syncer *syncer, struct ken_error *error)
{
    if (!syncer) return KEN_OK;
    pthread_mutex_lock(&syncer->own);
    int code = syncer->error.code;
    if (code && error) *error = syncer->error;
    pthread_mutex_unlock(&syncer->own);
    return code;
}

int ken_syncer_end(struct ken_syncer **syncer, bool sync, struct ken_error *error)
{
    struct ken_syncer *ended = *syncer;
    if (!ended) return KEN_OK;
    pthread_mutex_lock(&ended->own);
    ended->ending = true;
    pthread_cond_signal(&ended->ended);
    pthread_mutex_unlock(&ended->own);
    pthread_join(ended->thread, NULL);
    int code = ken_syncer_check(ended, error);
    if (!code && sync) code = sync_written(ended, error);
    destroy(ended);
    *syncer = NULL;
    return code;
}
