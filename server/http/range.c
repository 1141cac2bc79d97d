/* SPDX-License-Identifier: Apache-2.0 */
#include "http/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Reads digits; a number too large for 64 bits is the largest there is, which is beyond every size. False without a digit. */
static bool range_number(const char **at, uint64_t *number)
{
    const char *start = *at;
    *number = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        unsigned digit = (unsigned)(**at - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    return *at > start;
}

static const char *range_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

enum kend_range kend_range_parse(const char *value, uint64_t size, uint64_t *first, uint64_t *length)
{
    static const char unit[] = "bytes=";
    uint64_t from = 0, to = UINT64_MAX;
    *first = 0;
    *length = size;
    if (!value || strncasecmp(value, unit, sizeof unit - 1) != 0) return KEND_RANGE_WHOLE;
    const char *at = range_blanks(value + sizeof unit - 1);
    bool has_from = range_number(&at, &from);
    if (*at++ != '-') return KEND_RANGE_WHOLE;
    bool has_to = range_number(&at, &to);
    if (!has_to) to = UINT64_MAX;
    if (*range_blanks(at) || (!has_from && !has_to) || (has_from && from > to)) return KEND_RANGE_WHOLE;
    if (!has_from) { /* the last `to` bytes */
        if (to == 0 || size == 0) return KEND_RANGE_UNSATISFIABLE;
        *length = to < size ? to : size;
        *first = size - *length;
        return KEND_RANGE_PART;
    }
    if (from >= size) return KEND_RANGE_UNSATISFIABLE;
    *first = from;
    *length = (to < size ? to + 1 : size) - from;
    return KEND_RANGE_PART;
}
