/* SPDX-License-Identifier: Apache-2.0 */
/* The `traceparent` header of W3C Trace Context: the id under which others know what a request is part of. */
#ifndef KEND_HTTP_TRACE_H
#define KEND_HTTP_TRACE_H

#include <stdbool.h>

enum { KEND_TRACE_SIZE = 32 + 1 };

/* The trace id of a header's value (or NULL) as 32 hexadecimal digits; false, and "", if the value is not one: then it is ignored. */
bool kend_trace_parse(const char *traceparent, char trace[KEND_TRACE_SIZE]);

#endif
