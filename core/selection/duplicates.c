/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/mask.h"
#include "selection/methods.h"
#include "selection/sort.h"

size_t ken_duplicates_scratch(size_t n)
{
    return (n + ken_sort_temporary(n)) * sizeof(uint64_t);
}

void ken_duplicates_extend(const float *x, size_t n, uint64_t *mask, void *scratch)
{
    uint64_t *entries = scratch;
    for (size_t i = 0; i < n; i++) entries[i] = ken_entry(ken_float_key(x[i]), (uint32_t)i);
    ken_sort(entries, n, entries + n);
    for (size_t first = 0, end; first < n; first = end) {
        bool any = false;
        for (end = first; end < n && entries[end] >> 32 == entries[first] >> 32; end++) any |= ken_mask_has(mask, (uint32_t)entries[end]);
        for (size_t i = first; any && i < end; i++) ken_mask_set(mask, (uint32_t)entries[i]);
    }
}
