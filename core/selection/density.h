/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel density estimate of a row: KEN.md, "Selection of one row", steps 1 to 3. */
#ifndef KEN_DENSITY_H
#define KEN_DENSITY_H

#include "selection/moments.h"

#include <stddef.h>

struct ken_density {
    const float *x; /* [n], borrowed */
    size_t n;
    double min, max; /* of x */
    double h;        /* bandwidth */
    double exponent; /* -1 / (2 h^2) */
    double weight;   /* c * 2^-e / n: what the sum of exponentials is multiplied by */
    double scale;    /* 2^-e */
};

/* The density of the row x [n] with these moments, whose max is above its min. */
void ken_density_init(struct ken_density *density, const float *x, size_t n, const struct ken_moments *moments);
/* n^(-1/5), n >= 1, by IEEE operations only; nearest double. */
double ken_inverse_fifth_root(size_t n);
/*
 * How many bandwidths the range of a row of n values is at most: s >= range / sqrt(2 n), which two opposite outliers reach; so
 * 1.34 n^0.7, and a little for rounding.
 */
double ken_density_widest(size_t n);
/*
 * f(g) by the deciding sum: all exponentials, value i into lane i % 8 in column order, the lanes pairwise. |g| at most the row's largest
 * magnitude. O(n).
 */
double ken_density_exact(const struct ken_density *density, double g);

#endif
