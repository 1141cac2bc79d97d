/* SPDX-License-Identifier: Apache-2.0 */
/* Method `magnitude`: the columns that fine-tuning has moved farthest. */
#include "selection/methods.h"

#include <math.h>
#include <string.h>

static size_t scratch_bytes(size_t n)
{
    return n * sizeof(uint64_t);
}

static void select_magnitude(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch)
{
    (void)seed;
    uint64_t *keys = scratch;
    for (size_t i = 0; i < row->n; i++) {
        double moved = fabs(ken_load(row->dtype, row->model, i) - ken_load(row->dtype, row->base, i));
        uint64_t bits;
        memcpy(&bits, &moved, sizeof bits);
        keys[i] = ~bits; /* the largest first; numbers that are not negative have the order of their bits */
    }
    ken_take_smallest(keys, row->n, k, mask);
}

const struct ken_selector ken_selector_magnitude = {scratch_bytes, select_magnitude};
