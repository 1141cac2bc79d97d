/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/heatmap.h"

#include "heatmap/canvas.h"
#include "heatmap/legend.h"
#include "heatmap/png_writer.h"

#include <inttypes.h>

enum { LONGER_SIDE = 1024 };

/* ---- what is drawn */

int ken_region_check(uint64_t first, uint64_t *length, uint64_t all, const char *first_name, const char *length_name, const char *what,
                     struct ken_error *error)
{
    if (first >= all)
        return ken_fail(error, KEN_EINVALID, "\"%s\" must be from 0 to %" PRIu64 ": the matrix has %" PRIu64 " %s", first_name, all - 1,
                        all, what);
    if (!*length) *length = all - first;
    if (*length > all - first)
        return ken_fail(error, KEN_EINVALID, "\"%s\" must be from 1 to %" PRIu64 ": the matrix has %" PRIu64 " %s", length_name,
                        all - first, all, what);
    return KEN_OK;
}

static unsigned within(uint64_t pixels)
{
    return (unsigned)(pixels < KEN_PICTURE_LEAST ? KEN_PICTURE_LEAST : pixels > KEN_PICTURE_MOST ? KEN_PICTURE_MOST : pixels);
}

/* Pixels of the other side where this one has so many, with square ones. */
static uint64_t other_side(uint64_t pixels, uint64_t length, uint64_t other)
{
    return (uint64_t)(((unsigned __int128)other * pixels + length / 2) / length);
}

static int settle_size(struct ken_region *region, unsigned width, struct ken_error *error)
{
    const bool wide = region->w >= region->h;
    const uint64_t longer = wide ? region->w : region->h, side = longer < LONGER_SIDE ? longer : LONGER_SIDE;
    if (width && (width < KEN_PICTURE_LEAST || width > KEN_PICTURE_MOST))
        return ken_fail(error, KEN_EINVALID, "\"width\" must be from %d to %d", KEN_PICTURE_LEAST, KEN_PICTURE_MOST);
    region->width = width ? width : within(wide ? side : other_side(side, region->h, region->w));
    region->height = within(width || wide ? other_side(region->width, region->w, region->h) : side);
    if (region->height <= KEN_PICTURE_PIXELS / region->width) return KEN_OK;
    return ken_fail(error, KEN_EINVALID, "\"width\" is too large: a picture of %u x %u has more than %d pixels", region->width,
                    region->height, KEN_PICTURE_PIXELS);
}

int ken_heatmap_settle(struct ken_region *region, const struct ken_heatmap *heatmap, const struct ken_cells_shape *shape,
                       struct ken_error *error)
{
    *region = (struct ken_region){.x = heatmap->x, .y = heatmap->y, .w = heatmap->w, .h = heatmap->h};
    int code = ken_region_check(region->x, &region->w, shape->n, "x", "w", "columns", error);
    if (!code) code = ken_region_check(region->y, &region->h, shape->rows, "y", "h", "rows", error);
    return code ? code : settle_size(region, heatmap->width, error);
}

double ken_heatmap_end(enum ken_view view, double end, const struct ken_cells *cells)
{
    if (end > 0) return end;
    return ken_view_end(view,
                        cells->head.largest[ken_view_scale(view) == KEN_SCALE_DIFFERENCES ? KEN_CELLS_DIFFERENCES : KEN_CELLS_VALUES]);
}

/* ---- drawing */

struct drawing {
    struct ken_pixels *pixels;
    unsigned width;
    enum ken_view view;
    double end;
};

static int draw_line(void *opaque, unsigned char *line, struct ken_error *error)
{
    struct drawing *drawing = opaque;
    const struct ken_pixel *pixels;
    bool again;
    int code = ken_pixels_next(drawing->pixels, &pixels, &again, error);
    for (unsigned i = 0; !code && !again && i < drawing->width; i++) line[i] = ken_view_colour(drawing->view, &pixels[i], drawing->end);
    return code;
}

size_t ken_heatmap_most_bytes(const struct ken_heatmap *heatmap)
{
    const size_t highest = (size_t)heatmap->width * KEN_PICTURE_MOST, square = LONGER_SIDE * LONGER_SIDE;
    const size_t pixels = !heatmap->width ? square : highest < KEN_PICTURE_PIXELS ? highest : KEN_PICTURE_PIXELS;
    if (!heatmap->legend) return ken_png_most_bytes(pixels);
    const size_t width = heatmap->width ? heatmap->width : LONGER_SIDE;
    return ken_canvas_most_bytes(pixels + (width + KEN_LEGEND_BESIDE) * KEN_LEGEND_ABOVE + (size_t)KEN_LEGEND_BESIDE * KEN_PICTURE_MOST);
}

static int write_with_legend(struct ken_picture *picture, const struct ken_region *region, struct drawing *drawing,
                             unsigned char palette[KEN_PALETTE][3], struct ken_error *error)
{
    const struct ken_legend legend = {
        .title = ken_view_meaning(drawing->view), .low = ken_view_low(drawing->view, drawing->end), .high = drawing->end};
    return ken_legend_write(&picture->png, &picture->length, &picture->width, &picture->height, region, &legend, palette, draw_line,
                            drawing, error);
}

int ken_heatmap_draw(struct ken_picture *picture, const struct ken_heatmap *heatmap, int cells, uint64_t cells_bytes, int delta,
                     uint64_t delta_bytes, struct ken_error *error)
{
    struct ken_cells opened;
    struct ken_cells_found tensor;
    struct ken_region region;
    unsigned char palette[KEN_PALETTE][3];
    *picture = (struct ken_picture){0};
    int code = ken_cells_open(&opened, cells, cells_bytes, delta_bytes, error);
    if (!code) code = ken_cells_find(&opened, heatmap->tensor, &tensor, error);
    if (!code) code = ken_heatmap_settle(&region, heatmap, &tensor.shape, error);
    if (code) return code;
    struct drawing drawing = {.width = region.width, .view = heatmap->view, .end = ken_heatmap_end(heatmap->view, heatmap->end, &opened)};
    code = ken_pixels_create(&drawing.pixels, &opened, &tensor, delta, &region, ken_view_has_elements(heatmap->view),
                             heatmap->view == KEN_VIEW_MASK, error);
    if (code) return code;
    picture->width = region.width;
    picture->height = region.height;
    ken_view_palette(heatmap->view, palette);
    if (heatmap->legend)
        code = write_with_legend(picture, &region, &drawing, palette, error);
    else
        code = ken_png_write(&picture->png, &picture->length, region.width, region.height, (const unsigned char(*)[3])palette, draw_line,
                             &drawing, error);
    ken_pixels_free(&drawing.pixels);
    picture->end = drawing.end;
    picture->rows = tensor.shape.rows;
    picture->n = tensor.shape.n;
    return code;
}
