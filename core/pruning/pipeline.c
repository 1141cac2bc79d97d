/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/run.h"

#include "condition.h"

#include <stdlib.h>

enum { TICK_MILLISECONDS = 50 };
#define PROGRESS_SECONDS 0.2

/* A place for one block on its way; belongs to the executor between submit and retirement. */
struct flight {
    struct ken_task task;
    struct ken_prune *prune;
    struct ken_block *block;
    uint64_t bytes; /* of the budget */
    bool done;      /* run, and not retired yet: to be taken through the lanes */
};

/* What blocks go through one by one, in order. Two workers may be in different lanes at the same time, at the same block or another. */
enum lane_name { OUTPUTS, INPUTS, LANES };
struct lane {
    uint64_t next; /* block */
    bool busy;     /* a worker is in it */
};

/*
 * Blocks are submitted by the runner, the thread that called ken_prune_rows; run by workers, the threads of the executor, in any order; and
 * taken through each lane in order by the one worker that finds its next block done. Whatever is written, is written in a lane; a block
 * that has been through all is retired.
 */
struct ken_pipeline {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct flight *flights; /* [capacity], block i in flights[i % capacity] */
    size_t capacity;
    uint64_t submitted, retired; /* blocks */
    struct lane lanes[LANES];
    struct ken_error error;       /* of the lowest block that failed */
    uint64_t failed;              /* that block */
    atomic_bool stop;             /* blocks in flight are of no use any more */
    struct ken_progress progress; /* as of the last block written */

    pthread_t runner;
    double last_report; /* the runner's, seconds */
    uint64_t reported_rows;
    struct ken_syncer *syncer; /* likewise; NULL: the run is not durable */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool is_stopped(void *opaque)
{
    struct ken_prune *prune = opaque;
    return atomic_load(&prune->pipeline->stop) || ken_run_cancelled(prune);
}

/* ---- lanes */

static int take_outputs(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    if (!block->code) return ken_outputs_add(prune, block, error);
    *error = block->error;
    return block->code;
}

/* A block that could not be run ends the work in the other lane. */
static int take_inputs(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    return block->code ? KEN_OK : ken_inputs_add(prune->inputs, block, error);
}

static int (*const takes[LANES])(struct ken_prune *prune, struct ken_block *block, struct ken_error *error) = {
    [OUTPUTS] = take_outputs,
    [INPUTS] = take_inputs,
};

static uint64_t passed_all(const struct ken_pipeline *pipeline)
{
    uint64_t least = UINT64_MAX;
    for (size_t l = 0; l < LANES; l++)
        if (pipeline->lanes[l].next < least) least = pipeline->lanes[l].next;
    return least;
}

/* Frees the blocks that have been through all lanes; the lock is held, but not while freeing. */
static void free_passed_on_worker(struct ken_prune *prune)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    while (pipeline->retired < passed_all(pipeline)) {
        struct flight *flight = &pipeline->flights[pipeline->retired % pipeline->capacity];
        struct ken_block *block = flight->block;
        uint64_t bytes = flight->bytes;
        flight->done = false;
        pipeline->retired++;
        pthread_mutex_unlock(&pipeline->lock);
        ken_block_destroy(&block);
        ken_budget_release(prune->env.budget, bytes);
        pthread_mutex_lock(&pipeline->lock);
        pthread_cond_signal(&pipeline->changed);
    }
}

/* From the lowest block that failed on, nothing more is done. What is told is its error, unless it was only stopped because of another. */
static void note_error(struct ken_pipeline *pipeline, uint64_t block, const struct ken_error *error)
{
    if (pipeline->error.code && block >= pipeline->failed) return;
    if (!pipeline->error.code || error->code != KEN_ECANCELLED) pipeline->error = *error;
    pipeline->failed = block;
    atomic_store(&pipeline->stop, true);
}

/* Takes the next block through a lane; the lock is held, but not meanwhile. */
static void take_next_on_worker(struct ken_prune *prune, enum lane_name name)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    struct lane *lane = &pipeline->lanes[name];
    struct ken_block *block = pipeline->flights[lane->next % pipeline->capacity].block;
    struct ken_error error = {0};
    bool failed_before = pipeline->error.code && pipeline->failed < lane->next;
    pthread_mutex_unlock(&pipeline->lock);
    int code = failed_before ? KEN_OK : takes[name](prune, block, &error);
    pthread_mutex_lock(&pipeline->lock);
    if (code)
        note_error(pipeline, lane->next, &error);
    else if (name == OUTPUTS && !failed_before)
        pipeline->progress = prune->progress;
    lane->next++;
}

static bool has_next(const struct ken_pipeline *pipeline, const struct lane *lane)
{
    return lane->next < pipeline->submitted && pipeline->flights[lane->next % pipeline->capacity].done;
}

static void run_on_worker(struct ken_task *task)
{
    struct flight *flight = (struct flight *)task;
    struct ken_prune *prune = flight->prune;
    struct ken_pipeline *pipeline = prune->pipeline;
    ken_block_run(flight->block);
    pthread_mutex_lock(&pipeline->lock);
    flight->done = true;
    for (enum lane_name l = 0; l < LANES; l++) {
        struct lane *lane = &pipeline->lanes[l];
        if (lane->busy) continue;
        lane->busy = true;
        while (has_next(pipeline, lane)) {
            take_next_on_worker(prune, l);
            free_passed_on_worker(prune);
        }
        lane->busy = false;
    }
    pthread_cond_signal(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

/* ---- the runner */

static void assert_on_runner(const struct ken_prune *prune)
{
    KEN_ASSERT(pthread_equal(prune->pipeline->runner, pthread_self()));
}

static void report_on_runner(struct ken_prune *prune, bool at_once)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    double time = now();
    if (!prune->env.progress || (!at_once && time - pipeline->last_report < PROGRESS_SECONDS)) return;
    pthread_mutex_lock(&pipeline->lock);
    uint64_t rows = pipeline->progress.rows;
    pthread_mutex_unlock(&pipeline->lock);
    pipeline->last_report = time;
    if (rows == pipeline->reported_rows && !at_once) return;
    pipeline->reported_rows = rows;
    prune->env.progress(prune->env.opaque, rows);
}

/* Does what is due from time to time; an error ends the run. */
static int tend_on_runner(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    assert_on_runner(prune);
    report_on_runner(prune, false);
    if (ken_run_cancelled(prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
    return ken_syncer_check(pipeline->syncer, error);
}

static uint64_t in_flight_on_runner(struct ken_pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    uint64_t count = pipeline->submitted - pipeline->retired;
    pthread_mutex_unlock(&pipeline->lock);
    return count;
}

/* Waits until fewer than `limit` blocks are in flight. */
static int wait_for_fewer_on_runner(struct ken_prune *prune, uint64_t limit, struct ken_error *error)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    while (in_flight_on_runner(pipeline) >= limit) {
        pthread_mutex_lock(&pipeline->lock);
        if (pipeline->submitted - pipeline->retired >= limit) ken_condition_wait_ms(&pipeline->changed, &pipeline->lock, TICK_MILLISECONDS);
        pthread_mutex_unlock(&pipeline->lock);
        int code = tend_on_runner(prune, error);
        if (code) return code;
    }
    return KEN_OK;
}

/* Memory for a block. Queues for it only when no own block could give some back, and tends to the run until then. */
static int acquire_on_runner(struct ken_prune *prune, uint64_t bytes, struct ken_error *error)
{
    KEN_ASSERT(bytes <= ken_budget_total(prune->env.budget));
    while (!ken_budget_try(prune->env.budget, bytes)) {
        uint64_t in_flight = in_flight_on_runner(prune->pipeline);
        if (in_flight) {
            int code = wait_for_fewer_on_runner(prune, in_flight, error);
            if (code) return code;
            continue;
        }
        if (ken_budget_acquire(prune->env.budget, bytes, ken_run_cancelled, prune)) return KEN_OK;
        return ken_fail(error, KEN_ECANCELLED, "cancelled");
    }
    return KEN_OK;
}

/* Waits for the bytes of one tensor's units in one checkpoint. */
static int wait_for_bytes_on_runner(const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor, const struct ken_entry *entry,
                                    const struct ken_range *range, struct ken_error *error)
{
    size_t size = entry->packed ? 1 : ken_dtype_size(tensor->dtype);
    uint64_t first = ken_entry_first(entry, range->first) * size;
    uint64_t length = ken_entry_elements(entry, range->first, range->units) * size;
    return ken_source_wait(checkpoint->files[tensor->file].source, tensor->offset + first, length, error);
}

static int submit_on_runner(struct ken_prune *prune, const struct ken_range *range, struct ken_error *error)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    const struct ken_entry *entry = &prune->plan->entries[range->tensor];
    struct flight *flight = &pipeline->flights[pipeline->submitted % pipeline->capacity];
    int code = wait_for_fewer_on_runner(prune, pipeline->capacity, error);
    if (!code) code = wait_for_bytes_on_runner(prune->plan->model, entry->model, entry, range, error);
    if (!code && entry->base) code = wait_for_bytes_on_runner(prune->plan->base, entry->base, entry, range, error);
    if (!code) code = tend_on_runner(prune, error);
    uint64_t bytes = ken_block_bytes(prune->plan, entry, range->units, prune->observe != NULL);
    if (!code) code = acquire_on_runner(prune, bytes, error);
    if (code) return code;
    struct ken_block *block = ken_block_create(prune->plan, range, prune->observe != NULL);
    if (!block) {
        ken_budget_release(prune->env.budget, bytes);
        return ken_fail(error, KEN_ENOMEM, "out of memory for a block of %llu bytes", (unsigned long long)bytes);
    }
    block->cancelled = is_stopped;
    block->opaque = prune;
    pthread_mutex_lock(&pipeline->lock); /* a worker that retires looks at this place too */
    *flight = (struct flight){.task.run = run_on_worker, .prune = prune, .block = block, .bytes = bytes};
    pipeline->submitted++;
    pthread_mutex_unlock(&pipeline->lock);
    prune->env.executor->ops->submit(prune->env.executor, &flight->task);
    return KEN_OK;
}

static bool is_busy(const struct ken_pipeline *pipeline)
{
    for (size_t l = 0; l < LANES; l++)
        if (pipeline->lanes[l].busy) return true;
    return false;
}

/* Until no block is in flight and no worker touches the pipeline. */
static void drain_on_runner(struct ken_prune *prune)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    pthread_mutex_lock(&pipeline->lock);
    while (pipeline->retired < pipeline->submitted || is_busy(pipeline)) {
        ken_condition_wait_ms(&pipeline->changed, &pipeline->lock, TICK_MILLISECONDS);
        pthread_mutex_unlock(&pipeline->lock);
        report_on_runner(prune, false);
        pthread_mutex_lock(&pipeline->lock);
    }
    pthread_mutex_unlock(&pipeline->lock);
}

static int submit_all_on_runner(struct ken_prune *prune, struct ken_error *error)
{
    size_t tensor = prune->progress.tensor;
    uint64_t unit = prune->progress.unit;
    struct ken_range range;
    int code = KEN_OK;
    while (!code && !atomic_load(&prune->pipeline->stop) && ken_plan_next(prune->plan, &tensor, &unit, &range))
        code = submit_on_runner(prune, &range, error);
    return code;
}

void ken_pipeline_destroy(struct ken_pipeline **pipeline)
{
    if (!*pipeline) return;
    pthread_cond_destroy(&(*pipeline)->changed);
    pthread_mutex_destroy(&(*pipeline)->lock);
    free((*pipeline)->flights);
    free(*pipeline);
    *pipeline = NULL;
}

static int create(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline || !(pipeline->flights = calloc(2 * (size_t)prune->env.executor->threads, sizeof *pipeline->flights))) {
        free(pipeline);
        return ken_fail(error, KEN_ENOMEM, "out of memory for blocks in flight");
    }
    pthread_mutex_init(&pipeline->lock, NULL);
    ken_condition_init(&pipeline->changed);
    pipeline->capacity = 2 * (size_t)prune->env.executor->threads;
    pipeline->runner = pthread_self();
    atomic_init(&pipeline->stop, false);
    prune->pipeline = pipeline;
    return KEN_OK;
}

/* Takes the rows from first to last; the error of the lowest block decides. */
static int run_on_runner(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    int code = submit_all_on_runner(prune, error);
    if (code == KEN_ECANCELLED) atomic_store(&pipeline->stop, true);
    drain_on_runner(prune);
    if (pipeline->error.code && code != KEN_ECANCELLED) { /* of a block before the one that could not be submitted */
        code = pipeline->error.code;
        if (error) *error = pipeline->error;
    }
    return code;
}

int ken_prune_rows(struct ken_prune *prune, struct ken_error *error)
{
    KEN_ASSERT(!prune->pipeline);
    int code = create(prune, error);
    if (!code) code = ken_outputs_end_tensors(prune, error); /* empty ones at the very beginning */
    if (code) return code;
    prune->pipeline->progress = prune->progress;
    code = ken_syncer_start(&prune->pipeline->syncer, prune, &prune->pipeline->lock, &prune->pipeline->progress, error);
    if (code) return code;
    code = run_on_runner(prune, error);
    int synced = ken_syncer_end(&prune->pipeline->syncer, !code, code ? NULL : error);
    report_on_runner(prune, true);
    return code ? code : synced;
}
