/* SPDX-License-Identifier: Apache-2.0 */
/* What pruning spends its time in, once for each instruction set. The scalar functions are the specification of all others. */
#ifndef KEN_KERNEL_H
#define KEN_KERNEL_H

#include "dtype.h"
#include "elements/elements.h"
#include "error.h"
#include "selection/bins.h"
#include "selection/density.h"
#include "selection/moments.h"
#include "selection/spread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Set in `nearest` where a grid point has several values at the same least distance: the rest is the position of the first value that is
 * not below it.
 */
#define KEN_TIED (UINT32_C(1) << 31)

enum {
    KEN_ARRANGE_MOST = 65536, /* values of a row that is arranged */
    KEN_CONVOLVE_PADDING = 16 /* zeros on either side of a profile, and values behind the last that may be touched */
};

struct ken_kernel {
    const char *name;
    bool (*is_usable)(void); /* by this machine and its operating system */
    const struct ken_elements *elements;

    /* in [n] of 16 bits -> out [n], as ken_widen; any alignment. */
    void (*widen_f16)(const void *in, float *out, size_t n);
    void (*widen_bf16)(const void *in, float *out, size_t n);

    /* ken_moments_of() and ken_density_exact(), bit for bit. */
    struct ken_moments (*moments)(const float *x, size_t n);
    double (*density)(const struct ken_density *density, double g);

    /* Adds values x [n] to the nodes; f(g) for min <= g <= max. The same bits everywhere. */
    void (*spread)(const struct ken_spread *spread, const float *x, size_t n);
    double (*spread_at)(const struct ken_spread *spread, double g);

    /* Those of this group only have to keep the bound of ken_bins. */

    /* powers [nodes, 8] += v^0 to v^7 for each x [n], v its place off the middle of the nodes at its left and right. */
    void (*sum_powers)(double *powers, const float *x, size_t n, double min, double nodes_per_unit);
    /* weights [nodes + 7] receive the weights of nodes -3 to nodes + 3 for such powers [nodes, 8], times `scale`. */
    void (*weigh)(double *weights, const double *powers, size_t nodes, double scale);
    /* profile [taps + 1] receives exp(-(t spacing)^2 / 2) for t = 0 to taps; 7 more may be written. */
    void (*gaussian)(double *profile, size_t taps, double spacing);
    /* values [count + width - 1] += weights [count] * profile [width], with KEN_CONVOLVE_PADDING; seven zeros are behind the weights. */
    void (*convolve)(double *values, const double *weights, size_t count, const double *profile, size_t width);
    /* levels [k] receive the densities rounded, with KEN_UNCERTAIN where a half-integer is within the bound. False: all are certain. */
    bool (*levels)(const struct ken_bins *bins, uint32_t *levels, size_t k);

    /*
     * Sorts x [n], n <= 65536, into entries [n], and finds for every grid point the position of the value nearest to it, the lowest column
     * if several have that value: nearest [k]. work: ken_arrange_scratch(n) bytes, aligned to 64.
     */
    void (*arrange)(const float *x, size_t n, const struct ken_grid *grid, uint64_t *entries, uint32_t *nearest, void *work);

    /*
     * The lowest column from `column` on that is not in mask [n] and whose x [n] is from low to high; SIZE_MAX if there is none, or if it
     * is too far away to be looked for.
     */
    size_t (*lowest_between)(const float *x, const uint64_t *mask, size_t n, size_t column, float low, float high);
    /* The position of the lowest column in the sorted entries first to last, both inclusive, among those whose bit is set in free; one is.
     */
    size_t (*lowest_free)(const uint64_t *entries, const uint64_t *free, size_t first, size_t last);
};

static inline size_t ken_arrange_scratch(size_t n)
{
    return n * 26 + 4096;
}

/* The kernel in use: the fastest that this machine can run, until another is chosen. */
const struct ken_kernel *ken_kernel(void);
/* The kernel of that name, or the one that "auto" stands for; NULL and an error for one that this build or machine does not have. */
const struct ken_kernel *ken_kernel_find(const char *name, struct ken_error *error);
/*
 * Uses the kernel that ken_kernel_find() finds, in the whole process; returns an error code. Selections that are under way may end with
 * another kernel than they began with: the masks are the same.
 */
int ken_kernel_choose(const char *name, struct ken_error *error);
/* ken_widen() by the kernel in use. */
void ken_kernel_widen(enum ken_dtype dtype, const void *in, float *out, size_t n);
/* Kernel number i of this build, fastest last, or NULL behind the last. */
const struct ken_kernel *ken_kernel_at(size_t i);

#endif
