/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of work that run on any thread and are taken in order: what pruning a pair and injecting a delta have in common.
 *
 * Blocks are submitted by the runner, the thread that created the lanes; run by workers, the threads of the executor, in any order; and
 * taken through each lane in the order of their submission by the one worker that finds its next block done. Two workers may be in
 * different lanes at the same time, at the same block or another. Whatever is written, is written in a lane; a block that has been through
 * all of them is destroyed.
 */
#ifndef KEN_LANES_H
#define KEN_LANES_H

#include "budget.h"
#include "executor.h"

struct ken_lanes;
enum { KEN_MAX_LANES = 2 };

struct ken_lanes_ops {
    unsigned lanes;
    /* On a worker. What goes wrong is kept in the block, for a lane to tell. */
    void (*run)(void *opaque, void *block);
    /* On a worker, one block at a time in each lane. Not called for blocks behind one that failed in any lane. */
    int (*take)(void *opaque, unsigned lane, void *block, struct ken_error *error);
    /* On a worker. */
    void (*destroy)(void *opaque, void *block);
    /* On the runner, many times a second while it waits: does what is due; an error ends the work. */
    int (*tend)(void *opaque, struct ken_error *error);
    /* On the runner. */
    bool (*cancelled)(void *opaque);
};

/* All is borrowed until the lanes are destroyed. budget: NULL for none. KEN_ENOMEM. */
int ken_lanes_create(struct ken_lanes **lanes, const struct ken_lanes_ops *ops, void *opaque, struct ken_executor *executor,
                     struct ken_budget *budget, struct ken_error *error);
/* After ken_lanes_end. Nothing if *lanes is NULL. */
void ken_lanes_destroy(struct ken_lanes **lanes);

/* Waits until fewer than 2 * threads blocks are in flight. Errors are those of `tend`. */
int ken_lanes_wait(struct ken_lanes *lanes, struct ken_error *error);
/* Takes bytes of the budget, at most its total, for the next block; they are given back when it is destroyed. */
int ken_lanes_acquire(struct ken_lanes *lanes, uint64_t bytes, struct ken_error *error);
/* After both: a block that took so many bytes is on its way, and belongs to the lanes. */
void ken_lanes_submit(struct ken_lanes *lanes, void *block, uint64_t bytes);
/* Whether a block has failed or the work was given up: blocks in flight are of no use any more. Any thread. */
bool ken_lanes_stopped(const struct ken_lanes *lanes);
/*
 * Waits until no block is in flight. code: what ended the submitting, with *error set; KEN_OK if all was submitted. Returns it, or instead
 * of all but KEN_ECANCELLED the error of the lowest block that failed, and of that the lowest lane's.
 */
int ken_lanes_end(struct ken_lanes *lanes, int code, struct ken_error *error);

#endif
