/* SPDX-License-Identifier: Apache-2.0 */
/* What requests for pictures ask for alike. Each is false with a reason in detail [size]; without the parameter, all stays. */
#ifndef KEND_HTTP_PICTURE_QUERY_H
#define KEND_HTTP_PICTURE_QUERY_H

#include "heatmap/views.h"
#include "http/query.h"

/* more: names of views that there are beside those of the table, as ", row"; or "". */
bool kend_picture_view(const struct kend_query *query, enum ken_view *view, const char *more, char *detail, size_t size);
/* The end of the scale. */
bool kend_picture_end(const struct kend_query *query, double *end, char *detail, size_t size);

#endif
