/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/density.h"
#include "selection/exponential.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ROOT_OF_TWO_PI 0x1.40d931ff62706p+1

/* a * b = high + low exactly (Dekker, Veltkamp); no fused multiply-add, which not every machine has. */
static double product(double a, double b, double *low)
{
    const double splitter = 0x1p27 + 1;
    double high = a * b, a_scaled = splitter * a, b_scaled = splitter * b;
    double a_high = a_scaled - (a_scaled - a), a_low = a - a_high;
    double b_high = b_scaled - (b_scaled - b), b_low = b - b_high;
    *low = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low;
    return high;
}

/* 1 - n y^5 for n y^5 close to 1, with an error of some 2^-100: products as unevaluated sums of two doubles. */
static double residual(double n, double y)
{
    double square_low, fourth_low, fifth_low, whole_low;
    double square = product(y, y, &square_low);
    double fourth = product(square, square, &fourth_low);
    fourth_low += 2 * square * square_low;
    double fifth = product(fourth, y, &fifth_low);
    fifth_low += fourth_low * y;
    double whole = product(fifth, n, &whole_low);
    return (1 - whole) - (whole_low + fifth_low * n);
}

double ken_inverse_fifth_root(size_t n)
{
    double number = (double)n, y;
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    bits = (UINT64_C(1023) << 52) / 5 * 6 - bits / 5; /* the exponent divided by five: within some 5 %, Newton's steps do the rest */
    memcpy(&y, &bits, sizeof y);
    for (int step = 0; step < 5; step++) {
        double square = y * y;
        y = y + y * (1 - number * (square * square) * y) * 0.2;
    }
    return y + y * residual(number, y) * 0.2;
}

void ken_density_init(struct ken_density *density, const float *x, size_t n, const struct ken_moments *moments)
{
    *density = (struct ken_density){.x = x, .n = n, .min = (double)moments->min, .max = (double)moments->max, .scale = 1};
    density->h = 1.06 * moments->s * ken_inverse_fifth_root(n);
    density->exponent = -1 / (2 * density->h * density->h);
    double c = 1 / (density->h * ROOT_OF_TWO_PI);
    for (; c > 0x1p20; c *= 0.5) density->scale *= 0.5;
    density->weight = c / (double)n;
}

double ken_density_widest(size_t n)
{
    return sqrt(2 * (double)n) / (1.06 * ken_inverse_fifth_root(n)) * 1.000001;
}

double ken_density_exact(const struct ken_density *density, double g)
{
    const float *x = density->x;
    size_t n = density->n, i = 0;
    double lanes[KEN_LANES] = {0}, exponent = density->exponent;
    for (; i + KEN_LANES <= n; i += KEN_LANES) {
        for (size_t lane = 0; lane < KEN_LANES; lane++) {
            double distance = g - (double)x[i + lane];
            lanes[lane] += ken_exp(distance * distance * exponent);
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        double distance = g - (double)x[i];
        lanes[lane] += ken_exp(distance * distance * exponent);
    }
    return ken_lanes_sum(lanes) * density->weight;
}
