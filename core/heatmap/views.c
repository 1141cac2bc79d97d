/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/views.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* ---- colours: a scale is drawn between so many of them. Both are told apart by those who see no red or no green, and in grey: brightness
 * grows along the first, and towards the middle of the second. */

enum { STOPS = 9, COLOURS = KEN_PALETTE - 1 };
static const unsigned char sequential[STOPS][3] = {{68, 1, 84},    {71, 44, 122}, {59, 81, 139},  {44, 113, 142}, {33, 144, 141},
                                                   {39, 173, 129}, {92, 200, 99}, {170, 220, 50}, {253, 231, 37}};
static const unsigned char diverging[STOPS][3] = {{5, 48, 97},     {33, 102, 172}, {67, 147, 195}, {146, 197, 222}, {235, 235, 235},
                                                  {253, 190, 112}, {230, 133, 32}, {179, 88, 6},   {127, 59, 8}};

struct view {
    const char *name, *meaning;
    const unsigned char (*colours)[3]; /* [STOPS] */
    enum ken_scale scale;
    double end;
    bool elements;
};
static const struct view views[] = {
#define X(symbol, name, colours, scale, end, elements, meaning) {name, meaning, colours, scale, end, elements},
    KEN_VIEW_MAP(X)
#undef X
};

const char *ken_view_name(enum ken_view view)
{
    return views[view].name;
}

const char *ken_view_meaning(enum ken_view view)
{
    return views[view].meaning;
}

enum ken_view ken_view_parse(const char *name)
{
    unsigned view = 0;
    while (view < KEN_VIEW_COUNT && strcmp(views[view].name, name) != 0) view++;
    return (enum ken_view)view;
}

bool ken_view_has_elements(enum ken_view view)
{
    return views[view].elements;
}

enum ken_scale ken_view_scale(enum ken_view view)
{
    return views[view].scale;
}

double ken_view_end(enum ken_view view, double largest)
{
    return views[view].scale == KEN_SCALE_FIXED ? views[view].end : views[view].end * largest;
}

double ken_view_low(enum ken_view view, double end)
{
    return views[view].colours == diverging ? -end : 0;
}

void ken_view_palette(enum ken_view view, unsigned char palette[KEN_PALETTE][3])
{
    memset(palette[0], 255, 3);
    for (unsigned i = 0; i < COLOURS; i++) {
        const unsigned at = i * (STOPS - 1), stop = at / (COLOURS - 1), part = at % (COLOURS - 1);
        const unsigned char *from = views[view].colours[stop], *to = views[view].colours[stop + (part != 0)];
        for (size_t c = 0; c < 3; c++)
            palette[i + 1][c] = (unsigned char)((from[c] * (COLOURS - 1 - part) + to[c] * part + (COLOURS - 1) / 2) / (COLOURS - 1));
    }
}

/* ---- where a pixel is on the scale: 0 to 1, or nothing */

static double level(enum ken_view view, const struct ken_pixel *pixel, double end)
{
    const double stored = (double)pixel->stored, elements = (double)pixel->elements;
    switch (view) {
    case KEN_VIEW_MASK: /* of values that are not finite alone: the middle, for something is kept there */
        if (pixel->stored > pixel->not_finite) return 0.5 + 0.5 * (pixel->value / (stored - (double)pixel->not_finite) / end);
        return pixel->stored ? 0.5 : NAN;
    case KEN_VIEW_NEIGHBORS: return stored > 0 ? (double)pixel->neighbours / stored / end : NAN;
    case KEN_VIEW_DENSITY: return elements > 0 ? stored / elements / end : NAN;
    default: return elements > 0 ? pixel->difference / elements / end : NAN;
    }
}

unsigned char ken_view_colour(enum ken_view view, const struct ken_pixel *pixel, double end)
{
    double at = level(view, pixel, end > 0 ? end : 1);
    if (isnan(at)) return 0;
    at = at < 0 ? 0 : at > 1 ? 1 : at;
    return (unsigned char)(1 + (unsigned)(at * (COLOURS - 1) + 0.5));
}
