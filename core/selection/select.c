/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/select.h"
#include "error.h"
#include "selection/mask.h"
#include "selection/methods.h"

#include <string.h>

static const struct ken_selector *const selectors[KEN_METHOD_COUNT] = {
    [KEN_METHOD_KEN] = &ken_selector_ken,
    [KEN_METHOD_DENSITY] = &ken_selector_density,
    [KEN_METHOD_MAGNITUDE] = &ken_selector_magnitude,
    [KEN_METHOD_RANDOM] = &ken_selector_random,
};

size_t ken_select_scratch(enum ken_method method, size_t n)
{
    KEN_ASSERT(method < KEN_METHOD_COUNT && n <= KEN_MAX_COLUMNS);
    size_t selector = selectors[method]->scratch(n), duplicates = ken_duplicates_scratch(n);
    return ((selector > duplicates ? selector : duplicates) + 63) / 64 * 64;
}

size_t ken_select(const struct ken_row *row, size_t k, enum ken_method method, enum ken_duplicates duplicates, uint64_t seed,
                  uint64_t *mask, void *scratch)
{
    size_t n = row->n, words = ken_mask_words(n);
    KEN_ASSERT(method < KEN_METHOD_COUNT && k >= 1 && n >= 1 && n <= KEN_MAX_COLUMNS && (uintptr_t)scratch % 64 == 0);
    memset(mask, 0, words * sizeof *mask);
    if (k >= n) {
        ken_mask_set_first(mask, n);
        return n;
    }
    selectors[method]->select(row, k, seed, mask, scratch);
    if (duplicates == KEN_DUPLICATES_ALL) ken_duplicates_extend(row->x, n, mask, scratch);
    return ken_mask_count(mask, words);
}
