/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a pruning, for the files that make it up. */
#ifndef KEN_RUN_H
#define KEN_RUN_H

#include "output.h"
#include "pruning/cells_writer.h"
#include "pruning/inputs.h"
#include "pruning/journal.h"
#include "pruning/model_writer.h"
#include "pruning/plan.h"
#include "pruning/scratch.h"
#include "pruning/syncer.h"

#include <pthread.h>
#include <stdatomic.h>

struct ken_prune {
    const struct ken_plan *plan;
    struct ken_prune_env env;
    unsigned char fingerprint[32];
    struct ken_progress progress; /* of what is written; belongs to whoever writes */
    struct ken_inputs *inputs;    /* likewise */
    struct ken_model_writer *models;
    struct ken_scratch *scratch;
    struct ken_cells_writer *cells; /* NULL: there is no delta */
    struct ken_journal *journal;    /* NULL: not durable */
    struct ken_pipeline *pipeline;
    struct ken_packing *packing; /* of packed deltas, while they are made */

    /* made by finish */
    struct ken_follow follow[KEN_MAX_VARIANTS];
    struct ken_prune_file *files; /* [file_count] */
    size_t file_count;
    char *totals[KEN_MAX_VARIANTS];
    char *tensors_path[KEN_MAX_VARIANTS];
    char cells_path[KEN_MAX_VARIANTS][KEN_PATH_SIZE];
};

/* Whether the run is to end; asked from any thread. */
bool ken_run_cancelled(void *prune);
/* Writes the path below the working folder of one of a variant's own files: "out/" + its folder + name. */
void ken_run_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant, const char *name);

/* ---- pipeline.c */

/* Frees what ken_prune_rows left; no block is in flight once that has returned. Nothing if *pipeline is NULL. */
void ken_pipeline_destroy(struct ken_pipeline **pipeline);

/* ---- parallel.c */

enum { KEN_WORK_BYTES = 1 << 19, KEN_PACKING_BYTES = 6 << 20 };

/*
 * Runs work(prune, opaque, i) for i in 0..count-1 on the executor, at most as many at once as it has threads and the budget allows, each
 * with so many bytes of the budget for its buffers. Returns the error of the lowest i that failed.
 */
int ken_run_parallel(struct ken_prune *prune, int (*work)(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error),
                     void *opaque, size_t count, uint64_t bytes, struct ken_error *error);

/* ---- outputs.c */

/* Writes what a block that went well adds to every variant, and moves prune->progress behind it. One call at a time, in the order of work.
 */
int ken_outputs_add(struct ken_prune *prune, struct ken_block *block, struct ken_error *error);
/* Ends the tensors of which nothing is left to be done, empty ones among them. */
int ken_outputs_end_tensors(struct ken_prune *prune, struct ken_error *error);

/* ---- delta_writer.c */

/* Writes the delta of a variant from its scratch, and tells its size and `follow`, which makes its digest. On any thread. */
int ken_delta_write(struct ken_prune *prune, size_t variant, struct ken_follow *follow, uint64_t *size, struct ken_error *error);

/* ---- report.c */

/*
 * Writes the report of a variant, if it is wanted, and the lines of its tensors, and sets prune->totals. *file (size and digest) is NULL if
 * it is not wanted. delta_bytes: 0 if there is no delta. On any thread.
 */
int ken_report_write(struct ken_prune *prune, size_t variant, uint64_t delta_bytes, struct ken_prune_file *file, struct ken_error *error);

#endif
