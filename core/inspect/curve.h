/* SPDX-License-Identifier: Apache-2.0 */
/* How the values of a row are distributed: their histogram, and the density that pruning estimates from them. */
#ifndef KEN_INSPECT_CURVE_H
#define KEN_INSPECT_CURVE_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

enum { KEN_CURVE_BINS = 64, KEN_CURVE_POINTS = 128 };

struct ken_curve {
    double minimum, maximum, mean, deviation; /* deviation: population standard deviation. NaN where there is no value */
    double bandwidth;                         /* of the estimate; 0 where all values are equal */
    double edges[KEN_CURVE_BINS + 1];         /* a bin has its lower edge, the last one both */
    uint64_t all[KEN_CURVE_BINS];
    double at[KEN_CURVE_POINTS];      /* from the first edge to the last */
    double density[KEN_CURVE_POINTS]; /* KEN.md, step 3, unscaled: its integral is 1. 0 where all values are equal */
};

/* Of the finite x [n]; n may be 0. The same bits on every machine. KEN_ENOMEM. */
int ken_curve_make(struct ken_curve *curve, const float *x, size_t n, struct ken_error *error);
/* The bin of a value from minimum to maximum. */
size_t ken_curve_bin(const struct ken_curve *curve, float x);
/* Bytes of memory that making one takes beside the curve itself. */
size_t ken_curve_scratch(size_t n);

#endif
