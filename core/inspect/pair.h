/* SPDX-License-Identifier: Apache-2.0 */
/* What a pruning looked at and what came of it, side by side: a tensor is found in all of them, and its elements are read. */
#ifndef KEN_INSPECT_PAIR_H
#define KEN_INSPECT_PAIR_H

#include "checkpoint/checkpoint.h"
#include "heatmap/cells.h"
#include "pruning/prune.h"

/* Everything is borrowed. */
struct ken_pair {
    const struct ken_checkpoint *model, *base; /* base: NULL where nobody asks for it */
    const struct ken_plan *plan;               /* of both, and of the one variant whose delta it is; NULL without a base */
    int cells, delta;                          /* files, of so many bytes */
    uint64_t cells_bytes, delta_bytes;
};

/* A pruned tensor, wherever it is. */
struct ken_pair_tensor {
    struct ken_cells cells;
    struct ken_cells_found found;
    const struct ken_tensor *model, *base; /* base: NULL without a plan */
    size_t number;                         /* in the plan */
};

/* Finds a tensor. KEN_ENOT_FOUND: none of that name was pruned; KEN_EMISMATCH: the inputs have another one; KEN_EBAD_DELTA. */
int ken_pair_find(const struct ken_pair *pair, const char *name, struct ken_pair_tensor *tensor, struct ken_error *error);
/* Reads elements [count] from `first` on into out, converted to dtype. */
int ken_pair_read(const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor, enum ken_dtype dtype, uint64_t first,
                  uint64_t count, void *out, struct ken_error *error);
/* Whether no file of the inputs has changed since it was opened: what was read of them is to be believed. */
int ken_pair_check(const struct ken_pair *pair, struct ken_error *error);

#endif
