/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a pruned tensor: how its fine-tuned values are distributed, and which of them were kept. docs/design/heatmaps.md, "One row".
 */
#ifndef KEN_INSPECT_ROW_H
#define KEN_INSPECT_ROW_H

#include "inspect/curve.h"
#include "inspect/pair.h"

enum { KEN_ROW_MOST = 1 << 20 }; /* values of a row that is looked at */

struct ken_row_view {
    uint64_t row, n, k;  /* k: columns that a row is to keep; 0 without a plan */
    uint64_t kept;       /* that the delta stores */
    uint64_t non_finite; /* values that are left out below */
    struct ken_curve curve;
    uint64_t stored[KEN_CURVE_BINS]; /* of curve.all, those that the delta stores */
    float *x;                        /* [finite] the values, as pruning sees them */
    unsigned char *bits;             /* [finite] bit i % 8 of byte i / 8: value i is kept */
    uint64_t finite;
};

/*
 * Looks at a row. *view is the caller's, to be freed in any case. KEN_EINVALID: no such row, or a row of more than KEN_ROW_MOST values,
 * which the message begins with in quotes ("row"). Else as ken_pair_find.
 */
int ken_row_view_read(struct ken_row_view *view, const struct ken_pair *pair, const char *tensor, uint64_t row, struct ken_error *error);
void ken_row_view_free(struct ken_row_view *view);
/* Selects once more: how many columns of the row were chosen. The pair has a plan. KEN_ENOMEM, or as reading the inputs. */
int ken_row_select(const struct ken_pair *pair, const char *tensor, uint64_t row, uint64_t *selected, struct ken_error *error);
/* Bytes of memory that both take for a row of so many values, at most. */
uint64_t ken_row_bytes(uint64_t n);

#endif
