/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "utf8.h"

#include <errno.h>
#include <stdbool.h>
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

/* Takes the beginning of a character off the end of a text that was cut. */
static void end_whole(char *text)
{
    size_t length = strlen(text), begin = length;
    while (begin && length - begin < 3 && ((unsigned char)text[begin - 1] & 0xc0) == 0x80) begin--;
    if (begin && (unsigned char)text[begin - 1] >= 0xc0 && !ken_utf8_sequence(text + begin - 1, length - begin + 1, NULL))
        text[begin - 1] = '\0';
}

int ken_fail(struct ken_error *error, int code, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(error->message, sizeof error->message, format, arguments);
        if (length >= KEN_MESSAGE_MAX) end_whole(error->message);
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

/* Length of the UTF-8 sequence at text (1 to 4), or 0 if it is malformed or nothing to print as it is. */
static size_t printable_sequence(const char *text, size_t length)
{
    uint32_t code = 0;
    size_t sequence = ken_utf8_sequence(text, length, &code);
    return !ken_utf8_is_plain(code) || code == '"' || code == '\\' ? 0 : sequence;
}

const char *ken_printable(char *buffer, size_t size, const char *text, size_t length)
{
    static const char ellipsis[] = "...";
    size_t used = 0;
    KEN_ASSERT(size > sizeof ellipsis + 4);
    for (size_t i = 0; i < length;) {
        const char *at = text + i;
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
            snprintf(buffer + used, 5, "\\x%02x", (unsigned char)*at);
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
