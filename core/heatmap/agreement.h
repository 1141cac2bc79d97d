/* SPDX-License-Identifier: Apache-2.0 */
/* Where the masks of two deltas agree and differ: counted, from masks alone, without values, bases or models. */
#ifndef KEN_HEATMAP_AGREEMENT_H
#define KEN_HEATMAP_AGREEMENT_H

#include "heatmap/cells.h"

#include <stdbool.h>

/* Elements that both, one or none of two deltas store. */
struct ken_agreement {
    uint64_t both, only_here, only_there, neither;
};

/* A tensor of one delta; all is borrowed. */
struct ken_masked {
    const struct ken_cells *cells;
    const struct ken_cells_found *tensor;
    int delta;
};

/* Whether something calls it off. Zeroed: nothing does. */
struct ken_interrupt {
    bool (*cancelled)(void *opaque);
    void *opaque;
};

/* Counts two tensors of the same rows and columns, in 300 KiB of memory. KEN_ENOMEM, KEN_EBAD_DELTA, KEN_EIO, KEN_ECANCELLED. */
int ken_agreement_count(struct ken_agreement *agreement, const struct ken_masked *here, const struct ken_masked *there,
                        const struct ken_interrupt *interrupt, struct ken_error *error);
/* Stored by both / stored by either: 1 where neither stores any. */
double ken_agreement_jaccard(const struct ken_agreement *agreement);
void ken_agreement_add(struct ken_agreement *sum, const struct ken_agreement *agreement);
/* Adds the bits [from, to) of two masks. */
void ken_agreement_add_bits(struct ken_agreement *sum, const unsigned char *here, const unsigned char *there, uint64_t from, uint64_t to);

#endif
