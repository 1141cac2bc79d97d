/* SPDX-License-Identifier: Apache-2.0 */
/* Two deltas, tensor by tensor: which elements both store, which only one of them, and with what values. */
#ifndef KEN_OVERLAP_H
#define KEN_OVERLAP_H

#include "compare/difference.h"
#include "delta/delta.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ken_overlap_counts {
    uint64_t both, only_a, only_b; /* stored elements; bytes where elements have not whole ones */
    uint64_t other_values;         /* of those that both store: the bits differ */
    bool values_known;             /* all values that both store could be compared */
};

struct ken_overlapping_tensor {
    const char *name;                     /* borrowed from the delta */
    const struct ken_delta_tensor *a, *b; /* NULL: not there */
    enum ken_difference difference;
    bool counted; /* shapes and dtypes are the same */
    struct ken_overlap_counts counts;
};

struct ken_overlap {
    struct ken_overlapping_tensor *tensors; /* [count]: those of A in their order, then those that only B has */
    size_t count, same, unknown, counted;
    struct ken_overlap_counts counts; /* sums over those that were counted */
};

/*
 * Compares, in bounded memory. base: what both were made from, or NULL: then values of packed deltas are known to be the same only where
 * their blocks and base tensors are. *overlap is to be freed also after a failure.
 */
int ken_overlap(struct ken_overlap *overlap, const struct ken_delta *a, const struct ken_delta *b, const struct ken_checkpoint *base,
                const struct ken_inject_options *options, struct ken_error *error);
void ken_overlap_free(struct ken_overlap *overlap);
/* Stored by both / stored by either: 1 where neither stores any. */
double ken_overlap_jaccard(const struct ken_overlap_counts *counts);

#endif
