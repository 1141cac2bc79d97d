/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/bins.h"
#include "selection/density.h"
#include "selection/exponential.h"
#include "rows.h"
#include "selection/kernel.h"
#include "selection/spread.h"
#include "unit.h"

/* Whether long double is wider than double, as valgrind's is not: then it is a reference. */
static bool have_long_double(void)
{
    volatile long double sum = 0x1p-60L;
    sum += 1;
    return sum != 1;
}

START_TEST(the_exponential_is_within_one_and_a_half_units_in_the_last_place)
{
    for (long double x = -700; have_long_double() && x < 1; x += 0.01237L) {
        double rounded = (double)x;
        long double expected = expl((long double)rounded);
        ck_assert_msg(fabsl((long double)ken_exp(rounded) - expected) < expected * 0x1.8p-53L, "exp(%a)", rounded);
    }
    ck_assert(ken_exp(0) == 1 && ken_exp(-0.0) == 1 && ken_exp(-700.1) == 0 && ken_exp(-INFINITY) == 0);
}
END_TEST

START_TEST(the_inverse_fifth_root_is_the_nearest_double)
{
    for (size_t n = 1; have_long_double() && n < (size_t)1 << 31; n += 1 + n / 300) {
        long double exact = powl((long double)n, -0.2L);
        double root = ken_inverse_fifth_root(n);
        ck_assert_msg(fabsl(exact - (long double)root) <= fabsl(exact) * 0x1.002p-54L * 2, "n = %zu: %a", n, root);
    }
    ck_assert(ken_inverse_fifth_root(32) == 0.5 && ken_inverse_fifth_root(1) == 1 && ken_inverse_fifth_root(243) == 1.0 / 3);
}
END_TEST

START_TEST(moments_are_those_of_the_row)
{
    static const float x[] = {3, -0.0F, 1, 0, 5, 5, 5, 5, 2, 4};
    struct ken_moments moments = ken_moments_of(x, 10);
    ck_assert(moments.min == 0 && !signbit(moments.min) && moments.max == 5 && moments.mean == 3 && moments.s == 2);
    moments = ken_moments_of(x + 1, 1);
    ck_assert(moments.min == 0 && !signbit(moments.min) && moments.max == 0 && moments.s == 0);
}
END_TEST

/* Density of the row in extended precision. */
static double reference(const struct ken_density *density, double g)
{
    long double sum = 0, h = (long double)density->h;
    for (size_t i = 0; i < density->n; i++) {
        long double u = ((long double)g - (long double)density->x[i]) / h;
        sum += expl(-u * u / 2);
    }
    return (double)(sum * (long double)density->weight);
}

struct errors {
    double exact, spread, bins; /* in units of what is allowed */
};

static void compare_densities(const float *x, size_t n, size_t k, struct errors *worst)
{
    struct ken_moments moments = ken_moments_of(x, n);
    if (moments.min == moments.max) return;
    struct ken_density density;
    struct ken_spread spread;
    struct ken_bins bins;
    struct ken_grid grid = ken_grid_make((double)moments.min, (double)moments.max, k);
    double *f = malloc(k * sizeof *f);
    void *spread_scratch = malloc(ken_spread_scratch(n)), *bins_scratch = aligned_alloc(64, ken_bins_scratch(n));
    ken_density_init(&density, x, n, &moments);
    ken_spread_init(&spread, &density, spread_scratch);
    bool has_bins = ken_bins_init(&bins, &density, &grid, bins_scratch);
    for (size_t j = 0; has_bins && j < k; j++) f[j] = ken_bins_at(&bins, j);
    for (size_t j = 0; j < k; j += 1 + k / 50) {
        double g = ken_grid_point(&grid, j), expected = reference(&density, g);
        double floor = fmin(0.25, density.weight); /* below it the relative bound is not claimed */
        worst->exact = fmax(worst->exact, fabs(ken_density_exact(&density, g) - expected) / (1e-12 * expected + 1e-300));
        worst->spread = fmax(worst->spread, fabs(ken_kernel()->spread_at(&spread, g) - expected) / (spread.bound * fmax(expected, floor)));
        if (has_bins) worst->bins = fmax(worst->bins, fabs(f[j] - expected) / bins.bound);
    }
    free(bins_scratch);
    free(spread_scratch);
    free(f);
}

START_TEST(every_density_is_within_its_bound)
{
    static const size_t lengths[] = {2, 3, 7, 64, 300, 1500, 20000};
    static float x[20000];
    struct errors worst = {0};
    random_state = 8;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
            size_t n = lengths[l];
            const char *name = fill_row(x, n, distribution);
            compare_densities(x, n, 2 + below(n), &worst);
            compare_densities(x, n, 2 + below(6), &worst);
            ck_assert_msg(worst.exact < 1 && worst.spread < 1 && worst.bins < 1, "%s, n %zu: exact %g, spread %g, bins %g of the bound",
                          name, n, worst.exact, worst.spread, worst.bins);
        }
    }
    /* The bounds are worth something: the worst errors come near to them. */
    ck_assert_msg(worst.bins > 0.001, "bins %g of the bound", worst.bins);
}
END_TEST

START_TEST(densities_of_tiny_spread_are_scaled_down)
{
    static const float x[] = {1, 1 + 0x1p-23F, 1 + 0x1p-22F};
    struct ken_moments moments = ken_moments_of(x, 3);
    struct ken_density density;
    ken_density_init(&density, x, 3, &moments);
    double c = density.weight * 3, unscaled = 1 / (density.h * sqrt(2 * M_PI));
    ck_assert(c <= 0x1p20 && c > 0x1p19);
    ck_assert(fabs(log2(unscaled / c) - rint(log2(unscaled / c))) < 1e-9);
}
END_TEST

UNIT_MAIN("density", the_exponential_is_within_one_and_a_half_units_in_the_last_place, the_inverse_fifth_root_is_the_nearest_double,
          moments_are_those_of_the_row, every_density_is_within_its_bound, densities_of_tiny_spread_are_scaled_down)
