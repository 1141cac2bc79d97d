/* SPDX-License-Identifier: Apache-2.0 */
/* What the vector kernels share. */
#ifndef KEN_ARRANGEMENT_H
#define KEN_ARRANGEMENT_H

#include "selection/grid.h"
#include "simd.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline v8d load8d(const double *at)
{
    v8d vector;
    memcpy(&vector, at, sizeof vector);
    return vector;
}

/* A row on its way to sorted entries and nearest values: docs/design/selection.md, "Arranging". */
struct arrangement {
    const float *x;
    const struct ken_grid *grid;
    size_t n;
    size_t subs, buckets; /* buckets from one grid point to the next, a power of two; in all */
    uint32_t *bucket;     /* [n] of column i */
    uint32_t *key;        /* [n] of column i */
    uint16_t *ends;       /* [buckets], behind a zero: where a bucket begins, later ends, among the sorted */
    uint32_t *large;      /* [buckets / 4] where four buckets are of which one is large */
    size_t large_count;
    uint64_t *entries; /* [n] */
    float *value;      /* [n] in their order, with two infinities on either side */
};

#endif
