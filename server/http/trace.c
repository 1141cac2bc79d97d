/* SPDX-License-Identifier: Apache-2.0 */
#include "http/trace.h"

#include <stddef.h>
#include <string.h>

/* VERSION "-" TRACE "-" PARENT "-" FLAGS, in lower case; a later version may go on behind another "-". */
enum { VERSION_DIGITS = 2, TRACE_DIGITS = KEND_TRACE_SIZE - 1, PARENT_DIGITS = 16, FLAGS_DIGITS = 2 };

/* Steps over exactly so many digits. */
static bool skip_digits(const char **at, size_t count)
{
    if (strspn(*at, "0123456789abcdef") != count) return false;
    *at += count;
    return true;
}

static bool is_zero(const char *digits, size_t count)
{
    return strspn(digits, "0") >= count;
}

bool kend_trace_parse(const char *traceparent, char trace[KEND_TRACE_SIZE])
{
    const char *at = traceparent ? traceparent : "", *version = at;
    trace[0] = '\0';
    if (!skip_digits(&at, VERSION_DIGITS) || *at++ != '-') return false;
    const char *id = at;
    if (!skip_digits(&at, TRACE_DIGITS) || *at++ != '-') return false;
    const char *parent = at;
    if (!skip_digits(&at, PARENT_DIGITS) || *at++ != '-') return false;
    if (!skip_digits(&at, FLAGS_DIGITS)) return false;
    bool is_first_version = is_zero(version, VERSION_DIGITS);
    if (strncmp(version, "ff", VERSION_DIGITS) == 0 || is_zero(id, TRACE_DIGITS) || is_zero(parent, PARENT_DIGITS)) return false;
    if (*at && (is_first_version || *at != '-')) return false;
    memcpy(trace, id, TRACE_DIGITS);
    trace[TRACE_DIGITS] = '\0';
    return true;
}
