/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/freeset.h"
#include "selection/methods.h"
#include "rows.h"
#include "selection/sort.h"
#include "unit.h"

START_TEST(keys_have_the_order_of_numbers)
{
    static const float ascending[] = {-INFINITY, -3e38F, -1, -0x1p-149F, 0, 0x1p-149F, 1e-30F, 1, 3e38F, INFINITY};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++) {
        ck_assert(ken_key_float(ken_float_key(ascending[i])) == ascending[i]);
        if (i > 0) ck_assert_uint_lt(ken_float_key(ascending[i - 1]), ken_float_key(ascending[i]));
    }
    ck_assert_uint_eq(ken_float_key(-0.0F), ken_float_key(0.0F));
}
END_TEST

static void assert_sorts(const float *x, size_t n)
{
    uint64_t *entries = malloc((n + ken_sort_temporary(n) + 1) * sizeof *entries);
    entries[n + ken_sort_temporary(n)] = 42;
    for (size_t i = 0; i < n; i++) entries[i] = ken_entry(ken_float_key(x[i]), (uint32_t)i);
    ken_sort(entries, n, entries + n);
    ck_assert_uint_eq(entries[n + ken_sort_temporary(n)], 42);
    size_t wrong = 0; /* an assertion for each entry would take longer than the sorting */
    for (size_t i = 0; i < n; i++) {
        wrong += entries[i] >> 32 != ken_float_key(x[(uint32_t)entries[i]]);
        wrong += i > 0 && entries[i - 1] >= entries[i];
    }
    ck_assert_msg(wrong == 0, "%zu entries of %zu", wrong, n);
    free(entries);
}

START_TEST(rows_of_every_kind_and_length_are_sorted)
{
    static const size_t lengths[] = {0, 1, 2, 3, 255, 1000, KEN_SORT_PIECE - 1, KEN_SORT_PIECE, KEN_SORT_PIECE + 1, 300000};
    float *x = malloc(300000 * sizeof *x);
    random_state = 5;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (int distribution = 0; distribution<DISTRIBUTIONS; distribution += lengths[l]> 1000 ? 3 : 1) {
            fill_row(x, lengths[l], distribution);
            assert_sorts(x, lengths[l]);
        }
    }
    for (size_t i = 0; i < 300000; i++) x[i] = 1;
    assert_sorts(x, 300000);
    free(x);
}
END_TEST

START_TEST(the_smallest_keys_are_taken_lowest_columns_first)
{
    uint64_t keys[257], mask[5];
    random_state = 6;
    for (int round = 0; round < 500; round++) {
        size_t n = 1 + below(257), k = 1 + below(n), limit = 1 + below(300);
        for (size_t i = 0; i < n; i++) keys[i] = round % 3 == 0 ? random_bits() : below(limit) << (round % 60);
        memset(mask, 0, sizeof mask);
        ken_take_smallest(keys, n, k, mask);
        uint64_t kth = ken_kth_smallest(keys, n, k);
        size_t at_most = 0, taken = 0, wrong = 0;
        for (size_t i = 0; i < n; i++) {
            size_t rank = 0; /* how many come before column i */
            for (size_t j = 0; j < n; j++) rank += keys[j] < keys[i] || (keys[j] == keys[i] && j < i);
            bool is_set = mask[i / 64] >> (i % 64) & 1;
            wrong += is_set != (rank < k) || (rank == k - 1 && kth != keys[i]);
            taken += is_set;
            at_most += keys[i] <= kth;
        }
        ck_assert(wrong == 0 && taken == k && at_most >= k);
    }
}
END_TEST

START_TEST(the_free_set_finds_neighbours_at_every_size)
{
    static const size_t sizes[] = {1, 63, 64, 65, 4095, 4096, 4097, 262145};
    random_state = 7;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], left = n;
        uint64_t *words = malloc(ken_freeset_words(n) * sizeof *words);
        unsigned char *is_free = malloc(n);
        struct ken_freeset set;
        ken_freeset_fill(&set, words, n);
        memset(is_free, 1, n);
        for (size_t round = 0; left > 0 && round < 500; round++) {
            size_t at = below(n), from = at, until = at; /* found by walking: most of a large set goes in a few stretches */
            while (from < n && !is_free[from]) from++;
            while (until != SIZE_MAX && !is_free[until]) until--;
            ck_assert_uint_eq(ken_freeset_from(&set, at), from == n ? KEN_FREESET_NONE : from);
            ck_assert_uint_eq(ken_freeset_until(&set, at), until == SIZE_MAX ? KEN_FREESET_NONE : until);
            /* Whole stretches go at a time, so that words of every level become empty. */
            for (size_t i = at; i < n && i < at + n / 16 + 1; i++) {
                if (!is_free[i]) continue;
                ken_freeset_remove(&set, i);
                is_free[i] = 0;
                left--;
            }
        }
        for (size_t i = 0; i < n; i++)
            if (is_free[i]) ken_freeset_remove(&set, i);
        ck_assert_uint_eq(ken_freeset_from(&set, 0), KEN_FREESET_NONE);
        ck_assert_uint_eq(ken_freeset_until(&set, n - 1), KEN_FREESET_NONE);
        free(is_free);
        free(words);
    }
}
END_TEST

UNIT_MAIN("sort", keys_have_the_order_of_numbers, rows_of_every_kind_and_length_are_sorted,
          the_smallest_keys_are_taken_lowest_columns_first, the_free_set_finds_neighbours_at_every_size)
