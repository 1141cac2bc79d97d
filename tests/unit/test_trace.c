/* SPDX-License-Identifier: Apache-2.0 */
#include "http/trace.h"
#include "unit.h"

#include <string.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define ZEROS "00000000000000000000000000000000"

START_TEST(a_valid_header_gives_its_trace)
{
    static const char *const valid[] = {
        "00-" TRACE "-" PARENT "-01",  "00-" TRACE "-" PARENT "-00", "00-" TRACE "-" PARENT "-ff",
        "01-" TRACE "-" PARENT "-01",  "cc-" TRACE "-" PARENT "-01", "01-" TRACE "-" PARENT "-01-what-comes.later",
        "fe-" TRACE "-" PARENT "-01-",
    };
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        char trace[KEND_TRACE_SIZE];
        ck_assert_msg(kend_trace_parse(valid[i], trace), "%s", valid[i]);
        ck_assert_str_eq(trace, TRACE);
    }
}
END_TEST

START_TEST(any_other_is_ignored)
{
    static const char *const invalid[] = {
        "",
        "00",
        TRACE,
        "00-" TRACE,
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-1",
        "00-" TRACE "-" PARENT "-011",
        "00-" TRACE "-" PARENT "-01 ",
        " 00-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-01-more",
        "01-" TRACE "-" PARENT "-01more",
        "ff-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "000-" TRACE "-" PARENT "-01",
        "00-" ZEROS "-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "0-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01",
        "00_" TRACE "_" PARENT "_01",
        "00-" TRACE "-" PARENT "0-01",
        "00-\xff" TRACE "-" PARENT "-01",
    };
    char trace[KEND_TRACE_SIZE] = "x";
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        ck_assert_msg(!kend_trace_parse(invalid[i], trace), "%s", invalid[i]);
        ck_assert_str_eq(trace, "");
    }
    ck_assert(!kend_trace_parse(NULL, trace));
    /* No prefix of a valid one is one. */
    char text[] = "00-" TRACE "-" PARENT "-01";
    for (size_t length = strlen(text); length--;) {
        text[length] = '\0';
        ck_assert(!kend_trace_parse(text, trace));
    }
}
END_TEST

UNIT_MAIN("trace", a_valid_header_gives_its_trace, any_other_is_ignored)
