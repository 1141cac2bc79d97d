/* SPDX-License-Identifier: Apache-2.0 */
/* Method `density`: the columns at the densest places of the row. */
#include "density.h"
#include "mask.h"
#include "methods.h"

#include <string.h>

static size_t scratch_bytes(size_t n)
{
    return n * sizeof(uint64_t);
}

/* Densities are not negative, so their bits have their order. */
static uint64_t key_of_density(double f)
{
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return ~bits;
}

static void select_density(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch)
{
    (void)seed;
    uint64_t *keys = scratch;
    struct ken_moments moments = ken_moments_of(row->x, row->n);
    if (moments.min == moments.max) {
        ken_mask_set_first(mask, k);
        return;
    }
    struct ken_density density;
    ken_density_init(&density, row->x, row->n, &moments);
    for (size_t i = 0; i < row->n; i++) keys[i] = key_of_density(ken_density_exact(&density, (double)row->x[i]));
    ken_take_smallest(keys, row->n, k, mask);
}

const struct ken_selector ken_selector_density = {scratch_bytes, select_density};
