/* SPDX-License-Identifier: Apache-2.0 */
/* Range, mean and spread of a row. */
#ifndef KEN_MOMENTS_H
#define KEN_MOMENTS_H

#include <stddef.h>

enum { KEN_LANES = 8 }; /* value i is added to lane i % 8, in column order; then lanes pairwise. The order is part of the result */

struct ken_moments {
    float min, max;
    double mean, s; /* s: population standard deviation, from a second pass */
};

/* Of the finite x [n], n >= 1. */
struct ken_moments ken_moments_of(const float *x, size_t n);

/* The eight lanes added pairwise: neighbours first. */
static inline double ken_lanes_sum(const double lanes[KEN_LANES])
{
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

#endif
