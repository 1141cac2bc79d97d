/* SPDX-License-Identifier: Apache-2.0 */
#include "http/headers.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* Headers as "Name: value" lines; a Host is added. */
static struct kend_headers read_lines(const char *lines, const char *version)
{
    static char buffer[4096];
    struct kend_headers headers = {.most = 100, .most_bytes = 32768};
    snprintf(buffer, sizeof buffer, "Host: a\n%s", lines);
    for (char *rest = buffer, *line; (line = strsep(&rest, "\n"));) {
        char *value = strstr(line, ": ");
        if (!value) continue;
        *value = '\0';
        kend_headers_add(&headers, line, value + 2);
    }
    kend_headers_end(&headers, version);
    return headers;
}

START_TEST(framing_in_doubt_is_refused)
{
    static const char *const cases[] = {
        "Content-Length: 5\ncontent-length: 5",
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 ",
        "Content-Length: 1234567890123456789",
        "Transfer-Encoding: chunked\nContent-Length: 5",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Host: b",
        "host: a",
        "Content-Length : 5",
        "Transfer Encoding: chunked",
        "X\t: y",
        "X(: y",
        "\xc3\xa9: y",
        "X: a\rb",
        "X: a\x01",
        "X: a\x7f",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_headers headers = read_lines(cases[i], "HTTP/1.1");
        ck_assert_msg(headers.failed && headers.framing, "%s", cases[i]);
        ck_assert_int_eq(headers.problem, PROTO_BAD_REQUEST);
        ck_assert_str_ne(headers.detail, "");
    }
    ck_assert(read_lines("Transfer-Encoding: chunked", "HTTP/1.0").framing);
}
END_TEST

START_TEST(what_is_right_passes)
{
    struct kend_headers headers = read_lines("Content-Length: 12\nX-A: b\tc\nX-A: d\nAccept: */*", "HTTP/1.1");
    ck_assert(!headers.failed && !headers.framing && !headers.chunked);
    ck_assert_uint_eq(headers.content_length, 12);
    ck_assert_str_eq(headers.value[KEND_HOST], "a");
    ck_assert_ptr_null(headers.value[KEND_RANGE]);
    headers = read_lines("transfer-encoding: Chunked\nExpect: 100-Continue", "HTTP/1.1");
    ck_assert(!headers.failed && headers.chunked);
    headers = read_lines("Traceparent: a\ntraceparent: b", "HTTP/1.1");
    ck_assert(!headers.failed);
    ck_assert_str_eq(headers.value[KEND_TRACEPARENT], "");
}
END_TEST

START_TEST(others_may_be_there_once)
{
    static const char *const cases[] = {"Content-Type: a\nContent-Type: b", "Idempotency-Key: a\nIdempotency-Key: a", "Range: a\nRange: a",
                                        "Authorization: a\nAuthorization: b", "Expect: 200-ok"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_headers headers = read_lines(cases[i], "HTTP/1.1");
        ck_assert_msg(headers.failed && !headers.framing, "%s", cases[i]);
        ck_assert_int_eq(headers.problem, PROTO_BAD_REQUEST);
    }
}
END_TEST

START_TEST(a_host_is_needed)
{
    struct kend_headers headers = {.most = 1, .most_bytes = 100};
    kend_headers_end(&headers, "HTTP/1.1");
    ck_assert(headers.failed && !headers.framing);
    ck_assert_str_eq(headers.detail, "the Host header is missing");
}
END_TEST

START_TEST(there_are_limits)
{
    struct kend_headers headers = {.most = 3, .most_bytes = 100};
    kend_headers_add(&headers, "Host", "a");
    for (int i = 1; i < 3; i++) kend_headers_add(&headers, "X", "y");
    ck_assert(!headers.failed);
    kend_headers_add(&headers, "X", "y");
    ck_assert(headers.failed && !headers.framing);
    ck_assert_int_eq(headers.problem, PROTO_HEADERS_TOO_LARGE);
    headers = (struct kend_headers){.most = 3, .most_bytes = 10};
    kend_headers_add(&headers, "X", "12345"); /* with ": " and the line's end */
    ck_assert(!headers.failed);
    kend_headers_add(&headers, "X", "");
    ck_assert(headers.failed && !headers.framing);
    ck_assert_int_eq(headers.problem, PROTO_HEADERS_TOO_LARGE);
}
END_TEST

START_TEST(entity_tags_match)
{
    static const char *const same[] = {"\"a\"", "W/\"a\"", "*", "\"b\", \"a\"", "\"b\",W/\"a\" , \"c\"", " \"a\""};
    static const char *const other[] = {"\"b\"", "a", "\"a", "", "\"aa\"", "b, \"a\"", "\"b\" \"\""};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) ck_assert_msg(kend_etag_matches(same[i], "\"a\""), "%s", same[i]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) ck_assert_msg(!kend_etag_matches(other[i], "\"a\""), "%s", other[i]);
    ck_assert(!kend_etag_matches(NULL, "\"a\""));
}
END_TEST

UNIT_MAIN("headers", framing_in_doubt_is_refused, what_is_right_passes, others_may_be_there_once, a_host_is_needed, there_are_limits,
          entity_tags_match)
