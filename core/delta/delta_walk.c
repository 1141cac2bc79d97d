/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a delta: the runner cuts it into blocks and waits for their bytes, workers decode them, and two lanes take them in order:
 * one makes the digests of the base's tensors, the other hands the model's bytes on.
 */
#include "checkpoint/model_header.h"
#include "delta/delta_internal.h"
#include "lanes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

uint64_t ken_delta_file_bytes(const struct ken_delta *delta, size_t file)
{
    const struct ken_delta_file *of = &delta->files[file];
    uint64_t bytes = 0;
    for (size_t i = of->first; i < of->first + of->count; i++) bytes += delta->entries[i].length;
    return bytes;
}

int ken_delta_header(const struct ken_delta *delta, size_t file, char **bytes, size_t *length, struct ken_error *error)
{
    const struct ken_delta_file *of = &delta->files[file];
    struct ken_header_tensor *tensors = calloc(of->count + 1, sizeof *tensors);
    if (!tensors) return ken_fail_no_memory(error, "a header");
    for (size_t i = 0; i < of->count; i++) {
        const struct ken_delta_tensor *tensor = &delta->tensors[of->first + i];
        tensors[i] = (struct ken_header_tensor){.name = tensor->name,
                                                .dtype = tensor->dtype,
                                                .rank = tensor->rank,
                                                .shape = tensor->shape,
                                                .length = delta->entries[of->first + i].length};
    }
    int code = ken_model_header_make(bytes, length, of->metadata_json, tensors, of->count, error);
    free(tensors);
    return code;
}

enum lane { BASE, MODEL, LANES };

struct walk {
    const struct ken_delta *delta;
    const struct ken_checkpoint *base;
    const struct ken_delta_sink *sink; /* or NULL */
    struct ken_inject_options options;
    struct ken_lanes *lanes;
    struct ken_delta_cutter *cutter;
    /* of the lane BASE */
    struct ken_delta_judge judge;
    /* of the lane MODEL, and at the end of the runner */
    size_t file;
    bool begun; /* that file */

    pthread_mutex_t lock;       /* over all below */
    struct ken_unpacker **idle; /* [idle_count] unpackers that no block uses; room for as many as there are threads */
    size_t idle_count;
    uint64_t done;            /* bytes of the model */
    uint64_t reported, total; /* likewise; the runner's */
};

static bool is_cancelled(void *opaque)
{
    const struct walk *walk = opaque;
    return walk->options.cancelled && walk->options.cancelled(walk->options.opaque);
}

/* ---- on workers: decoding */

/* One that is idle, or a new one; NULL if out of memory. */
static struct ken_unpacker *take_unpacker(struct walk *walk)
{
    struct ken_unpacker *unpacker = NULL;
    pthread_mutex_lock(&walk->lock);
    if (walk->idle_count) unpacker = walk->idle[--walk->idle_count];
    pthread_mutex_unlock(&walk->lock);
    if (!unpacker) (void)ken_unpacker_create(&unpacker, NULL);
    return unpacker;
}

static void give_unpacker(struct walk *walk, struct ken_unpacker *unpacker)
{
    pthread_mutex_lock(&walk->lock);
    if (unpacker && walk->idle_count < walk->options.executor->threads) {
        walk->idle[walk->idle_count++] = unpacker;
        unpacker = NULL;
    }
    pthread_mutex_unlock(&walk->lock);
    ken_unpacker_free(&unpacker);
}

static void run_on_worker(void *opaque, void *of)
{
    struct walk *walk = opaque;
    struct ken_delta_block *block = of;
    const bool packed = walk->delta->encoding == KEN_ENCODING_PACKED && block->cut.values_length;
    if (ken_lanes_stopped(walk->lanes)) {
        block->code = ken_fail(&block->error, KEN_ECANCELLED, "cancelled");
        return;
    }
    struct ken_unpacker *unpacker = packed ? take_unpacker(walk) : NULL;
    if (packed && !unpacker)
        block->code = ken_fail(&block->error, KEN_ENOMEM, "out of memory for unpacking a delta");
    else
        ken_delta_block_run(block, unpacker);
    give_unpacker(walk, unpacker);
}

static void destroy_on_worker(void *opaque, void *block)
{
    struct ken_delta_block *done = block;
    (void)opaque;
    ken_delta_block_destroy(&done);
}

static int take_base(struct walk *walk, const struct ken_delta_block *block, struct ken_error *error)
{
    return ken_delta_judge_take(&walk->judge, block, error);
}

/* ---- on workers: the model's bytes */

static int begin_file(struct walk *walk, struct ken_error *error)
{
    char *header = NULL;
    size_t length = 0;
    int code = ken_delta_header(walk->delta, walk->file, &header, &length, error);
    if (!code) code = walk->sink->begin(walk->sink->opaque, walk->file, header, length, error);
    free(header);
    walk->begun = true;
    return code;
}

/* Goes on to the file that the tensor is in; behind the last tensor, through all files that are left. */
static int go_to(struct walk *walk, size_t tensor, struct ken_error *error)
{
    int code = KEN_OK;
    while (!code && walk->file < walk->delta->file_count) {
        const struct ken_delta_file *file = &walk->delta->files[walk->file];
        if (!walk->begun) {
            code = begin_file(walk, error);
            continue;
        }
        if (tensor < file->first + file->count) break;
        code = walk->sink->end(walk->sink->opaque, walk->file, error);
        walk->file++;
        walk->begun = false;
    }
    return code;
}

static int take_model(struct walk *walk, const struct ken_delta_block *block, struct ken_error *error)
{
    const struct ken_delta_sink *sink = walk->sink;
    int code = sink ? go_to(walk, block->cut.tensor, error) : KEN_OK;
    if (!code && sink && block->length) code = sink->bytes(sink->opaque, block->cut.tensor, block->bytes, block->length, error);
    pthread_mutex_lock(&walk->lock);
    walk->done += block->length;
    pthread_mutex_unlock(&walk->lock);
    return code;
}

static int take_on_worker(void *opaque, unsigned lane, void *of, struct ken_error *error)
{
    static int (*const takes[LANES])(struct walk *, const struct ken_delta_block *, struct ken_error *) = {
        [BASE] = take_base,
        [MODEL] = take_model,
    };
    const struct ken_delta_block *block = of;
    if (!block->code) return takes[lane](opaque, block, error);
    *error = block->error;
    return block->code;
}

/* ---- the runner */

static int tend_on_runner(void *opaque, struct ken_error *error)
{
    struct walk *walk = opaque;
    pthread_mutex_lock(&walk->lock);
    const uint64_t done = walk->done;
    pthread_mutex_unlock(&walk->lock);
    if (walk->options.progress && done != walk->reported) walk->options.progress(walk->options.opaque, done, walk->total);
    walk->reported = done;
    return is_cancelled(walk) ? ken_fail(error, KEN_ECANCELLED, "cancelled") : KEN_OK;
}

static int submit_on_runner(struct walk *walk, const struct ken_delta_cut *cut, struct ken_error *error)
{
    const uint64_t bytes = ken_delta_block_bytes(walk->delta, cut);
    int code = ken_lanes_wait(walk->lanes, error);
    if (!code) code = ken_delta_block_wait(walk->delta, walk->base, cut, error);
    if (!code) code = ken_lanes_acquire(walk->lanes, bytes, error);
    if (code) return code;
    struct ken_delta_block *block = ken_delta_block_create(walk->delta, walk->base, cut);
    if (!block) {
        if (walk->options.budget) ken_budget_release(walk->options.budget, bytes);
        return ken_fail(error, KEN_ENOMEM, "out of memory for a block of %" PRIu64 " bytes", bytes);
    }
    ken_lanes_submit(walk->lanes, block, bytes);
    return KEN_OK;
}

static int submit_all_on_runner(struct walk *walk, struct ken_error *error)
{
    struct ken_delta_cut cut;
    bool ended = false;
    int code = KEN_OK;
    while (!code && !ken_lanes_stopped(walk->lanes)) {
        code = ken_delta_cutter_next(walk->cutter, &cut, &ended, error);
        if (ended) break;
        if (!code) code = submit_on_runner(walk, &cut, error);
        if (!code && cut.last) code = ken_delta_cutter_finish(walk->cutter, error);
    }
    return code;
}

/* An executor that runs a task at once, in the thread that submits it. */
static void run_here(struct ken_executor *executor, struct ken_task *task)
{
    (void)executor;
    task->run(task);
}

static int open_walk(struct walk *walk, struct ken_error *error)
{
    static const struct ken_lanes_ops ops = {
        .lanes = LANES,
        .run = run_on_worker,
        .take = take_on_worker,
        .destroy = destroy_on_worker,
        .tend = tend_on_runner,
        .cancelled = is_cancelled,
    };
    pthread_mutex_init(&walk->lock, NULL);
    for (size_t i = 0; i < walk->delta->file_count; i++) walk->total += ken_delta_file_bytes(walk->delta, i);
    walk->idle = calloc(walk->options.executor->threads, sizeof(struct ken_unpacker *));
    if (!walk->idle) return ken_fail_no_memory(error, "a delta");
    int code = ken_delta_cutter_create(&walk->cutter, walk->delta, error);
    return code ? code : ken_lanes_create(&walk->lanes, &ops, walk, walk->options.executor, walk->options.budget, error);
}

static void close_walk(struct walk *walk)
{
    ken_lanes_destroy(&walk->lanes);
    ken_delta_cutter_free(&walk->cutter);
    while (walk->idle_count) ken_unpacker_free(&walk->idle[--walk->idle_count]);
    free(walk->idle);
    ken_delta_judge_free(&walk->judge);
    pthread_mutex_destroy(&walk->lock);
}

int ken_delta_walk(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_delta_sink *sink,
                   const struct ken_inject_options *options, struct ken_error *error)
{
    static const struct ken_executor_ops here_ops = {.submit = run_here};
    struct ken_executor here = {.ops = &here_ops, .threads = 1};
    struct walk walk = {.delta = delta, .base = base, .sink = sink};
    if (options) walk.options = *options;
    if (!walk.options.executor) walk.options.executor = &here;
    int code = ken_delta_check_base(delta, base, error);
    if (code) return code;
    code = open_walk(&walk, error);
    if (!code) code = ken_lanes_end(walk.lanes, submit_all_on_runner(&walk, error), error);
    if (!code) (void)tend_on_runner(&walk, NULL); /* tells the end */
    if (!code && sink) code = go_to(&walk, delta->tensor_count, error);
    close_walk(&walk);
    for (size_t i = 0; i < base->file_count && !code; i++) code = ken_source_check(base->files[i].source, error);
    return code ? code : ken_source_check(delta->checkpoint->files[0].source, error);
}
