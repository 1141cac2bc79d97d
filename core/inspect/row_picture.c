/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/row_picture.h"

#include "bits.h"
#include "heatmap/png_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT_LEAST = 48, HEIGHT_MOST = 1024, WIDE = 512 };

/* Numbers of the palette. All are told apart by those who see no red or no green, on white and on black. */
#define INK_MAP(X)            \
    X(NOTHING, 255, 255, 255) \
    X(ALL, 170, 170, 170)     \
    X(KEPT, 33, 102, 172)     \
    X(CURVE, 230, 133, 32)    \
    X(BANDWIDTH, 179, 88, 6)  \
    X(AXIS, 128, 128, 128)
#define X(ink, red, green, blue) ink,
enum ink { INK_MAP(X) INKS };
#undef X
#define X(ink, red, green, blue) {red, green, blue},
static const unsigned char colours[KEN_PALETTE][3] = {INK_MAP(X)};
#undef X

struct canvas {
    const struct ken_row_view *view;
    unsigned width, height;
    unsigned plot, strip; /* lines above the axis, and of the values kept, at the bottom */
    unsigned top;         /* lines above the histogram, for the bandwidth */
    unsigned pen;         /* pixels of a stroke */
    unsigned char *ink;   /* [height, width] */
    unsigned next;        /* line that is written next */
};

static void fill(const struct canvas *canvas, unsigned x, unsigned y, unsigned w, unsigned h, enum ink ink)
{
    for (unsigned line = y; line < y + h && line < canvas->height; line++)
        for (unsigned i = x; i < x + w && i < canvas->width; i++) canvas->ink[(size_t)line * canvas->width + i] = (unsigned char)ink;
}

/* The pixel of a column of values. */
static unsigned column_of(const struct canvas *canvas, double value)
{
    const double first = canvas->view->curve.edges[0], last = canvas->view->curve.edges[KEN_CURVE_BINS];
    const double at = (value - first) / (last - first) * canvas->width;
    return at <= 0 ? 0 : at >= canvas->width ? canvas->width - 1 : (unsigned)at;
}

/* ---- the plot: one scale for bars and curve, which tells how many values a bin would have */

static double expected(const struct ken_row_view *view, size_t point)
{
    return view->curve.density[point] * (double)view->finite * (view->curve.edges[1] - view->curve.edges[0]);
}

static double highest(const struct ken_row_view *view)
{
    double most = 1;
    for (size_t i = 0; i < KEN_CURVE_BINS; i++) most = fmax(most, (double)view->curve.all[i]);
    for (size_t i = 0; i < KEN_CURVE_POINTS; i++) most = fmax(most, expected(view, i));
    return most;
}

static unsigned lines_of(const struct canvas *canvas, double count, double most)
{
    return (unsigned)(count / most * (canvas->plot - canvas->top) + 0.5);
}

static void draw_bars(const struct canvas *canvas, const uint64_t *counts, double most, enum ink ink)
{
    for (unsigned i = 0; i < KEN_CURVE_BINS; i++) {
        const unsigned left = canvas->width * i / KEN_CURVE_BINS, right = canvas->width * (i + 1) / KEN_CURVE_BINS;
        const unsigned lines = lines_of(canvas, (double)counts[i], most), gap = canvas->width >= WIDE;
        fill(canvas, left, canvas->plot - lines, right - left - gap, lines, ink);
    }
}

/* A stroke in each column of pixels, from where the one before ended. */
static void draw_curve(const struct canvas *canvas, double most)
{
    unsigned before = 0;
    for (unsigned i = 0; i < canvas->width; i++) {
        const double at = (i + 0.5) / canvas->width * (KEN_CURVE_POINTS - 1);
        const size_t point = (size_t)at;
        const double left = expected(canvas->view, point), right = expected(canvas->view, point + 1);
        const unsigned lines = lines_of(canvas, left + (right - left) * (at - (double)point), most), y = canvas->plot - lines;
        const unsigned from = i && before < y ? before : y, to = i && before > y ? before : y;
        fill(canvas, i, from, 1, to - from + canvas->pen, CURVE);
        before = y;
    }
}

/* As long as the bandwidth, in the middle of the values. */
static void draw_bandwidth(const struct canvas *canvas)
{
    const struct ken_curve *curve = &canvas->view->curve;
    if (!(curve->bandwidth > 0)) return;
    const unsigned left = column_of(canvas, curve->mean - curve->bandwidth / 2);
    const unsigned right = column_of(canvas, curve->mean + curve->bandwidth / 2), tick = 3 * canvas->pen;
    fill(canvas, left, tick / 3, right - left + 1, canvas->pen, BANDWIDTH);
    fill(canvas, left, 0, canvas->pen, tick, BANDWIDTH);
    fill(canvas, right, 0, canvas->pen, tick, BANDWIDTH);
}

/* ---- the strip: where values are, and where one of them was kept */

static void draw_strip(const struct canvas *canvas)
{
    const struct ken_row_view *view = canvas->view;
    const unsigned top = canvas->height - canvas->strip;
    const enum ink inks[] = {ALL, KEPT};
    for (size_t turn = 0; turn < 2; turn++)
        for (uint64_t i = 0; i < view->finite; i++)
            if (!turn || ken_bits_has(view->bits, i)) {
                const unsigned column = column_of(canvas, (double)view->x[i]);
                if (canvas->ink[(size_t)top * canvas->width + column] != inks[turn])
                    fill(canvas, column, top, 1, canvas->strip, inks[turn]);
            }
}

/* ---- */

static int next_line(void *opaque, unsigned char *line, struct ken_error *error)
{
    struct canvas *canvas = opaque;
    (void)error;
    memcpy(line, canvas->ink + (size_t)canvas->next++ * canvas->width, canvas->width);
    return KEN_OK;
}

static unsigned height_of(unsigned width)
{
    const unsigned height = width * 3 / 8;
    return height < HEIGHT_LEAST ? HEIGHT_LEAST : height > HEIGHT_MOST ? HEIGHT_MOST : height;
}

int ken_row_draw(struct ken_picture *picture, const struct ken_row_view *view, unsigned width, struct ken_error *error)
{
    struct canvas canvas = {.view = view, .width = width ? width : KEN_ROW_WIDTH};
    *picture = (struct ken_picture){.n = view->n};
    if (canvas.width < KEN_ROW_WIDTH_LEAST || canvas.width > KEN_ROW_WIDTH_MOST)
        return ken_fail(error, KEN_EINVALID, "\"width\" must be from %d to %d in view row", KEN_ROW_WIDTH_LEAST, KEN_ROW_WIDTH_MOST);
    canvas.pen = canvas.width >= WIDE ? 2 : 1;
    canvas.height = height_of(canvas.width);
    canvas.strip = canvas.height / 12;
    canvas.top = 4 * canvas.pen;
    canvas.plot = canvas.height - canvas.strip - 3 * canvas.pen;
    canvas.ink = calloc(canvas.height, canvas.width);
    if (!canvas.ink) return ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    const double most = highest(view);
    draw_bars(&canvas, view->curve.all, most, ALL);
    draw_bars(&canvas, view->stored, most, KEPT);
    fill(&canvas, 0, canvas.plot, canvas.width, canvas.pen, AXIS);
    if (view->curve.bandwidth > 0) draw_curve(&canvas, most);
    draw_bandwidth(&canvas);
    draw_strip(&canvas);
    picture->end = most;
    picture->width = canvas.width;
    picture->height = canvas.height;
    int code = ken_png_write(&picture->png, &picture->length, canvas.width, canvas.height, colours, next_line, &canvas, error);
    free(canvas.ink);
    return code;
}
