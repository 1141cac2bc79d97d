/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures of a pruned matrix, from its delta and the sidecar of cells that pruning wrote: any part of a matrix of any size, in memory and
 * time that do not grow with it. How: docs/design/heatmaps.md.
 */
#ifndef KEN_HEATMAP_H
#define KEN_HEATMAP_H

#include "error.h"
#include "heatmap/pixels.h"
#include "heatmap/views.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pixels of a side, and of all. */
enum { KEN_PICTURE_LEAST = 16, KEN_PICTURE_MOST = 4096, KEN_PICTURE_PIXELS = 1 << 22 };

struct ken_heatmap {
    const char *tensor;
    enum ken_view view;
    uint64_t x, y, w, h; /* first column and row, columns and rows; w or h 0: all that there are */
    unsigned width;      /* pixels; 0: as the matrix, 1024 at most on its longer side. The height follows, within KEN_PICTURE_LEAST and
                            KEN_PICTURE_MOST */
    double end;          /* of the scale; 0: that of the delta's other matrices in that view */
    bool legend;         /* around it: rows and columns, and what the colours mean */
};

struct ken_picture {
    unsigned char *png; /* [length], the caller's, to be freed */
    size_t length;
    unsigned width, height; /* with its legend */
    double end;             /* of the scale */
    uint64_t rows, n;       /* of the matrix */
};

/*
 * Draws. cells, delta: files that stay the caller's, of so many bytes. The same content gives the same pixels, and with the same releases
 * of libpng and zlib the same bytes. KEN_ENOT_FOUND: no pruned tensor of that name; KEN_EINVALID: a region or width that cannot be, which
 * the message begins with in quotes; KEN_EBAD_DELTA: the files are not what they should be.
 */
int ken_heatmap_draw(struct ken_picture *picture, const struct ken_heatmap *heatmap, int cells, uint64_t cells_bytes, int delta,
                     uint64_t delta_bytes, struct ken_error *error);

/* Memory that such a picture can take while it is drawn, however its pixels are: of an unknown height, that of the highest. */
size_t ken_heatmap_most_bytes(const struct ken_heatmap *heatmap);
/* The region that is asked for, of a matrix of that shape: KEN_EINVALID as above. */
int ken_heatmap_settle(struct ken_region *region, const struct ken_heatmap *heatmap, const struct ken_cells_shape *shape,
                       struct ken_error *error);
/* One direction of a region, of so many `what` there are: KEN_EINVALID by the names of its parameters. *length 0 becomes all that follow.
 */
int ken_region_check(uint64_t first, uint64_t *length, uint64_t all, const char *first_name, const char *length_name, const char *what,
                     struct ken_error *error);
/* The end of the scale that is asked for, of a delta with these cells. */
double ken_heatmap_end(enum ken_view view, double end, const struct ken_cells *cells);

#endif
