/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/ranges.h"
#include "unit.h"

#include <string.h>

enum { BITS = 300, ROUNDS = 400, STEPS = 60 };

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* The set as a bitmap is the specification. */
static void check(const struct kend_ranges *ranges, const bool *bits)
{
    uint64_t total = 0;
    for (size_t i = 0; i < BITS; i++) {
        total += bits[i];
        size_t reach = i;
        while (reach < BITS && bits[reach]) reach++;
        ck_assert_uint_eq(kend_ranges_reach(ranges, i), reach);
        ck_assert_int_eq(kend_ranges_hold(ranges, i, i + 1), bits[i]);
        struct kend_range gap = {0};
        size_t first = reach, limit = BITS - i % 7, end = first;
        while (end < limit && !bits[end]) end++;
        bool has_gap = first < limit;
        ck_assert_int_eq(kend_ranges_gap(ranges, i, limit, &gap), has_gap);
        if (has_gap) {
            ck_assert_uint_eq(gap.first, first);
            ck_assert_uint_eq(gap.end, end);
        }
    }
    ck_assert_uint_eq(ranges->total, total);
    for (size_t i = 0; i < ranges->count; i++) {
        ck_assert_uint_lt(ranges->list[i].first, ranges->list[i].end);
        if (i) ck_assert_uint_lt(ranges->list[i - 1].end, ranges->list[i].first);
    }
}

START_TEST(random_adding_is_as_with_a_bitmap)
{
    unsigned random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        struct kend_ranges ranges = {0};
        bool bits[BITS] = {false};
        unsigned longest = 1 + next_random(&random) % 40;
        for (int step = 0; step < STEPS; step++) {
            size_t first = next_random(&random) % BITS, end = first + next_random(&random) % longest;
            if (end > BITS) end = BITS;
            ck_assert_int_eq(kend_ranges_add(&ranges, first, end), 0);
            for (size_t i = first; i < end; i++) bits[i] = true;
        }
        check(&ranges, bits);
        kend_ranges_clear(&ranges);
    }
}
END_TEST

START_TEST(touching_ranges_become_one)
{
    struct kend_ranges ranges = {0};
    ck_assert_int_eq(kend_ranges_add(&ranges, 10, 20), 0);
    ck_assert_int_eq(kend_ranges_add(&ranges, 30, 40), 0);
    ck_assert_int_eq(kend_ranges_add(&ranges, 20, 30), 0);
    ck_assert_uint_eq(ranges.count, 1);
    ck_assert_uint_eq(ranges.total, 30);
    ck_assert_int_eq(kend_ranges_add(&ranges, 5, 5), 0);
    ck_assert_uint_eq(ranges.count, 1);
    ck_assert(kend_ranges_hold(&ranges, 7, 7));
    ck_assert(kend_ranges_hold(&ranges, 10, 40));
    ck_assert(!kend_ranges_hold(&ranges, 10, 41));
    kend_ranges_clear(&ranges);
    ck_assert_uint_eq(ranges.total, 0);
}
END_TEST

START_TEST(large_positions_do_not_overflow)
{
    struct kend_ranges ranges = {0};
    struct kend_range gap;
    ck_assert_int_eq(kend_ranges_add(&ranges, UINT64_MAX - 10, UINT64_MAX), 0);
    ck_assert_uint_eq(kend_ranges_reach(&ranges, UINT64_MAX - 5), UINT64_MAX);
    ck_assert(kend_ranges_gap(&ranges, 0, UINT64_MAX, &gap));
    ck_assert_uint_eq(gap.end, UINT64_MAX - 10);
    kend_ranges_clear(&ranges);
}
END_TEST

START_TEST(json_gives_the_same_again)
{
    struct kend_ranges ranges = {0}, again = {0}, copy = {0};
    for (uint64_t i = 0; i < 100; i++) ck_assert_int_eq(kend_ranges_add(&ranges, i * 10, i * 10 + 1 + i % 9), 0);
    json_t *json = kend_ranges_to_json(&ranges);
    ck_assert_int_eq(kend_ranges_from_json(&again, json, 1000), 0);
    ck_assert_int_eq(kend_ranges_copy(&copy, &again), 0);
    ck_assert_uint_eq(copy.count, ranges.count);
    ck_assert_uint_eq(copy.total, ranges.total);
    ck_assert_mem_eq(copy.list, ranges.list, ranges.count * sizeof *ranges.list);
    kend_ranges_clear(&again);
    ck_assert_int_eq(kend_ranges_from_json(&again, json, 990), KEN_EINVALID);
    ck_assert_uint_eq(again.count, 0);
    json_decref(json);
    kend_ranges_clear(&ranges);
    kend_ranges_clear(&copy);
}
END_TEST

START_TEST(json_that_is_no_set_is_refused)
{
    static const char *const bad[] = {"{}",
                                      "[[0]]",
                                      "[[0, 1, 2]]",
                                      "[[1, 1]]",
                                      "[[2, 1]]",
                                      "[[-1, 1]]",
                                      "[[0, 1.5]]",
                                      "[[0, 5], [5, 6]]",
                                      "[[5, 6], [0, 1]]",
                                      "[[0, 101]]",
                                      "[[0, \"1\"]]",
                                      "[0, 1]",
                                      "[[0, 5], [3, 7]]",
                                      "null",
                                      "[[0, 5], []]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_ranges ranges = {0};
        json_t *json = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        ck_assert_msg(kend_ranges_from_json(&ranges, json, 100) == KEN_EINVALID, "%s", bad[i]);
        ck_assert_ptr_null(ranges.list);
        json_decref(json);
    }
}
END_TEST

UNIT_MAIN("ranges", random_adding_is_as_with_a_bitmap, touching_ranges_become_one, large_positions_do_not_overflow,
          json_gives_the_same_again, json_that_is_no_set_is_refused)
