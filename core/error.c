/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ken_error_text(int code)
{
    switch (code) {
    case KEN_OK: return "ok";
#define X(name, number, text) \
    case name: return text;
        KEN_ERROR_MAP(X)
#undef X
    default: return "unknown error";
    }
}

int ken_fail(struct ken_error *error, int code, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        error->code = code;
    }
    return code;
}

static int code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT: return KEN_ENO_SPACE;
    case ENOMEM: return KEN_ENOMEM;
    default: return KEN_EIO;
    }
}

int ken_fail_errno(struct ken_error *error, int errnum, const char *format, ...)
{
    char reason[128];
    char text[KEN_MESSAGE_MAX - sizeof reason];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ken_fail(error, code_of_errno(errnum), "%s: %s", text, strerror_r(errnum, reason, sizeof reason));
}

/* Length of the UTF-8 sequence at text (1 to 4), or 0 if it is malformed, overlong, a surrogate or a control character. */
static size_t printable_sequence(const unsigned char *text, size_t length)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    if (first < 0x80) return first >= 0x20 && first != 0x7f && first != '"' && first != '\\' ? 1 : 0;
    size_t want = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
    if (!want || want > length) return 0;
    unsigned code = first & (0x7fU >> want);
    for (size_t i = 1; i < want; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (text[i] & 0x3fU);
    }
    int control = code >= 0x80 && code < 0xa0;
    int surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[want] && code <= 0x10ffff && !control && !surrogate ? want : 0;
}

const char *ken_printable(char *buffer, size_t size, const char *text, size_t length)
{
    static const char ellipsis[] = "...";
    size_t used = 0;
    KEN_ASSERT(size > sizeof ellipsis + 4);
    for (size_t i = 0; i < length;) {
        const unsigned char *at = (const unsigned char *)text + i;
        size_t sequence = printable_sequence(at, length - i);
        size_t need = sequence ? sequence : 4;
        size_t reserve = i + (sequence ? sequence : 1) < length ? sizeof ellipsis - 1 : 0;
        if (used + need + reserve + 1 > size) {
            memcpy(buffer + used, ellipsis, sizeof ellipsis - 1);
            used += sizeof ellipsis - 1;
            break;
        }
        if (sequence)
            memcpy(buffer + used, at, sequence);
        else
            snprintf(buffer + used, 5, "\\x%02x", *at);
        used += need;
        i += sequence ? sequence : 1;
    }
    buffer[used] = '\0';
    return buffer;
}

void ken_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: impossible: %s\n", file, line, condition);
    abort();
}
