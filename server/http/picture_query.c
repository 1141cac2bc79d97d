/* SPDX-License-Identifier: Apache-2.0 */
#include "http/picture_query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool kend_picture_view(const struct kend_query *query, enum ken_view *view, const char *more, char *detail, size_t size)
{
    const char *name = kend_query_get(query, "view");
    if (!name) return true;
    *view = ken_view_parse(name);
    if (*view != KEN_VIEW_COUNT) return true;
    int used = snprintf(detail, size, "query parameter \"view\" must be one of");
    for (unsigned i = 0; i < KEN_VIEW_COUNT && used > 0 && (size_t)used < size; i++)
        used += snprintf(detail + used, size - (size_t)used, "%s %s", i ? "," : "", ken_view_name((enum ken_view)i));
    if (used > 0 && (size_t)used < size) snprintf(detail + used, size - (size_t)used, "%s", more);
    return false;
}

bool kend_picture_end(const struct kend_query *query, double *end, char *detail, size_t size)
{
    const char *text = kend_query_get(query, "max");
    char *rest;
    if (!text) return true;
    *end = strspn(text, "0123456789.eE+-") == strlen(text) ? strtod(text, &rest) : NAN;
    if (isfinite(*end) && *end > 0 && !*rest) return true;
    snprintf(detail, size, "query parameter \"max\" must be a number above 0");
    return false;
}
