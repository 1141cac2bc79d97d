/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler's vector types, of a size of which every instruction set can make as many registers as it needs. */
#ifndef KEN_VECTORS_H
#define KEN_VECTORS_H

#include "selection/grid.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wpsabi" /* they are returned by what is inlined only */

typedef double v8d __attribute__((vector_size(64)));
typedef int64_t v8l __attribute__((vector_size(64)));
typedef float v16f __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef double v4d __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef uint32_t v4u __attribute__((vector_size(16)));

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
