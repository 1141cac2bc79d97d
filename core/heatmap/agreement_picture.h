/* SPDX-License-Identifier: Apache-2.0 */
/* A picture of where the masks of two deltas agree and differ: what both, one or none of them store. */
#ifndef KEN_HEATMAP_AGREEMENT_PICTURE_H
#define KEN_HEATMAP_AGREEMENT_PICTURE_H

#include "heatmap/agreement.h"
#include "heatmap/heatmap.h"

#define KEN_AGREEMENT_VIEW "compare"

/* The files of one of the two, which stay the caller's, of so many bytes. */
struct ken_picture_side {
    int cells, delta;
    uint64_t cells_bytes, delta_bytes;
};

/*
 * Draws as ken_heatmap_draw does; `view` and `end` are of no meaning. Of a pixel that stands for several elements the colours are mixed.
 * Where rows are too many, evenly spaced ones stand for those between them. KEN_EINVALID also where the two have other shapes.
 */
int ken_agreement_draw(struct ken_picture *picture, const struct ken_heatmap *heatmap, const struct ken_picture_side *here,
                       const struct ken_picture_side *there, struct ken_error *error);

/* The colours of all shares of the four there are, in steps of a ninth. */
enum { KEN_AGREEMENT_PARTS = 9, KEN_AGREEMENT_COLOURS = 220 };
void ken_agreement_palette(unsigned char palette[KEN_PALETTE][3]);
/* The number in the palette of what there is in a pixel. */
unsigned char ken_agreement_colour(const struct ken_agreement *agreement);

#endif
