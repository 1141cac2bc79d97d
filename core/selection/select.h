/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns of one row are selected: KEN.md, "Selection of one row" and "Other methods". */
#ifndef KEN_SELECT_H
#define KEN_SELECT_H

#include "dtype.h"
#include "options.h"

#include <stddef.h>
#include <stdint.h>

/* One row of a pruned tensor, all values finite, not wholly unchanged. Borrowed, never written. */
struct ken_row {
    size_t n;             /* columns, 1 <= n <= KEN_MAX_COLUMNS */
    const float *x;       /* [n] the fine-tuned row, widened by ken_widen; methods ken and density, and duplicates "all" with any method */
    enum ken_dtype dtype; /* of model and base */
    const void *model;    /* [n] the fine-tuned row as stored; method magnitude */
    const void *base;     /* [n] the base row, converted to dtype; method magnitude */
    const unsigned char *tensor_key; /* [32] SHA-256 of the tensor's name; method random */
    uint64_t row;                    /* index of the row in its tensor; method random */
};

#define KEN_MAX_COLUMNS ((size_t)1 << 31)

/* Words of a mask of n columns: bit i % 64 of word i / 64 is column i; bits from n on are 0. */
static inline size_t ken_mask_words(size_t n)
{
    return (n + 63) / 64;
}

/*
 * Bytes of scratch that ken_select needs for rows of up to n columns with this method and any k; a multiple of 64. For large n 16.5
 * bytes a value (method ken), 8.6 (the others); at most 3 MB more for rows of up to 65536 values.
 */
size_t ken_select_scratch(enum ken_method method, size_t n);

/*
 * Selects k columns of the row (more with duplicates "all") into mask [ken_mask_words(n)], which is overwritten. k >= 1; k >= n selects
 * all. scratch: ken_select_scratch() bytes, aligned to 64, contents of no matter. Returns the number of selected columns. The result
 * depends on the arguments alone: not on the machine, the kernel or the scratch. Threads may call it at once with scratch of their own.
 */
size_t ken_select(const struct ken_row *row, size_t k, enum ken_method method, enum ken_duplicates duplicates, uint64_t seed,
                  uint64_t *mask, void *scratch);

/*
 * KEN.md, `rescale` "l1": out [n] of row->dtype receives for every column in mask base + s * (model - base), rounded once, and the base
 * elsewhere; columns whose bits equal the base's stay. row->model and row->base are read. out may be row->model's own buffer.
 */
void ken_rescale_l1(const struct ken_row *row, const uint64_t *mask, void *out);

#endif
