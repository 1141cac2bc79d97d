/* SPDX-License-Identifier: Apache-2.0 */
#include "lanes.h"
#include "pruning/run.h"

#include <stdlib.h>
#include <time.h>

#define PROGRESS_SECONDS 0.2

/* What blocks go through one by one, in order: whatever is written, is written in the first. */
enum lane_name { OUTPUTS, INPUTS, LANES };

/* The runner is the thread that called ken_prune_rows; see core/lanes.h. */
struct ken_pipeline {
    struct ken_lanes *lanes;
    pthread_mutex_t lock;         /* over progress */
    struct ken_progress progress; /* as of the last block written that a later run can go on behind */
    double last_report;           /* the runner's, seconds */
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
    return ken_lanes_stopped(prune->pipeline->lanes) || ken_run_cancelled(prune);
}

/* ---- on workers */

static void run_on_worker(void *opaque, void *block)
{
    (void)opaque;
    ken_block_run(block);
}

static int take_outputs(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    struct ken_pipeline *pipeline = prune->pipeline;
    if (block->code) {
        *error = block->error;
        return block->code;
    }
    int code = ken_outputs_add(prune, block, error);
    if (code || (prune->cells && !ken_cells_at_band(prune->plan, &prune->progress))) return code;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->progress = prune->progress;
    pthread_mutex_unlock(&pipeline->lock);
    return KEN_OK;
}

/* A block that could not be run ends the work in the other lane. */
static int take_inputs(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    return block->code ? KEN_OK : ken_inputs_add(prune->inputs, block, error);
}

static int take_on_worker(void *opaque, unsigned lane, void *block, struct ken_error *error)
{
    static int (*const takes[LANES])(struct ken_prune * prune, struct ken_block * block, struct ken_error * error) = {
        [OUTPUTS] = take_outputs,
        [INPUTS] = take_inputs,
    };
    return takes[lane](opaque, block, error);
}

static void destroy_on_worker(void *opaque, void *block)
{
    struct ken_block *done = block;
    (void)opaque;
    ken_block_destroy(&done);
}

/* ---- the runner */

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
static int tend_on_runner(void *opaque, struct ken_error *error)
{
    struct ken_prune *prune = opaque;
    report_on_runner(prune, false);
    if (ken_run_cancelled(prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
    return ken_syncer_check(prune->pipeline->syncer, error);
}

/* Waits for the bytes of one tensor's units in one checkpoint. */
static int wait_for_bytes_on_runner(const char *side, const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor,
                                    const struct ken_entry *entry, const struct ken_range *range, struct ken_error *error)
{
    size_t size = entry->packed ? 1 : ken_dtype_size(tensor->dtype);
    uint64_t first = ken_entry_first(entry, range->first) * size;
    uint64_t length = ken_entry_elements(entry, range->first, range->units) * size;
    return ken_source_wait_named(checkpoint->files[tensor->file].source, side, tensor->offset + first, length, error);
}

static int submit_on_runner(struct ken_prune *prune, const struct ken_range *range, struct ken_error *error)
{
    struct ken_lanes *lanes = prune->pipeline->lanes;
    const struct ken_entry *entry = &prune->plan->entries[range->tensor];
    int code = ken_lanes_wait(lanes, error);
    if (!code) code = wait_for_bytes_on_runner("model", prune->plan->model, entry->model, entry, range, error);
    if (!code && entry->base) code = wait_for_bytes_on_runner("base", prune->plan->base, entry->base, entry, range, error);
    uint64_t bytes = ken_block_bytes(prune->plan, entry, range->units);
    if (!code) code = ken_lanes_acquire(lanes, bytes, error);
    if (code) return code;
    struct ken_block *block = ken_block_create(prune->plan, range);
    if (!block) {
        ken_budget_release(prune->env.budget, bytes);
        return ken_fail(error, KEN_ENOMEM, "out of memory for a block of %llu bytes", (unsigned long long)bytes);
    }
    block->cancelled = is_stopped;
    block->opaque = prune;
    ken_lanes_submit(lanes, block, bytes);
    return KEN_OK;
}

static int submit_all_on_runner(struct ken_prune *prune, struct ken_error *error)
{
    size_t tensor = prune->progress.tensor;
    uint64_t unit = prune->progress.unit;
    struct ken_range range;
    int code = KEN_OK;
    while (!code && !ken_lanes_stopped(prune->pipeline->lanes) && ken_plan_next(prune->plan, &tensor, &unit, &range))
        code = submit_on_runner(prune, &range, error);
    return code;
}

void ken_pipeline_destroy(struct ken_pipeline **pipeline)
{
    if (!*pipeline) return;
    ken_lanes_destroy(&(*pipeline)->lanes);
    pthread_mutex_destroy(&(*pipeline)->lock);
    free(*pipeline);
    *pipeline = NULL;
}

static int create(struct ken_prune *prune, struct ken_error *error)
{
    static const struct ken_lanes_ops ops = {
        .lanes = LANES,
        .run = run_on_worker,
        .take = take_on_worker,
        .destroy = destroy_on_worker,
        .tend = tend_on_runner,
        .cancelled = ken_run_cancelled,
    };
    struct ken_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return ken_fail(error, KEN_ENOMEM, "out of memory for the pipeline");
    pthread_mutex_init(&pipeline->lock, NULL);
    int code = ken_lanes_create(&pipeline->lanes, &ops, prune, prune->env.executor, prune->env.budget, error);
    prune->pipeline = pipeline;
    if (code) ken_pipeline_destroy(&prune->pipeline);
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
    code = ken_lanes_end(prune->pipeline->lanes, submit_all_on_runner(prune, error), error);
    int synced = ken_syncer_end(&prune->pipeline->syncer, !code, code ? NULL : error);
    report_on_runner(prune, true);
    return code ? code : synced;
}
