/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/layers.h"

#include "heatmap/canvas.h"
#include "heatmap/pixels.h"
#include "heatmap/role.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WIDTH = 1024,
    GAP = 8,
    NARROWEST = 112, /* of a small picture, so that what is said of it has room */
    WIDEST = 256,
    SAID = 2 * KEN_LETTER_HEIGHT + 4,
    BAR = 64,
    HEAD = 2 * (KEN_LETTER_HEIGHT + 4), /* two lines above all */
    TEXT_SIZE = 64,
    NUMBERS = 4,
    /* Larger matrices are drawn from cells, so that a hundred of them do not take long. */
    MOST_ELEMENTS = 1 << 20
};

struct drawing {
    const struct ken_layers *layers;
    struct ken_cells cells;
    int delta;
    double end;
    unsigned columns, width, height; /* of the grid; of a small picture at most */
    struct ken_canvas canvas;
    unsigned char line[WIDEST];
};

/* ---- the grid */

/* Height of a small picture, as its matrix, within bounds. */
static unsigned height_of(const struct ken_cells_shape *shape, unsigned width, unsigned most)
{
    const unsigned __int128 height = (unsigned __int128)shape->rows * width / shape->n;
    return height < KEN_PICTURE_LEAST ? KEN_PICTURE_LEAST : height > most ? most : (unsigned)height;
}

/* The first one's shape decides, which that of the others is nearly always. */
static int settle(struct drawing *drawing, struct ken_error *error)
{
    const struct ken_layers *layers = drawing->layers;
    const unsigned wanted = layers->width ? layers->width : WIDTH;
    struct ken_cells_found first;
    if (wanted < KEN_LAYERS_LEAST || wanted > KEN_PICTURE_MOST)
        return ken_fail(error, KEN_EINVALID, "\"width\" must be from %d to %d", KEN_LAYERS_LEAST, KEN_PICTURE_MOST);
    int code = ken_cells_find(&drawing->cells, layers->layers[0].tensor, &first, error);
    if (code) return code;
    const unsigned columns = (wanted - GAP) / (NARROWEST + GAP);
    drawing->columns = layers->count < columns ? (unsigned)layers->count : columns;
    const unsigned room = (wanted - GAP) / drawing->columns - GAP;
    drawing->width = room < WIDEST ? room : WIDEST;
    const uint64_t rows = (layers->count + drawing->columns - 1) / drawing->columns, pixels = KEN_PICTURE_PIXELS / wanted;
    const uint64_t tallest = ((pixels < KEN_PICTURE_MOST ? pixels : KEN_PICTURE_MOST) - HEAD - GAP) / rows;
    if (tallest < KEN_PICTURE_LEAST + SAID + GAP)
        return ken_fail(error, KEN_EINVALID, "\"width\" is too small for %zu layers, or they are too many for a picture", layers->count);
    const uint64_t most = tallest - SAID - GAP;
    drawing->height = height_of(&first.shape, drawing->width, most < WIDEST ? (unsigned)most : WIDEST);
    return ken_canvas_create(&drawing->canvas, GAP + drawing->columns * (drawing->width + GAP),
                             HEAD + GAP + (unsigned)rows * (drawing->height + SAID + GAP), error);
}

/* ---- one of them */

static int draw_matrix(struct drawing *drawing, const char *tensor, unsigned x, unsigned y, struct ken_error *error)
{
    const enum ken_view view = drawing->layers->view;
    struct ken_cells_found found;
    struct ken_pixels *pixels;
    const struct ken_pixel *line;
    bool again;
    int code = ken_cells_find(&drawing->cells, tensor, &found, error);
    if (code) return code;
    const struct ken_region region = {.w = found.shape.n,
                                      .h = found.shape.rows,
                                      .width = drawing->width,
                                      .height = height_of(&found.shape, drawing->width, drawing->height)};
    const bool elements = ken_view_has_elements(view) && found.shape.rows <= MOST_ELEMENTS / found.shape.n;
    code = ken_pixels_create(&pixels, &drawing->cells, &found, drawing->delta, &region, elements, view == KEN_VIEW_MASK, error);
    for (unsigned i = 0; !code && i < region.height; i++) {
        code = ken_pixels_next(pixels, &line, &again, error);
        for (unsigned j = 0; !code && !again && j < region.width; j++) drawing->line[j] = ken_view_colour(view, &line[j], drawing->end);
        if (!code) ken_canvas_line(&drawing->canvas, x, y + i, drawing->line, region.width);
    }
    ken_pixels_free(&pixels);
    return code;
}

/* The numbers of a name, as 3.17. */
static void write_numbers(char text[TEXT_SIZE], const char *name)
{
    uint64_t numbers[NUMBERS];
    const size_t count = ken_role_numbers(name, numbers, NUMBERS);
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && i < NUMBERS && used < TEXT_SIZE - 24; i++)
        used += (size_t)snprintf(text + used, TEXT_SIZE - used, "%s%" PRIu64, i ? "." : "", numbers[i]);
}

static int draw_layer(struct drawing *drawing, size_t number, struct ken_error *error)
{
    const struct ken_layer *layer = &drawing->layers->layers[number];
    const unsigned x = GAP + (unsigned)(number % drawing->columns) * (drawing->width + GAP);
    const unsigned y = HEAD + GAP + (unsigned)(number / drawing->columns) * (drawing->height + SAID + GAP);
    char numbers[TEXT_SIZE], text[2 * TEXT_SIZE];
    write_numbers(numbers, layer->tensor);
    snprintf(text, sizeof text, "%s%skept %.1f%%", numbers, *numbers ? "  " : "", 100 * layer->kept_fraction);
    ken_canvas_text(&drawing->canvas, x, y, drawing->width, text);
    snprintf(text, sizeof text, "relative L2 %.3g", layer->relative_l2);
    ken_canvas_text(&drawing->canvas, x, y + KEN_LETTER_HEIGHT, drawing->width, text);
    return draw_matrix(drawing, layer->tensor, x, y + SAID, error);
}

/* The role; then the scale and what it is of. */
static void draw_head(struct drawing *drawing)
{
    const struct ken_layers *layers = drawing->layers;
    const unsigned y = GAP / 2 + KEN_LETTER_HEIGHT + 3;
    char text[2 * TEXT_SIZE];
    ken_canvas_text(&drawing->canvas, GAP, GAP / 2, drawing->canvas.width - GAP, layers->role);
    for (unsigned i = 0; i < BAR; i++)
        ken_canvas_block(&drawing->canvas, GAP + i, y, 1, KEN_LETTER_HEIGHT - 1,
                         (unsigned char)(1 + i * (KEN_CANVAS_LAST - 1) / (BAR - 1)));
    snprintf(text, sizeof text, "%.3g to %.3g: %s", ken_view_low(layers->view, drawing->end), drawing->end, ken_view_name(layers->view));
    ken_canvas_text(&drawing->canvas, GAP + BAR + GAP, y, drawing->canvas.width - 2 * GAP - BAR, text);
}

/* ---- */

int ken_layers_draw(struct ken_picture *picture, const struct ken_layers *layers, int cells, uint64_t cells_bytes, int delta,
                    uint64_t delta_bytes, struct ken_error *error)
{
    struct drawing drawing = {.layers = layers, .delta = delta};
    unsigned char palette[KEN_PALETTE][3];
    *picture = (struct ken_picture){0};
    int code = ken_cells_open(&drawing.cells, cells, cells_bytes, delta_bytes, error);
    if (!code) code = settle(&drawing, error);
    if (code) return code;
    picture->end = drawing.end = ken_heatmap_end(layers->view, layers->end, &drawing.cells);
    picture->width = drawing.canvas.width;
    picture->height = drawing.canvas.height;
    draw_head(&drawing);
    for (size_t i = 0; !code && i < layers->count; i++) {
        const struct ken_interrupt *interrupt = &layers->interrupt;
        if (interrupt->cancelled && interrupt->cancelled(interrupt->opaque)) code = ken_fail(error, KEN_ECANCELLED, "cancelled");
        if (!code) code = draw_layer(&drawing, i, error);
    }
    ken_view_palette(layers->view, palette);
    if (!code) code = ken_canvas_write(&drawing.canvas, palette, &picture->png, &picture->length, error);
    ken_canvas_free(&drawing.canvas);
    return code;
}

size_t ken_layers_most_bytes(const struct ken_layers *layers)
{
    const size_t highest = (size_t)(layers->width ? layers->width : WIDTH) * KEN_PICTURE_MOST;
    return ken_canvas_most_bytes(highest < KEN_PICTURE_PIXELS ? highest : KEN_PICTURE_PIXELS);
}
