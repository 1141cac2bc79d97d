/* SPDX-License-Identifier: Apache-2.0 */
/* How far a pruning has come: what a journal entry holds. Plain data, written to disk as it is. */
#ifndef KEN_PROGRESS_H
#define KEN_PROGRESS_H

#include "options.h"

#include <stdint.h>

/* What is known of one tensor in one variant once it is done. Counts are of elements. */
struct ken_record {
    uint64_t selected;  /* columns chosen, in all rows */
    uint64_t unchanged; /* fine-tuned bits are the base's */
    uint64_t stored;    /* what the delta stores */
    uint64_t non_finite_rows;
    uint64_t values, mask; /* where they begin in the scratch files, bytes */
    uint64_t largest_gap;  /* as the delta's form `gaps` counts them; those below 64 may be left out */
    double difference;     /* sum of (pruned - fine-tuned)^2 */
    double update;         /* sum of (fine-tuned - base)^2 */
};

struct ken_variant_progress {
    uint64_t values_length, mask_length; /* bytes of the scratch files that count */
    uint64_t next;                       /* behind the last element stored of the current tensor */
    uint64_t pending;                    /* bits of the mask that do not make a whole byte yet */
    struct ken_record record;            /* of the current tensor */
};

struct ken_progress {
    uint64_t tensor, unit; /* all before is done */
    uint64_t rows;         /* of pruned tensors */
    struct ken_variant_progress variants[KEN_MAX_VARIANTS];
};

#endif
