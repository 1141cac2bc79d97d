/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/mask.h"
#include "selection/select.h"

#include <math.h>
#include <string.h>

/* How much the kept updates are stretched: sum over all |D| / sum over the kept |D|, in column order. */
static double stretch_of(const struct ken_row *row, const uint64_t *mask)
{
    double all = 0, kept = 0;
    for (size_t i = 0; i < row->n; i++) {
        double moved = fabs(ken_load(row->dtype, row->model, i) - ken_load(row->dtype, row->base, i));
        all += moved;
        if (ken_mask_has(mask, i)) kept += moved;
    }
    return kept > 0 ? all / kept : 1;
}

void ken_rescale_l1(const struct ken_row *row, const uint64_t *mask, void *out)
{
    size_t size = ken_dtype_size(row->dtype);
    const unsigned char *model = row->model, *base = row->base;
    unsigned char *result = out;
    bool whole = ken_mask_count(mask, ken_mask_words(row->n)) == row->n;
    double stretch = whole ? 1 : stretch_of(row, mask);
    bool alone = whole || !isfinite(stretch); /* the difference of two huge F64 values overflows: nothing to stretch by */
    for (size_t i = 0; i < row->n; i++) {
        const unsigned char *from = ken_mask_has(mask, i) ? model + i * size : base + i * size;
        if (alone || from == base + i * size || memcmp(from, base + i * size, size) == 0) {
            memmove(result + i * size, from, size);
            continue;
        }
        double origin = ken_load(row->dtype, base, i), moved = ken_load(row->dtype, model, i) - origin;
        ken_store(row->dtype, out, i, origin + stretch * moved);
    }
}
