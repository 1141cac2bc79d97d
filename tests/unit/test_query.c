/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cursor.h"
#include "http/query.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static char detail[256];

static bool parse(struct kend_query *query, const char *text)
{
    static char buffer[4096];
    snprintf(buffer, sizeof buffer, "%s", text);
    detail[0] = '\0';
    return kend_query_parse(query, buffer, detail, sizeof detail);
}

START_TEST(parameters_are_cut_and_decoded)
{
    struct kend_query query;
    ck_assert(parse(&query, "status=queued&metadata.a%2Eb=x%20y+z&&empty=&bare&eq=a=b"));
    ck_assert_uint_eq(query.count, 5);
    ck_assert_str_eq(kend_query_get(&query, "status"), "queued");
    ck_assert_str_eq(kend_query_get(&query, "metadata.a.b"), "x y z");
    ck_assert_str_eq(kend_query_get(&query, "empty"), "");
    ck_assert_str_eq(kend_query_get(&query, "bare"), "");
    ck_assert_str_eq(kend_query_get(&query, "eq"), "a=b");
    ck_assert_ptr_null(kend_query_get(&query, "Status"));
    ck_assert(parse(&query, ""));
    ck_assert_uint_eq(query.count, 0);
}
END_TEST

START_TEST(faults_name_the_parameter)
{
    struct kend_query query;
    char many[512];
    size_t length = 0;
    ck_assert(!parse(&query, "a=1&b=2&a=3"));
    ck_assert_str_eq(detail, "query parameter \"a\" is given twice");
    ck_assert(!parse(&query, "a=%"));
    ck_assert_str_eq(detail, "the query string has a malformed escape or is not UTF-8");
    ck_assert(!parse(&query, "a=%00"));
    ck_assert(!parse(&query, "%ff=1"));
    for (int i = 0; i <= KEND_MAX_PARAMETERS; i++) length += (size_t)snprintf(many + length, sizeof many - length, "p%d&", i);
    ck_assert(!parse(&query, many));
    ck_assert_str_eq(detail, "more than 32 query parameters");
}
END_TEST

START_TEST(only_known_parameters_pass)
{
    struct kend_query query;
    static const char allowed[] = "status metadata.* limit";
    ck_assert(parse(&query, "status=a&metadata.x=1&limit=3"));
    ck_assert(kend_query_only(&query, allowed, detail, sizeof detail));
    ck_assert(parse(&query, "statu=a"));
    ck_assert(!kend_query_only(&query, allowed, detail, sizeof detail));
    ck_assert_str_eq(detail, "unknown query parameter \"statu\"");
    static const char *const others[] = {"metadata=1", "metadata.=1", "metadatax.y=1", "limit2=1", "%22=1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert(parse(&query, others[i]));
        ck_assert_msg(!kend_query_only(&query, allowed, detail, sizeof detail), "%s", others[i]);
    }
    ck_assert_str_eq(detail, "unknown query parameter \"\\x22\"");
    ck_assert(parse(&query, "x"));
    ck_assert(!kend_query_only(&query, "", detail, sizeof detail));
}
END_TEST

START_TEST(numbers_have_limits)
{
    static const char *const bad[] = {"limit=",    "limit=0",   "limit=201", "limit=-1", "limit=+1",
                                      "limit=1.0", "limit=0x1", "limit=a",   "limit= 1", "limit=99999999999999999999"};
    struct kend_query query;
    uint64_t number = 50;
    ck_assert(parse(&query, ""));
    ck_assert(kend_query_number(&query, "limit", 1, 200, &number, detail, sizeof detail));
    ck_assert_uint_eq(number, 50);
    ck_assert(parse(&query, "limit=200"));
    ck_assert(kend_query_number(&query, "limit", 1, 200, &number, detail, sizeof detail));
    ck_assert_uint_eq(number, 200);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert(parse(&query, bad[i]));
        ck_assert_msg(!kend_query_number(&query, "limit", 1, 200, &number, detail, sizeof detail), "%s", bad[i]);
        ck_assert_str_eq(detail, "query parameter \"limit\" must be a whole number from 1 to 200");
    }
    ck_assert(parse(&query, "wait=-1"));
    ck_assert(!kend_query_number(&query, "wait", 0, 0, &number, detail, sizeof detail));
    ck_assert_str_eq(detail, "query parameter \"wait\" must be a whole number of at least 0");
    ck_assert_uint_eq(number, 200);
    ck_assert(parse(&query, "wait=99999999999999999999"));
    ck_assert(kend_query_number(&query, "wait", 0, 0, &number, detail, sizeof detail));
    ck_assert_uint_eq(number, UINT64_MAX);
}
END_TEST

START_TEST(flags_are_true_or_false)
{
    struct kend_query query;
    bool flag = true;
    ck_assert(parse(&query, "dry_run=false"));
    ck_assert(kend_query_flag(&query, "dry_run", &flag, detail, sizeof detail));
    ck_assert(!flag);
    ck_assert(parse(&query, "dry_run=true"));
    ck_assert(kend_query_flag(&query, "dry_run", &flag, detail, sizeof detail));
    ck_assert(flag);
    ck_assert(parse(&query, "dry_run=1"));
    ck_assert(!kend_query_flag(&query, "dry_run", &flag, detail, sizeof detail));
    ck_assert_str_eq(detail, "query parameter \"dry_run\" must be true or false");
}
END_TEST

START_TEST(cursors_come_back_as_they_went)
{
    static const char *const bad[] = {"", "x", "-1", "1x", "+1", " 1", "1234567890123456789"};
    char cursor[KEND_CURSOR_SIZE];
    uint64_t position;
    kend_cursor_format(cursor, 123456789012345678U);
    ck_assert(kend_cursor_parse(cursor, &position));
    ck_assert_uint_eq(position, 123456789012345678U);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_msg(!kend_cursor_parse(bad[i], &position), "%s", bad[i]);
}
END_TEST

UNIT_MAIN("query", parameters_are_cut_and_decoded, faults_name_the_parameter, only_known_parameters_pass, numbers_have_limits,
          flags_are_true_or_false, cursors_come_back_as_they_went)
