/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around a picture: which rows and columns it shows, and what its colours mean. */
#ifndef KEN_HEATMAP_LEGEND_H
#define KEN_HEATMAP_LEGEND_H

#include "error.h"
#include "heatmap/pixels.h"
#include "heatmap/png_writer.h"

/* Marks, at most; and what stands beside, and above and below a picture: pixels, at most. */
enum { KEN_LEGEND_MARKS = 4, KEN_LEGEND_BESIDE = 512, KEN_LEGEND_ABOVE = 128 };

/* A colour by itself, and its meaning. */
struct ken_legend_mark {
    unsigned char colour;
    const char *text;
};

struct ken_legend {
    const char *title;
    double low, high;                    /* ends of the scale, where there is one */
    const struct ken_legend_mark *marks; /* [mark_count] in place of a scale */
    size_t mark_count;
};

/* A picture of the region with its legend around it; *width and *height are those of the whole. The rest is as of ken_png_write. */
int ken_legend_write(unsigned char **png, size_t *length, unsigned *width, unsigned *height, const struct ken_region *region,
                     const struct ken_legend *legend, unsigned char palette[KEN_PALETTE][3], ken_png_line *next, void *opaque,
                     struct ken_error *error);

#endif
