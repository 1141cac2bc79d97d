/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/role.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

START_TEST(numbers_become_stars)
{
    static const struct {
        const char *name, *role;
        size_t count;
    } cases[] = {{"encoder.layer.3.attention.self.query.weight", "encoder.layer.*.attention.self.query.weight", 1},
                 {"layers.10.experts.007.w2", "layers.*.experts.*.w*", 3},
                 {"embed", "embed", 0},
                 {"12", "*", 1},
                 {"a*1", "a**", 1},
                 {"", "", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char role[64];
        uint64_t numbers[2] = {99, 99};
        ck_assert_str_eq(ken_role_of(role, cases[i].name), cases[i].role);
        ck_assert(ken_role_is(cases[i].role, cases[i].name));
        ck_assert(!ken_role_is("encoder", cases[i].name));
        ck_assert(ken_role_same(cases[i].name, cases[i].name));
        ck_assert_uint_eq(ken_role_numbers(cases[i].name, numbers, 2), cases[i].count);
        if (!cases[i].count) ck_assert_uint_eq(numbers[0], 99);
    }
    ck_assert(!ken_role_is("a.*", "a.1.b") && !ken_role_is("a.*.b", "a.1") && !ken_role_is("a.1", "a.1"));
    ck_assert(ken_role_same("a.1.b", "a.22.b") && !ken_role_same("a.1.b", "a.1.c") && !ken_role_same("a.1", "a.1.b"));
    ck_assert(!ken_role_same("a1", "a") && !ken_role_same("a1", "ab"));
}
END_TEST

START_TEST(numbers_are_told_up_to_a_largest)
{
    uint64_t numbers[3];
    ck_assert_uint_eq(ken_role_numbers("9007199254740990.9007199254740992.99999999999999999999999999", numbers, 3), 3);
    ck_assert_uint_eq(numbers[0], KEN_ROLE_LARGEST - 1);
    ck_assert_uint_eq(numbers[1], KEN_ROLE_LARGEST);
    ck_assert_uint_eq(numbers[2], KEN_ROLE_LARGEST);
}
END_TEST

static int compare(const void *a, const void *b)
{
    return ken_role_compare(*(const char *const *)a, *(const char *const *)b);
}

START_TEST(layers_are_in_the_order_of_their_numbers)
{
    static const char *const wanted[] = {"a.0.b", "a.00.b",  "a.1.b", "a.2.b",   "a.10.b",   "a.18446744073709551616.b",
                                         "a.1.c", "a.1.c.9", "b",     "l.2.e.9", "l.2.e.10", "l.10.e.1"};
    enum { COUNT = sizeof wanted / sizeof *wanted };
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++) {
            const int order = ken_role_compare(wanted[i], wanted[j]);
            /* Equal numbers are told apart by their digits, in whatever order. */
            if ((i == 0 && j == 1) || (i == 1 && j == 0))
                ck_assert_int_ne(order, 0);
            else
                ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
    const char *sorted[COUNT];
    for (size_t i = 0; i < COUNT; i++) sorted[i] = wanted[(i * 5) % COUNT];
    qsort(sorted, COUNT, sizeof *sorted, compare);
    ck_assert_str_eq(sorted[COUNT - 1], "l.10.e.1");
    ck_assert_str_eq(sorted[5], "a.18446744073709551616.b");
}
END_TEST

UNIT_MAIN("role", numbers_become_stars, numbers_are_told_up_to_a_largest, layers_are_in_the_order_of_their_numbers)
