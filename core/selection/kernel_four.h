/* SPDX-License-Identifier: Apache-2.0 */
/* For the vector kernels of registers shorter than 64 bytes. */
#ifndef KEN_KERNEL_FOUR_H
#define KEN_KERNEL_FOUR_H

#include "selection/kernel.h"
#include "selection/lagrange.h"
#include "selection/sort.h"
#include "selection/arrangement.h"

#include <string.h>

/* The weights that each node gives, in the place of its powers in a buffer of some nodes, and then the sums of what overlaps. */
static void weigh(double *weights, const double *powers, size_t nodes, double scale)
{
    enum { TOGETHER = 64, WIDTH = KEN_BINS_NODES };
    v4d low[WIDTH], high[WIDTH];
    double given[WIDTH - 1 + TOGETHER + WIDTH - 1][WIDTH]; /* of nodes with none on either side */
    for (int p = 0; p < WIDTH; p++) {
        memcpy(&low[p], ken_lagrange[p], sizeof low[p]);
        memcpy(&high[p], ken_lagrange[p] + 4, sizeof high[p]);
        low[p] *= scale / KEN_LAGRANGE_DIVISOR;
        high[p] *= scale / KEN_LAGRANGE_DIVISOR;
    }
    memset(weights, 0, (nodes + WIDTH - 1) * sizeof *weights);
    memset(given, 0, sizeof given);
    for (size_t first = 0; first < nodes; first += TOGETHER) {
        size_t count = nodes - first < TOGETHER ? nodes - first : TOGETHER;
        for (size_t node = 0; node < count; node++) {
            const double *power = powers + (first + node) * WIDTH;
            v4d left = {0}, right = {0};
            for (int p = 0; p < WIDTH; p++) left += power[p] * low[p];
            for (int p = 0; p < WIDTH; p++) right += power[p] * high[p];
            memcpy(given[WIDTH - 1 + node], &left, sizeof left);
            memcpy(given[WIDTH - 1 + node] + 4, &right, sizeof right);
        }
        if (count < TOGETHER) memset(given[WIDTH - 1 + count], 0, (WIDTH - 1) * sizeof given[0]);
        for (size_t at = 0; at < count + WIDTH - 1; at++) {
            double sum = 0;
            for (size_t i = 0; i < WIDTH; i++) sum += given[WIDTH - 1 + at - i][i];
            weights[first + at] += sum;
        }
    }
}

/* There is no minimum of 64 bits: few entries are out of order, and those by a place or two. */
static void sort_buckets(uint64_t *entries, size_t n)
{
    ken_sort_few(entries, n);
}

enum { BUCKETS_AT_ONCE = 4 };

/* Four at a time: a product adds up the lower ones. */
static void counts_to_begins(struct arrangement *a)
{
    const uint64_t ones = UINT64_C(0x0001000100010001), tops = ones << 15;
    uint64_t before = 0;
    for (size_t b = 0; b < a->buckets; b += BUCKETS_AT_ONCE) {
        uint64_t counts;
        memcpy(&counts, a->ends + b, sizeof counts);
        uint64_t sums = counts * ones, begins = sums - counts + before * ones;
        if ((counts | ((counts & ~tops) + ones * (0x7fff - MOST_IN_BUCKET))) & tops) a->large[a->large_count++] = (uint32_t)b;
        before += sums >> 48;
        memcpy(a->ends + b, &begins, sizeof begins);
    }
}

static void find_first(const struct arrangement *a, uint32_t *first)
{
    uint32_t at = 0;
    for (uint32_t p = 0; p < a->n; p++) {
        uint32_t differs = p == 0 || a->value[p] != a->value[p - 1];
        at += (p - at) & (0 - differs); /* a branch would be mispredicted at every other value */
        first[p] = at;
    }
}

/* Four grid points at a time, from the two values at the left and the two at the right of each. */
static void find_nearest(const struct arrangement *a, uint32_t *nearest)
{
    size_t k = a->grid->k;
    for (size_t j = 0; j < k; j += 4) {
        uint32_t starts[4] = {0};
        v4f row[4];
        for (size_t lane = 0; lane < 4; lane++) {
            starts[lane] = j + lane < k ? a->ends[(ptrdiff_t)((j + lane) * a->subs) - 1] : 0;
            memcpy(&row[lane], a->value + (ptrdiff_t)starts[lane] - 2, sizeof row[lane]);
        }
        v4f low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
        v4f low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
        v4f left2 = __builtin_shufflevector(low01, low23, 0, 1, 4, 5), left = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
        v4f right = __builtin_shufflevector(high01, high23, 0, 1, 4, 5), right2 = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
        v4d point = (double)j + (v4d){0, 1, 2, 3};
        v4f g = __builtin_convertvector(point * a->grid->step + a->grid->min, v4f);
        if (k - j <= 4) g[k - 1 - j] = (float)a->grid->max;
        v4f to_left = g - left, to_right = right - g;
        v4i is_left = to_left < to_right, is_right = to_right < to_left;
        v4i telling_right = 4 * to_right <= (v4f)((v4i)right & INT32_MAX), telling_left = 4 * to_left <= (v4f)((v4i)left & INT32_MAX);
        v4i one_right = (right2 - g != to_right) | telling_right, one_left = (g - left2 != to_left) | telling_left;
        v4u start;
        memcpy(&start, starts, sizeof start);
        v4u good = (v4u)((is_right & one_right) | (is_left & one_left));
        v4u found = ((start + (v4u)is_left) & good) | ((start | KEN_TIED) & ~good);
        memcpy(nearest + j, &found, (k - j < 4 ? k - j : 4) * sizeof *nearest);
    }
}

#endif
