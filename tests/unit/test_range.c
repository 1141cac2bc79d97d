/* SPDX-License-Identifier: Apache-2.0 */
#include "http/range.h"
#include "unit.h"

#include <inttypes.h>

START_TEST(ranges_are_read_as_the_rfc_says)
{
    static const struct {
        const char *value;
        uint64_t size;
        enum kend_range kind;
        uint64_t first, length;
    } cases[] = {
        {NULL, 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=0-9", 10, KEND_RANGE_PART, 0, 10},
        {"bytes=0-", 10, KEND_RANGE_PART, 0, 10},
        {"bytes=3-5", 10, KEND_RANGE_PART, 3, 3},
        {"bytes=9-9", 10, KEND_RANGE_PART, 9, 1},
        {"bytes=5-99", 10, KEND_RANGE_PART, 5, 5},
        {"bytes=5-99999999999999999999999", 10, KEND_RANGE_PART, 5, 5},
        {"bytes=-3", 10, KEND_RANGE_PART, 7, 3},
        {"bytes=-99", 10, KEND_RANGE_PART, 0, 10},
        {"Bytes=1-2", 10, KEND_RANGE_PART, 1, 2},
        {"bytes= 1-2 ", 10, KEND_RANGE_PART, 1, 2},
        {"bytes=10-", 10, KEND_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999-", 10, KEND_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, KEND_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, KEND_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, KEND_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-1,3-4", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=5-3", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=-", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=a-b", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=1", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=1-2x", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes 1-2", 10, KEND_RANGE_WHOLE, 0, 10},
        {"items=1-2", 10, KEND_RANGE_WHOLE, 0, 10},
        {"", 10, KEND_RANGE_WHOLE, 0, 10},
        {"bytes=4294967296-8589934591", UINT64_C(1) << 40, KEND_RANGE_PART, UINT64_C(1) << 32, UINT64_C(1) << 32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t first, length;
        enum kend_range kind = kend_range_parse(cases[i].value, cases[i].size, &first, &length);
        ck_assert_msg(kind == cases[i].kind, "%s: %d", cases[i].value, kind);
        if (kind == KEND_RANGE_UNSATISFIABLE) continue;
        ck_assert_msg(first == cases[i].first && length == cases[i].length, "%s: %" PRIu64 " %" PRIu64, cases[i].value, first, length);
    }
}
END_TEST

UNIT_MAIN("range", ranges_are_read_as_the_rfc_says)
