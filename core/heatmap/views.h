/* SPDX-License-Identifier: Apache-2.0 */
/* The points of view that a matrix is drawn from, and their colours: one table. */
#ifndef KEN_HEATMAP_VIEWS_H
#define KEN_HEATMAP_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

/* What there is in the part of a matrix that a pixel stands for. */
struct ken_pixel {
    uint64_t elements, stored;
    uint64_t not_finite;            /* of those stored, what the sums of values leave out; not known from cells */
    uint64_t neighbours;            /* of those stored, kept ones among the four beside each */
    double difference, value, size; /* sums as in struct ken_cell */
};

/* Which scale of the sidecar a view ends at. */
enum ken_scale { KEN_SCALE_FIXED, KEN_SCALE_VALUES, KEN_SCALE_DIFFERENCES };

/* symbol, name, colours, scale, its end as a multiple of that scale, whether it looks at single elements, what it shows */
#define KEN_VIEW_MAP(X)                                                                                                 \
    X(KEN_VIEW_MASK, "mask", diverging, KEN_SCALE_VALUES, 3, true, "kept values by sign and size, nothing where reset") \
    X(KEN_VIEW_NEIGHBORS, "neighbors", sequential, KEN_SCALE_FIXED, 4, true, "kept neighbours of a kept value, 0 to 4") \
    X(KEN_VIEW_DENSITY, "density", sequential, KEN_SCALE_FIXED, 1, true, "share of the values that is kept")            \
    X(KEN_VIEW_DELTA, "delta", sequential, KEN_SCALE_DIFFERENCES, 1, false, "size of fine-tuned minus base")

#define X(symbol, name, colours, scale, end, elements, meaning) symbol,
enum ken_view { KEN_VIEW_MAP(X) KEN_VIEW_COUNT };
#undef X

const char *ken_view_name(enum ken_view view);
/* What it shows, for people. */
const char *ken_view_meaning(enum ken_view view);
/* KEN_VIEW_COUNT if there is none of that name. */
enum ken_view ken_view_parse(const char *name);
/* Whether it is drawn from single elements where these can be seen; else from cells alone. */
bool ken_view_has_elements(enum ken_view view);
enum ken_scale ken_view_scale(enum ken_view view);
/* The end of the scale where that of the sidecar is `largest`. */
double ken_view_end(enum ken_view view, double largest);
/* The beginning of a scale that ends there: that less than nothing, or 0. */
double ken_view_low(enum ken_view view, double end);
/* A pixel's number in the palette, for a scale that ends there. 0: nothing, which is transparent. */
unsigned char ken_view_colour(enum ken_view view, const struct ken_pixel *pixel, double end);
/* Red, green and blue of each number; that of 0 is white. */
enum { KEN_PALETTE = 256 };
void ken_view_palette(enum ken_view view, unsigned char palette[KEN_PALETTE][3]);

#endif
