/* SPDX-License-Identifier: Apache-2.0 */
/* The pruning of a pair: plan it from the headers, run it in blocks of rows, finish its files. */
#ifndef KEN_PRUNE_H
#define KEN_PRUNE_H

#include "budget.h"
#include "checkpoint/checkpoint.h"
#include "error.h"
#include "executor.h"
#include "options.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- plan: what will be done to every tensor, from the headers alone. Borrows the checkpoints and the options. */

struct ken_plan;

struct ken_plan_limits {
    uint64_t memory;  /* bytes of buffers there are in all (`prune.memory`); a row that needs more is KEN_ETOO_LARGE */
    unsigned threads; /* that will run it: the plan sizes its blocks so that this many, twice, fit into the memory where they can */
    /* Asked at every tensor, since rules may take long to match: true ends the planning with KEN_ECANCELLED. May be NULL. */
    bool (*cancelled)(void *opaque);
    void *opaque;
};

struct ken_plan_totals {
    uint64_t tensors, pruned_tensors, added_tensors, renamed_tensors, dropped_tensors; /* renamed: whose base has another name */
    uint64_t parameters, pruned_parameters;
    uint64_t rows;                /* rows of pruned tensors: progress counts them once, for all variants together */
    uint64_t model_bytes;         /* of one variant's dense model files, exact */
    uint64_t delta_bytes_at_most; /* of all variants */
    uint64_t disk_bytes;          /* needed in the working folder at the peak, at most */
    uint64_t memory_bytes;        /* of buffers */
};

/*
 * Finds each tensor's base, applies the rules. KEN_EMISMATCH: nothing prunable has one, `unmatched: "fail"`, or `reset` without base;
 * KEN_ETOO_LARGE: a row; each names the tensor. *plan is owned by the caller and must go before what it borrows.
 */
int ken_plan_make(struct ken_plan **plan, const struct ken_checkpoint *model, const struct ken_checkpoint *base,
                  const struct ken_options *options, const struct ken_plan_limits *limits, struct ken_error *error);
void ken_plan_free(struct ken_plan **plan);
const struct ken_plan_totals *ken_plan_totals(const struct ken_plan *plan);
/* Warnings as in the report, e.g. a name with another shape in the base. */
size_t ken_plan_warning_count(const struct ken_plan *plan);
const char *ken_plan_warning(const struct ken_plan *plan, size_t index);

/* One tensor of the plan, for showing it; names and shapes are the checkpoint's. */
struct ken_plan_tensor {
    const struct ken_tensor *model;
    const struct ken_tensor *base; /* or NULL: added */
    enum ken_action action;
    bool pruned; /* rows are selected; false: kept, reset or copied whole */
};
size_t ken_plan_tensor_count(const struct ken_plan *plan);
struct ken_plan_tensor ken_plan_tensor(const struct ken_plan *plan, size_t index);
/* k of one variant for that tensor; 0 where it is not pruned. */
uint64_t ken_plan_k(const struct ken_plan *plan, size_t tensor, size_t variant);

/* ---- run */

/* What a run needs from its surroundings. Borrowed until ken_prune_close. */
struct ken_prune_env {
    struct ken_executor *executor;
    struct ken_budget *budget;
    int directory; /* descriptor of the working folder, of this pruning alone; everything is written below it */
    bool durable;  /* keep a journal and sync as it goes, so that a later run in the same folder resumes. The files go into sight by whoever
                      renames them */
    double sync_seconds; /* how often work becomes durable; 0: the default of 1 s */
    /* Asked often, from several threads: true ends the run within 1 s with KEN_ECANCELLED. May be NULL. */
    bool (*cancelled)(void *opaque);
    /* Rows done so far, durable or not, of totals.rows; from the thread of ken_prune_rows, some times a second. May be NULL. */
    void (*progress)(void *opaque, uint64_t rows_done);
    /* Rows that are durable now; after every sync, from a thread of the pruning's own. May be NULL. */
    void (*durable_rows)(void *opaque, uint64_t rows_done);
    void *opaque;
};

struct ken_prune;

/* One finished file. */
struct ken_prune_file {
    const char *path;    /* below out/ in the working folder, and the artifact's name: "delta.safetensors", "half/model.safetensors" */
    const char *variant; /* "" or the variant's name */
    uint64_t size;
    unsigned char sha256[32];
};

/*
 * Opens the working folder: preallocates outputs (KEN_ENO_SPACE now rather than later) and, where `durable` and a journal of the very same
 * plan and states of the inputs' files is there, takes up the work behind its last entry: *resumed_rows (may be NULL) tells how many rows
 * need not be done again.
 */
int ken_prune_open(struct ken_prune **prune, const struct ken_plan *plan, const struct ken_prune_env *env, uint64_t *resumed_rows,
                   struct ken_error *error);
/* Stage "pruning": runs all blocks in the calling thread's time, the work itself on the executor; waits for input bytes as they come. */
int ken_prune_rows(struct ken_prune *prune, struct ken_error *error);
/* Stage "publishing": assembles deltas and reports, checks that the inputs are unchanged, syncs where durable, digests all. May be run
 * again after a crash. */
int ken_prune_finish(struct ken_prune *prune, struct ken_error *error);
/* After finish: the files, in the order delta, model files, index, report, variant by variant. Valid until close. */
size_t ken_prune_file_count(const struct ken_prune *prune);
const struct ken_prune_file *ken_prune_file(const struct ken_prune *prune, size_t index);
/* After finish: "totals" of the report of one variant, as compact JSON. Valid until close. */
const char *ken_prune_totals_json(const struct ken_prune *prune, size_t variant);
/* Per variant, below out/ in the working folder: ".kend/tensors.jsonl" or ".kend/NAME.jsonl", the report's "tensors" entries, one compact
 * JSON object a line (for paging); there after finish, never an artifact. */
const char *ken_prune_tensors_path(const struct ken_prune *prune, size_t variant);
/* Likewise ".kend/tensors.cells" or ".kend/NAME.cells": what pictures of a delta's matrices are made of (heatmap/heatmap.h). NULL: there is
 * no delta. */
const char *ken_prune_cells_path(const struct ken_prune *prune, size_t variant);
/* Waits for what is running, frees everything, leaves the files. *prune becomes NULL. */
void ken_prune_close(struct ken_prune **prune);

#endif
