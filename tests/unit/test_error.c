/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "unit.h"
#include "utf8.h"

#include <errno.h>
#include <string.h>

START_TEST(a_failure_carries_code_and_message)
{
    struct ken_error error = {0};
    ck_assert_int_eq(ken_fail(&error, KEN_EBAD_CHECKPOINT, "tensor \"%s\"", "a"), KEN_EBAD_CHECKPOINT);
    ck_assert_int_eq(error.code, KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "tensor \"a\"");
    ck_assert_int_eq(ken_fail(NULL, KEN_EIO, "unseen"), KEN_EIO);
}
END_TEST

START_TEST(a_message_that_is_cut_ends_with_a_whole_character)
{
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++)
        for (size_t before = 0; before < 4; before++) {
            struct ken_error error = {0};
            char text[KEN_MESSAGE_MAX * 2] = "";
            for (size_t at = 0; at < before; at++) strcat(text, "a");
            while (strlen(text) <= KEN_MESSAGE_MAX) strcat(text, characters[i]);
            ken_fail(&error, KEN_EIO, "%s", text);
            size_t length = strlen(error.message);
            ck_assert_uint_eq(ken_utf8_valid(error.message, length), length);
            ck_assert_uint_gt(length, KEN_MESSAGE_MAX - 1 - strlen(characters[i]));
            ck_assert_int_eq(strncmp(text, error.message, length), 0);
        }
}
END_TEST

START_TEST(errno_maps_to_codes)
{
    struct ken_error error = {0};
    ck_assert_int_eq(ken_fail_errno(&error, ENOSPC, "writing %s", "x"), KEN_ENO_SPACE);
    ck_assert_str_eq(error.message, "writing x: No space left on device");
    ck_assert_int_eq(ken_fail_errno(&error, EACCES, "x"), KEN_EIO);
    ck_assert_int_eq(ken_fail_errno(&error, ENOMEM, "x"), KEN_ENOMEM);
}
END_TEST

START_TEST(text_from_outside_is_made_printable)
{
    char buffer[32];
    ck_assert_str_eq(ken_printable(buffer, sizeof buffer, "a\nb\"\0c", 6), "a\\x0ab\\x22\\x00c");
    ck_assert_str_eq(ken_printable(buffer, sizeof buffer, "\xc3\xa9\xff", 3), "\xc3\xa9\\xff");
    ck_assert_str_eq(ken_printable(buffer, sizeof buffer,
                                   "a\xe2\x80\xae"
                                   "b\xc2\x85",
                                   7),
                     "a\\xe2\\x80\\xaeb\\xc2\\x85");
    ck_assert_str_eq(ken_printable(buffer, 12, "0123456789abcdef", 16), "01234567...");
    ck_assert_str_eq(ken_printable(buffer, 12, "01234567", 8), "01234567");
}
END_TEST

START_TEST(what_turns_or_breaks_a_line_is_not_plain)
{
    static const uint32_t plain[] = {0x20, 0x7e, 0xa0, 0xe9, 0x61b, 0x61d, 0x200d, 0x2010, 0x2027, 0x202f, 0x2065, 0x206a, 0x1f600};
    static const uint32_t odd[] = {0, 0x1b, 0x7f, 0x80, 0x9f, 0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) ck_assert(ken_utf8_is_plain(plain[i]));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) ck_assert(!ken_utf8_is_plain(odd[i]));
}
END_TEST

START_TEST(every_code_has_a_text)
{
#define X(name, number, text) ck_assert_str_eq(ken_error_text(name), text);
    KEN_ERROR_MAP(X)
#undef X
    ck_assert_str_eq(ken_error_text(-9999), "unknown error");
}
END_TEST

UNIT_MAIN("error", a_failure_carries_code_and_message, a_message_that_is_cut_ends_with_a_whole_character, errno_maps_to_codes,
          text_from_outside_is_made_printable, what_turns_or_breaks_a_line_is_not_plain, every_code_has_a_text)
