/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "unit.h"

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
    ck_assert_str_eq(ken_printable(buffer, 12, "0123456789abcdef", 16), "01234567...");
    ck_assert_str_eq(ken_printable(buffer, 12, "01234567", 8), "01234567");
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

UNIT_MAIN("error", a_failure_carries_code_and_message, errno_maps_to_codes, text_from_outside_is_made_printable, every_code_has_a_text)
