/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/legend.h"

#include "heatmap/canvas.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PADDING = 4,
    TICK = 4,
    BAR = 12,
    TOP = PADDING + KEN_LETTER_HEIGHT + PADDING,
    BOTTOM = TICK + PADDING + KEN_LETTER_HEIGHT + PADDING,
    RIGHT = PADDING + BAR + PADDING + 11 * KEN_LETTER_WIDTH + PADDING, /* a number as -1.23e-05 */
    NUMBER_SIZE = 24,
    BETWEEN_ROWS = 24 /* pixels between two ticks at least */
};

struct drawing {
    struct ken_canvas canvas;
    const struct ken_region *region;
    const struct ken_legend *legend;
    unsigned left;
};

/* ---- rows and columns */

/* The least of 1, 2, 5, 10, 20, 50 ... of which so many lie in `length`, which are `pixels`, that two of them are `apart` pixels from each
 * other. */
static uint64_t step_of(uint64_t length, unsigned pixels, unsigned apart)
{
    static const unsigned factors[] = {1, 2, 5};
    for (uint64_t ten = 1;; ten *= 10)
        for (size_t i = 0; i < 3; i++) {
            const uint64_t step = ten * factors[i];
            if (step >= length || (unsigned __int128)step * pixels >= (unsigned __int128)apart * length) return step;
        }
}

static unsigned number_width(uint64_t number)
{
    char text[NUMBER_SIZE];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return ken_canvas_text_width(text);
}

/* The pixel in the middle of an element's. */
static unsigned middle_of(uint64_t element, uint64_t first, uint64_t length, unsigned pixels)
{
    return (unsigned)((unsigned __int128)(2 * (element - first) + 1) * pixels / (2 * (unsigned __int128)length));
}

/* The first multiple of a step that is in a range. */
static uint64_t first_tick(uint64_t first, uint64_t step)
{
    return first + (step - first % step) % step;
}

static void draw_columns(struct drawing *drawing)
{
    const struct ken_region *region = drawing->region;
    const unsigned widest = number_width(region->x + region->w), y = TOP + region->height;
    const uint64_t step = step_of(region->w, region->width, widest + 2 * KEN_LETTER_WIDTH);
    for (uint64_t column = first_tick(region->x, step); column < region->x + region->w; column += step) {
        char text[NUMBER_SIZE];
        const unsigned x = drawing->left + middle_of(column, region->x, region->w, region->width);
        snprintf(text, sizeof text, "%" PRIu64, column);
        const unsigned half = ken_canvas_text_width(text) / 2;
        ken_canvas_block(&drawing->canvas, x, y, 1, TICK, KEN_CANVAS_INK);
        ken_canvas_text(&drawing->canvas, x > half ? x - half : 0, y + TICK + PADDING, widest, text);
    }
}

static void draw_rows(struct drawing *drawing)
{
    const struct ken_region *region = drawing->region;
    const unsigned most = drawing->left - PADDING - TICK;
    const uint64_t step = step_of(region->h, region->height, BETWEEN_ROWS);
    for (uint64_t row = first_tick(region->y, step); row < region->y + region->h; row += step) {
        char text[NUMBER_SIZE];
        const unsigned y = TOP + middle_of(row, region->y, region->h, region->height);
        snprintf(text, sizeof text, "%" PRIu64, row);
        ken_canvas_block(&drawing->canvas, drawing->left - TICK, y, TICK, 1, KEN_CANVAS_INK);
        ken_canvas_text(&drawing->canvas, PADDING / 2 + most - ken_canvas_text_width(text), y - KEN_LETTER_HEIGHT / 2, most, text);
    }
}

/* ---- colours */

static void draw_number(struct drawing *drawing, unsigned x, unsigned y, double value)
{
    char text[NUMBER_SIZE];
    snprintf(text, sizeof text, "%.3g", value);
    ken_canvas_text(&drawing->canvas, x, y, drawing->canvas.width - x, text);
}

/* From its end at the top to its beginning below. */
static void draw_scale(struct drawing *drawing, unsigned x)
{
    const struct ken_legend *legend = drawing->legend;
    const unsigned height = drawing->region->height, text = x + BAR + PADDING, last = TOP + height - KEN_LETTER_HEIGHT;
    for (unsigned i = 0; i < height; i++) {
        const unsigned colour = 1 + (height - 1 - i) * (KEN_CANVAS_LAST - 1) / (height - 1);
        ken_canvas_block(&drawing->canvas, x, TOP + i, BAR, 1, (unsigned char)colour);
    }
    draw_number(drawing, text, TOP, legend->high);
    if (height >= 4 * KEN_LETTER_HEIGHT) draw_number(drawing, text, (TOP + last) / 2, legend->low + (legend->high - legend->low) / 2);
    if (height >= 2 * KEN_LETTER_HEIGHT) draw_number(drawing, text, last, legend->low);
}

static void draw_marks(struct drawing *drawing, unsigned x)
{
    for (size_t i = 0; i < drawing->legend->mark_count; i++) {
        const struct ken_legend_mark *mark = &drawing->legend->marks[i];
        const unsigned y = TOP + (unsigned)i * (BAR + PADDING);
        ken_canvas_block(&drawing->canvas, x, y, BAR, BAR, KEN_CANVAS_INK);
        ken_canvas_block(&drawing->canvas, x + 1, y + 1, BAR - 2, BAR - 2, mark->colour);
        ken_canvas_text(&drawing->canvas, x + BAR + PADDING, y + 3, drawing->canvas.width - x - BAR - PADDING, mark->text);
    }
}

/* ---- */

static int draw_picture(struct drawing *drawing, ken_png_line *next, void *opaque, struct ken_error *error)
{
    const struct ken_region *region = drawing->region;
    unsigned char *line = malloc(region->width);
    int code = line ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    for (unsigned y = 0; !code && y < region->height; y++) {
        code = next(opaque, line, error);
        if (!code) ken_canvas_line(&drawing->canvas, drawing->left, TOP + y, line, region->width);
    }
    free(line);
    return code;
}

int ken_legend_write(unsigned char **png, size_t *length, unsigned *width, unsigned *height, const struct ken_region *region,
                     const struct ken_legend *legend, unsigned char palette[KEN_PALETTE][3], ken_png_line *next, void *opaque,
                     struct ken_error *error)
{
    struct drawing drawing = {.region = region, .legend = legend};
    drawing.left = PADDING + number_width(region->y + region->h) + TICK + PADDING;
    *width = drawing.left + region->width + RIGHT;
    if (*width < drawing.left + ken_canvas_text_width(legend->title)) *width = drawing.left + ken_canvas_text_width(legend->title);
    *height = TOP + region->height + BOTTOM;
    const unsigned least = TOP + KEN_LEGEND_MARKS * (BAR + PADDING) + PADDING, beside = drawing.left + region->width + PADDING;
    if (legend->mark_count && *height < least) *height = least;
    int code = ken_canvas_create(&drawing.canvas, *width, *height, error);
    if (!code) code = draw_picture(&drawing, next, opaque, error);
    if (!code) {
        ken_canvas_text(&drawing.canvas, drawing.left, PADDING, *width - drawing.left, legend->title);
        draw_columns(&drawing);
        draw_rows(&drawing);
        if (legend->mark_count)
            draw_marks(&drawing, beside);
        else
            draw_scale(&drawing, beside);
        code = ken_canvas_write(&drawing.canvas, palette, png, length, error);
    }
    ken_canvas_free(&drawing.canvas);
    return code;
}
