/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the engine share. Nobody else includes this. */
#ifndef KEND_ENGINE_PARTS_H
#define KEND_ENGINE_PARTS_H

#include "clock.h"
#include "condition.h"
#include "conf.h"
#include "jobs/check.h"
#include "jobs/engine.h"
#include "jobs/room.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

/* Between two rounds of the keeper, and of retention. */
enum { KEND_TICK_MS = 500, KEND_KEEPERS = 2 };

/* Why a running job is told to stop. The first reason stays, except that a lost lease overrides: nothing may be written without one. */
enum kend_stop { KEND_STOP_NOT, KEND_STOP_CANCEL, KEND_STOP_HAND_BACK, KEND_STOP_TIMEOUT, KEND_STOP_LOST };

/* What a line of the log tells of the job that it belongs to. */
#define KEND_LOG_JOB(j) KEND_S("job", (j)->id), KEND_S("trace", (j)->trace), KEND_S("owner", *(j)->owner ? (j)->owner : NULL)

/* A running job: made by its runner thread, looked at by the keeper. */
struct kend_run {
    struct kend_engine *engine;
    struct kend_job *job; /* as claimed */
    json_t *document;     /* the job's; NULL: it could not be read */
    char token[KEND_TOKEN_SIZE];
    atomic_int stop;         /* enum kend_stop */
    int64_t deadline;        /* monotonic ms; 0: none */
    const char *late;        /* what a run that is not done by then is told */
    atomic_llong lease_ends; /* monotonic ms */
    atomic_ullong rows_done, rows_durable;
    bool kept; /* under engine->mutex: the keeper is looking at it, so it may not go */

    pthread_mutex_t mutex;          /* for all below */
    const struct kend_check *check; /* set while its locations tell the progress */
    uint64_t rows_total;
    int64_t stage_since;              /* monotonic ms */
    uint64_t bytes_shown, rows_shown; /* by earlier attempts: what is shown does not run backwards where work goes on */
    double stage_before;              /* seconds in this stage when it was entered: of earlier attempts */
    struct kend_run_state state;      /* as it is */
    struct kend_run_state written;    /* as the store has it */
};

struct kend_runner {
    struct kend_engine *engine;
    pthread_t thread;
    struct kend_run *run; /* under engine->mutex; NULL between jobs */
};

struct kend_engine {
    struct kend_parts parts;
    pthread_mutex_t mutex;
    pthread_cond_t wake;         /* runners: something may be claimable, or the engine drains */
    pthread_cond_t tick;         /* the keeper and retention: end now */
    pthread_cond_t settled;      /* a run or a dry run has ended, or the keeper has looked at a run */
    uint64_t pokes;              /* counts kend_engine_poke, so that none is missed between claim and wait */
    unsigned claiming;           /* runners that are asking the store for a job */
    bool draining;               /* nothing new is started */
    bool hurry;                  /* what runs is handed back now */
    bool ending;                 /* the keeper and retention end */
    atomic_bool stopping;        /* dry runs end */
    struct kend_runner *runners; /* [runner_count] */
    size_t runner_count;
    pthread_t keepers[KEND_KEEPERS]; /* the keeper and retention */
    struct kend_room room;
    unsigned dry_runs;
    const char *dry_run_owner[KEND_DRY_RUNS]; /* of those that run; NULL: a free place */
    struct kend_engine_metrics metrics;       /* under mutex */
};

/*
 * Removes what nobody will ask for of a job that ends so: its working folder, or everything if it does not succeed (an attempt may have
 * published before a later one was cancelled).
 */
void kend_engine_clear(struct kend_engine *engine, const char *job, enum proto_status status);

/* runner.c */
void *kend_runner_main(void *runner); /* thread */
bool kend_run_cancelled(void *run);   /* any thread: whether the run has to stop, for whatever reason */
void kend_run_stop(struct kend_run *run, enum kend_stop reason);

/* run_report.c: what others see of a run. Any thread. */
/* From now on (NULL: no longer) the check's locations tell what has been fetched. */
void kend_run_watch(struct kend_run *run, const struct kend_check *check);
/* The pruning has taken up so many rows, or begins anew (0); then what was shown of earlier attempts no longer holds. */
void kend_run_resumed(struct kend_run *run, uint64_t rows);
void kend_run_enter(struct kend_run *run, enum proto_stage stage);
/* Writes stage and progress to the store if they differ from what was written last. */
void kend_run_report(struct kend_run *run);
/* Appends a durable log event. level: "info" or "warn". */
void kend_run_note(struct kend_run *run, const char *level, const char *message);
/* Ends the current stage's clock, after which nothing is reported any more and timings are complete. Which stage that was. */
enum proto_stage kend_run_settle(struct kend_run *run);

/* outcome.c */
struct kend_result;
/* Tells how the run ended: with that code (0: with this result) and error in that stage, unless it was stopped. */
void kend_run_conclude(struct kend_run *run, int code, enum proto_stage stage, const struct kend_result *result,
                       const struct ken_error *error);

/* keeper.c */
void *kend_keeper_main(void *engine); /* thread */

/* retention.c */
void *kend_retention_main(void *engine); /* thread */

/* stage_metrics.c; engine->mutex must not be held */
void kend_metrics_stage(struct kend_engine *engine, enum proto_stage stage, double seconds);
void kend_metrics_job(struct kend_engine *engine, enum proto_status status);
void kend_metrics_error(struct kend_engine *engine, enum proto_job_error error);
void kend_metrics_pruned(struct kend_engine *engine, enum ken_method method, uint64_t parameters);

#endif
