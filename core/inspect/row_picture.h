/* SPDX-License-Identifier: Apache-2.0 */
/* A row as a picture: histogram, density curve and bandwidth, and below them where values were kept. */
#ifndef KEN_INSPECT_ROW_PICTURE_H
#define KEN_INSPECT_ROW_PICTURE_H

#include "heatmap/heatmap.h"
#include "inspect/row.h"

/* What this view is called, beside those of ken_view. */
#define KEN_ROW_VIEW "row"

enum { KEN_ROW_WIDTH = 768, KEN_ROW_WIDTH_LEAST = 64, KEN_ROW_WIDTH_MOST = 4096 };

/*
 * Draws; picture->png is the caller's, to be freed, picture->end how many values of a bin the upper edge stands for. width: pixels; 0 is
 * KEN_ROW_WIDTH; the height follows. KEN_EINVALID: a width that cannot be, which the message begins with in quotes. The same pixels on
 * every machine, and with the same releases of libpng and zlib the same bytes.
 */
int ken_row_draw(struct ken_picture *picture, const struct ken_row_view *view, unsigned width, struct ken_error *error);

#endif
