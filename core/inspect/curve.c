/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/curve.h"

#include "selection/density.h"
#include "selection/grid.h"
#include "selection/kernel.h"

#include <math.h>
#include <stdlib.h>

static void place(double *points, size_t count, double first, double last)
{
    const struct ken_grid grid = ken_grid_make(first, last, count);
    for (size_t i = 0; i < count; i++) points[i] = ken_grid_point(&grid, i);
}

/* Where all values are equal, they stand in the middle of something. */
static void set_range(struct ken_curve *curve)
{
    double first = curve->minimum, last = curve->maximum;
    if (!(first < last)) {
        const double size = isnan(first) ? 0 : fabs(first), half = size > 512 ? size / 1024 : 0.5, middle = isnan(first) ? 0 : first;
        first = middle - half;
        last = middle + half;
    }
    place(curve->edges, KEN_CURVE_BINS + 1, first, last);
    place(curve->at, KEN_CURVE_POINTS, first, last);
}

size_t ken_curve_bin(const struct ken_curve *curve, float x)
{
    const double first = curve->edges[0], value = (double)x, place = (value - first) / (curve->edges[KEN_CURVE_BINS] - first);
    size_t bin = place >= 1 ? KEN_CURVE_BINS - 1 : (size_t)(place * KEN_CURVE_BINS);
    while (bin > 0 && value < curve->edges[bin]) bin--;
    while (bin + 1 < KEN_CURVE_BINS && value >= curve->edges[bin + 1]) bin++;
    return bin;
}

size_t ken_curve_scratch(size_t n)
{
    return ken_spread_scratch(n);
}

static int estimate(struct ken_curve *curve, const float *x, size_t n, const struct ken_moments *moments, struct ken_error *error)
{
    struct ken_density density;
    struct ken_spread spread;
    void *scratch = malloc(ken_curve_scratch(n));
    if (!scratch) return ken_fail(error, KEN_ENOMEM, "out of memory for the density of a row");
    ken_density_init(&density, x, n, moments);
    ken_spread_init(&spread, &density, scratch);
    curve->bandwidth = density.h;
    for (size_t i = 0; i < KEN_CURVE_POINTS; i++) curve->density[i] = ken_kernel()->spread_at(&spread, curve->at[i]) / density.scale;
    free(scratch);
    return KEN_OK;
}

int ken_curve_make(struct ken_curve *curve, const float *x, size_t n, struct ken_error *error)
{
    *curve = (struct ken_curve){.minimum = NAN, .maximum = NAN, .mean = NAN, .deviation = NAN};
    struct ken_moments moments = {0};
    if (n) {
        moments = ken_kernel()->moments(x, n);
        curve->minimum = (double)moments.min;
        curve->maximum = (double)moments.max;
        curve->mean = moments.mean;
        curve->deviation = moments.s;
    }
    set_range(curve);
    for (size_t i = 0; i < n; i++) curve->all[ken_curve_bin(curve, x[i])]++;
    return curve->minimum < curve->maximum ? estimate(curve, x, n, &moments, error) : KEN_OK;
}
