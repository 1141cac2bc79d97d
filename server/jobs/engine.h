/* SPDX-License-Identifier: Apache-2.0 */
/* The life of running jobs: runners claim jobs and take each through check, fetch, prune, publish; a keeper renews leases; retention tidies
 * up. */
#ifndef KEND_ENGINE_H
#define KEND_ENGINE_H

#include "artifacts/artifacts.h"
#include "budget.h"
#include "fetch/fetch.h"
#include "job.h"
#include "jobs/store.h"
#include "prune/pool.h"

#include <jansson.h>

struct kend_conf;
struct kend_engine;
struct kend_room;

/* Borrowed until kend_engine_destroy. */
struct kend_parts {
    const struct kend_conf *conf;
    struct kend_store *store;
    struct kend_artifacts *artifacts;
    struct kend_fetcher *fetcher;
    struct kend_pool *pool;
    struct ken_budget *budget;
    const char *holder; /* this installation's name in leases */
    /* The row of an owner's job has changed (committed): wakes whoever waits for it. Any thread. */
    void (*changed)(void *opaque, const char *job, const char *owner);
    /* A job was removed (committed) that had been that owner's. Any thread. */
    void (*removed)(void *opaque, const char *job, const char *owner);
    void *opaque;
    struct kend_room *room; /* the engine's own */
};

/* Ends leftover leases, sweeps orphans, starts jobs.max_running runners, the keeper and retention. */
int kend_engine_create(struct kend_engine **engine, const struct kend_parts *parts, struct ken_error *error);
/* There may be something to claim. Any thread. */
void kend_engine_poke(struct kend_engine *engine);
/* The store has taken a cancel; `job` as it is since. What waited in the queue has ended by it, what runs here is stopped within 1 s. Any
 * thread. */
void kend_engine_cancel(struct kend_engine *engine, const struct kend_job *job);
/* No new claims; running jobs may end within `seconds`, then they are handed back. Returns when nothing runs. */
void kend_engine_drain(struct kend_engine *engine, unsigned seconds);
/* Ends a drain at once: running jobs are handed back now. */
void kend_engine_hurry(struct kend_engine *engine);
void kend_engine_destroy(struct kend_engine **engine);

/* Outcome of a dry run: code 0 and the plan (borrowed during the call), or enum ken_code, whose fault it is (struct kend_check) and a
 * message. */
typedef void kend_dry_run_done(void *opaque, int code, const char *pointer, const char *message, const json_t *plan);
/*
 * Runs the check stage alone on a thread of its own and calls `done` from it, exactly once, within KEND_DRY_RUN_SECONDS. Takes the job
 * over. False if KEND_DRY_RUNS run already, or KEND_DRY_RUNS_OF_OWNER of an owner that has a name, or the engine drains: `done` is not
 * called, the job is freed.
 */
enum { KEND_DRY_RUNS = 8, KEND_DRY_RUNS_OF_OWNER = 2, KEND_DRY_RUN_SECONDS = 30 };
bool kend_engine_dry_run(struct kend_engine *engine, struct proto_job *job, const char *owner, kend_dry_run_done *done, void *opaque);

/* For /metrics, since start. */
#define KEND_STAGE_BUCKETS                      \
    {                                           \
        0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200 \
    }
enum { KEND_STAGE_BUCKET_COUNT = 9 };
struct kend_engine_metrics {
    uint64_t jobs_total[PROTO_STATUS_COUNT];      /* terminal ones, since start */
    uint64_t errors_total[PROTO_JOB_ERROR_COUNT]; /* of the failed ones */
    struct {
        uint64_t bucket[KEND_STAGE_BUCKET_COUNT]; /* cumulative */
        uint64_t count;
        double sum;
    } stage[PROTO_STAGE_COUNT];
    uint64_t pruned_parameters[KEN_METHOD_COUNT];
    uint64_t evicted_bytes; /* of artifacts */
};
void kend_engine_metrics(struct kend_engine *engine, struct kend_engine_metrics *metrics);

#endif
