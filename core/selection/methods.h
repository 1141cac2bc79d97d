/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of selection, behind ken_select(). */
#ifndef KEN_METHODS_H
#define KEN_METHODS_H

#include "selection/select.h"

/* One method, for rows with 1 <= k < n. */
struct ken_selector {
    /* Bytes for rows of n values; select() gets them aligned to 64. */
    size_t (*scratch)(size_t n);
    /* Sets k bits of mask [ken_mask_words(n)], which comes all clear. */
    void (*select)(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch);
};

extern const struct ken_selector ken_selector_ken, ken_selector_density, ken_selector_magnitude, ken_selector_random;

/* Bytes of scratch for ken_duplicates_extend. */
size_t ken_duplicates_scratch(size_t n);
/* `duplicates` "all": sets every column of x [n] whose value equals that of a set one (-0 = 0). scratch: aligned to 64. O(n). */
void ken_duplicates_extend(const float *x, size_t n, uint64_t *mask, void *scratch);

/* Sets the columns of the k smallest keys [n] in mask; equal keys: the lowest columns. 1 <= k <= n. O(n). */
void ken_take_smallest(const uint64_t *keys, size_t n, size_t k, uint64_t *mask);
/* The k-th smallest of keys [n], 1 <= k <= n. O(n). */
uint64_t ken_kth_smallest(const uint64_t *keys, size_t n, size_t k);

#endif
