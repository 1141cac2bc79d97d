/* SPDX-License-Identifier: Apache-2.0 */
/* Prunes a pair of checkpoints on disk from end to end, as a program would, with what a test wants to vary. */
#ifndef KEN_TESTS_PRUNE_PAIR_H
#define KEN_TESTS_PRUNE_PAIR_H

#include "pruning/prune.h"

#include <stdbool.h>

/* Zeroed but for model, base and folder: two threads, 96 MiB, not durable, never cancelled. */
struct prune_pair {
    const char *model, *base, *folder; /* paths; the folder is the working folder */
    unsigned threads;
    uint64_t memory;
    struct ken_executor *executor; /* shared with others, instead of threads; NULL: its own */
    struct ken_budget *budget;     /* likewise, of `memory` bytes */
    bool durable;
    double sync_seconds;
    unsigned long cancel_after; /* `cancelled` says so from this call on, counted over all threads; 0: never */
    void *opaque;
    void (*durable_rows)(void *opaque, uint64_t rows);

    /* results */
    struct ken_error error;
    uint64_t resumed, rows, rows_reported;
    unsigned long asked; /* how often `cancelled` was */
    char *files;         /* "PATH SIZE SHA256\n" of every file, the lines of the tensors and the cells among them; of what is on disk */
    char *totals[KEN_MAX_VARIANTS];
};

/* Options with one unnamed variant, method ken, this k or keep, all outputs. */
struct ken_options pair_options(uint64_t k, double keep);
/* Returns the first error's code, or 0: then files and totals are set, and what the pruning says of its files was true of them. */
int prune_pair(struct prune_pair *pair, const struct ken_options *options);
void prune_pair_free(struct prune_pair *pair);
/* The unsigned number behind "key": in a JSON text; fails the test if there is none. */
uint64_t json_number(const char *json, const char *key);

#endif
