/* SPDX-License-Identifier: Apache-2.0 */
/* What each pixel of a picture stands for, line by line: added up from whole cells, or from single elements where these can be seen. */
#ifndef KEN_HEATMAP_PIXELS_H
#define KEN_HEATMAP_PIXELS_H

#include "heatmap/cells.h"
#include "heatmap/views.h"

#include <stdbool.h>

/* A part of a matrix, and how many pixels it becomes. */
struct ken_region {
    uint64_t x, y, w, h; /* columns and rows */
    unsigned width, height;
};

/* The rows or columns [first, end) that one pixel of `pixels` stands for, where they begin there and are so many. */
struct ken_span {
    uint64_t first, end;
};
struct ken_span ken_span_of(uint64_t begin, uint64_t length, unsigned pixels, unsigned i);

struct ken_pixels;

/* values: those of single elements are wanted, too. Borrows all it is given. KEN_ENOMEM. */
int ken_pixels_create(struct ken_pixels **pixels, const struct ken_cells *cells, const struct ken_cells_found *tensor, int delta,
                      const struct ken_region *region, bool elements, bool values, struct ken_error *error);
void ken_pixels_free(struct ken_pixels **pixels);
/* The next line: [width], until the next call. *again: it is the same as the one before. */
int ken_pixels_next(struct ken_pixels *pixels, const struct ken_pixel **line, bool *again, struct ken_error *error);

#endif
