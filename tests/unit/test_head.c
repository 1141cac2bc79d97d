/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/head.h"
#include "unit.h"

#include <string.h>

/* Reads lines, each ended by "\n". */
static struct kend_head read_head(const char *lines)
{
    struct kend_head head = {0};
    kend_head_reset(&head, 206);
    for (const char *at = lines; *at; at = strchr(at, '\n') + 1) kend_head_line(&head, at, (size_t)(strchr(at, '\n') - at) + 1);
    kend_head_end(&head);
    return head;
}

START_TEST(fields_are_read)
{
    struct kend_head head = read_head("content-length: 10\r\nContent-Range:bytes 5-14/100 \r\nETag: \"a\"\r\nRETRY-AFTER: 7\r\n"
                                      "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nLocation: /x\r\nX: y\r\nno colon\r\n");
    ck_assert(!head.malformed && head.has_length && head.has_range && head.has_total);
    ck_assert_uint_eq(head.length, 10);
    ck_assert_uint_eq(head.first, 5);
    ck_assert_uint_eq(head.end, 15);
    ck_assert_uint_eq(head.total, 100);
    ck_assert_int_eq(head.retry_after, 7);
    ck_assert_str_eq(head.validators.etag, "\"a\"");
    ck_assert_str_eq(head.validators.last_modified, "Wed, 21 Oct 2015 07:28:00 GMT");
    ck_assert_str_eq(head.location, "/x");
    ck_assert(head.validators.strong);
    kend_head_reset(&head, 0);
}
END_TEST

START_TEST(what_cannot_be_read_is_malformed)
{
    static const char *const bad[] = {
        "Content-Length: 1x\n",
        "Content-Length: -1\n",
        "Content-Length: 18446744073709551616\n",
        "Content-Length:\n",
        "Content-Length: 1\nContent-Length: 2\n",
        "Content-Range: bytes 5-4/10\n",
        "Content-Range: bytes 0-10/10\n",
        "Content-Range: bytes 0-18446744073709551615/*\n",
        "Content-Range: bytes -5/10\n",
        "Content-Range: items 0-1/10\n",
        "Content-Range: bytes 0-1\n",
        "Content-Range: bytes 0-1/x\n",
        "Content-Range: bytes 0-1/2\nContent-Range: bytes 0-1/2\n",
        "ETag: \"a\"\nETag: \"b\"\n",
        "Location: /a\nLocation: /b\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_head head = read_head(bad[i]);
        ck_assert_msg(head.malformed, "%s", bad[i]);
        kend_head_reset(&head, 0);
    }
    struct kend_head head = read_head("Content-Length: 2\nContent-Length: 2\nContent-Range: bytes */10\nLocation: /a\nLocation: /a\n");
    ck_assert(!head.malformed && head.has_total && head.first == 0 && head.end == 0);
    kend_head_reset(&head, 0);
}
END_TEST

START_TEST(validators_are_strong_or_not)
{
    static const struct {
        const char *lines;
        bool known, strong;
    } cases[] = {
        {"ETag: \"x\"\n", true, true},
        {"ETag: W/\"x\"\n", true, false},
        {"ETag: W/\"x\"\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\nDate: Wed, 21 Oct 2015 08:28:00 GMT\n", true, false},
        {"ETag: x\n", false, false},
        {"ETag: \"a\"b\"\n", false, false},
        {"ETag: \"\x80\"\n", false, false},
        {"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\nDate: Wed, 21 Oct 2015 07:29:00 GMT\n", true, true},
        {"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\nDate: Wed, 21 Oct 2015 07:28:59 GMT\n", true, false},
        {"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\n", true, false},
        {"", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_head head = read_head(cases[i].lines);
        ck_assert_msg(kend_validators_known(&head.validators) == cases[i].known, "%s", cases[i].lines);
        ck_assert_msg(head.validators.strong == cases[i].strong, "%s", cases[i].lines);
        kend_head_reset(&head, 0);
    }
}
END_TEST

START_TEST(encodings_are_told)
{
    static const struct {
        const char *lines;
        bool encoded;
    } cases[] = {
        {"Content-Encoding: gzip\n", true},           {"Content-Encoding: identity\n", false}, {"Transfer-Encoding: chunked\n", false},
        {"Transfer-Encoding: gzip, chunked\n", true}, {"Content-Encoding: br\n", true},        {"Content-Type: application/gzip\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_head head = read_head(cases[i].lines);
        ck_assert_msg(head.encoded == cases[i].encoded, "%s", cases[i].lines);
        kend_head_reset(&head, 0);
    }
}
END_TEST

UNIT_MAIN("head", fields_are_read, what_cannot_be_read_is_malformed, validators_are_strong_or_not, encodings_are_told)
