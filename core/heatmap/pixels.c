/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/pixels.h"

#include "bits.h"
#include "folder.h"
#include "heatmap/kept.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Elements are looked at where so many lie in the region and in its whole rows; else a picture would take too long. */
enum { MOST_ELEMENTS = 4 << 20, MOST_IN_ROWS = 64 << 20, MOST_IN_PACKED_ROWS = 16 << 20 };
enum { WINDOW = 1 << 18, VALUES = 4096 };

/* The three rows that the neighbours of one lie in: bits of columns `first` to `end`. */
struct rows {
    struct ken_span columns;
    unsigned char *bits[3]; /* above, the row, below: zeros where there is none */
    size_t bytes;           /* of each */
    uint64_t next;          /* the row that is read next */
    uint64_t ones[3];       /* stored in the tensor before the first column of each */
};

struct ken_pixels {
    const struct ken_cells *cells;
    const struct ken_cells_found *tensor;
    int delta;
    struct ken_region region;
    bool values;
    unsigned line;
    struct ken_span last;     /* source of the line before; end is 0: there was none */
    struct ken_pixel *pixels; /* [width] */
    struct ken_span *columns; /* [width] of each pixel */
    unsigned char *window;    /* [window_bytes] some bands */
    uint64_t window_bytes, window_first, window_count;
    struct ken_kept *kept; /* NULL: cells alone */
    struct rows rows;
    uint64_t value_first, value_count; /* numbers of the values in `value_bytes` */
    unsigned char value_bytes[VALUES * 8];
};

struct ken_span ken_span_of(uint64_t begin, uint64_t length, unsigned pixels, unsigned i)
{
    const struct ken_span span = {begin + (uint64_t)((unsigned __int128)length * i / pixels),
                                  begin + (uint64_t)((unsigned __int128)length * (i + 1) / pixels)};
    return span.end > span.first ? span : (struct ken_span){span.first, span.first + 1};
}

/* ---- making one */

/* Whether single elements can be seen, and are few enough. */
static bool sees_elements(const struct ken_cells_found *tensor, const struct ken_region *region)
{
    const struct ken_cells_shape *shape = &tensor->shape;
    const uint64_t most = tensor->on_disk.packed ? MOST_IN_PACKED_ROWS : MOST_IN_ROWS;
    if (region->w / region->width >= shape->width && region->h / region->height >= shape->height) return false;
    return region->w <= MOST_ELEMENTS / region->h && shape->n <= most / (region->h + shape->height);
}

static int make_rows(struct ken_pixels *pixels, struct ken_error *error)
{
    struct rows *rows = &pixels->rows;
    const struct ken_region *region = &pixels->region;
    rows->columns.first = region->x ? region->x - 1 : 0;
    rows->columns.end = region->x + region->w < pixels->tensor->shape.n ? region->x + region->w + 1 : region->x + region->w;
    rows->bytes = (size_t)(rows->columns.end - rows->columns.first) / 8 + 1 + KEN_BITS_SLACK;
    for (size_t i = 0; i < 3; i++)
        if (!(rows->bits[i] = calloc(1, rows->bytes))) return ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    int code = ken_kept_create(&pixels->kept, pixels->cells, pixels->tensor, pixels->delta, error);
    rows->next = region->y ? region->y - 1 : 0;
    return code ? code : ken_kept_seek(pixels->kept, rows->next, error);
}

int ken_pixels_create(struct ken_pixels **pixels, const struct ken_cells *cells, const struct ken_cells_found *tensor, int delta,
                      const struct ken_region *region, bool elements, bool values, struct ken_error *error)
{
    struct ken_pixels *made = calloc(1, sizeof *made);
    *pixels = made;
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    made->cells = cells;
    made->tensor = tensor;
    made->delta = delta;
    made->region = *region;
    made->values = values;
    made->window_bytes = tensor->shape.band_bytes > WINDOW ? tensor->shape.band_bytes : WINDOW;
    made->pixels = calloc(region->width, sizeof *made->pixels);
    made->columns = calloc(region->width, sizeof *made->columns);
    made->window = malloc(made->window_bytes);
    bool there = made->pixels && made->columns && made->window;
    int code = there ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    for (unsigned i = 0; there && i < region->width; i++) made->columns[i] = ken_span_of(region->x, region->w, region->width, i);
    if (!code && elements && sees_elements(tensor, region)) code = make_rows(made, error);
    if (code) ken_pixels_free(pixels);
    return code;
}

void ken_pixels_free(struct ken_pixels **pixels)
{
    if (!*pixels) return;
    ken_kept_free(&(*pixels)->kept);
    for (size_t i = 0; i < 3; i++) free((*pixels)->rows.bits[i]);
    free((*pixels)->window);
    free((*pixels)->columns);
    free((*pixels)->pixels);
    free(*pixels);
    *pixels = NULL;
}

/* ---- from cells */

/* The cells of a band, until the next call. */
static int band_at(struct ken_pixels *pixels, uint64_t band, const unsigned char **cells, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &pixels->tensor->shape;
    if (band < pixels->window_first || band >= pixels->window_first + pixels->window_count) {
        const uint64_t most = pixels->window_bytes / shape->band_bytes, left = shape->bands - band;
        pixels->window_first = band;
        pixels->window_count = left < most ? left : most;
        int code = ken_cells_read(pixels->cells, pixels->tensor->on_disk.bands + band * shape->band_bytes, pixels->window,
                                  pixels->window_count * shape->band_bytes, error);
        if (code) return code;
    }
    *cells = pixels->window + (band - pixels->window_first) * shape->band_bytes + sizeof(struct ken_cells_band);
    return KEN_OK;
}

static struct ken_cells_record cell_at(const unsigned char *cells, uint64_t column)
{
    struct ken_cells_record record;
    memcpy(&record, cells + column * sizeof record, sizeof record);
    return record;
}

/* All cells that a line's rows and columns touch, whole. */
static int line_of_cells(struct ken_pixels *pixels, struct ken_span rows, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &pixels->tensor->shape;
    for (uint64_t band = rows.first / shape->height; band * shape->height < rows.end; band++) {
        const uint64_t below = shape->rows - band * shape->height, height = below < shape->height ? below : shape->height;
        const unsigned char *cells;
        int code = band_at(pixels, band, &cells, error);
        if (code) return code;
        for (unsigned i = 0; i < pixels->region.width; i++) {
            struct ken_pixel *pixel = &pixels->pixels[i];
            for (uint64_t c = pixels->columns[i].first / shape->width; c * shape->width < pixels->columns[i].end; c++) {
                const struct ken_cells_record cell = cell_at(cells, c);
                const uint64_t right = shape->n - c * shape->width;
                pixel->elements += height * (right < shape->width ? right : shape->width);
                pixel->stored += cell.stored;
                pixel->neighbours += 2 * (uint64_t)cell.pairs;
                pixel->difference += cell.difference;
                pixel->value += cell.value;
                pixel->size += cell.size;
            }
        }
    }
    return KEN_OK;
}

/* ---- from elements */

/* Moves on until `row` is the one in the middle. */
static int rows_go_to(struct ken_pixels *pixels, uint64_t row, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &pixels->tensor->shape;
    struct rows *rows = &pixels->rows;
    const uint64_t columns = rows->columns.end - rows->columns.first;
    while (rows->next <= row + 1) {
        unsigned char *above = rows->bits[0];
        rows->bits[0] = rows->bits[1];
        rows->bits[1] = rows->bits[2];
        rows->bits[2] = memset(above, 0, rows->bytes);
        rows->ones[1] = rows->ones[2];
        if (rows->next++ >= shape->rows) continue;
        int code = ken_kept_take(pixels->kept, rows->columns.first, NULL, NULL, error);
        if (!code) code = ken_kept_take(pixels->kept, columns, rows->bits[2], &rows->ones[2], error);
        if (!code) code = ken_kept_take(pixels->kept, shape->n - rows->columns.end, NULL, NULL, error);
        if (code) return code;
    }
    return KEN_OK;
}

/* A stored value by its number. */
static int value_at(struct ken_pixels *pixels, uint64_t number, double *value, struct ken_error *error)
{
    const struct ken_cells_tensor *told = &pixels->tensor->on_disk;
    const size_t size = pixels->tensor->size;
    if (number < pixels->value_first || number >= pixels->value_first + pixels->value_count) {
        const uint64_t all = told->values_length / size;
        if (number >= all) return ken_fail(error, KEN_EBAD_DELTA, "the delta: more is marked than is stored");
        pixels->value_first = number;
        pixels->value_count = all - number < VALUES ? all - number : VALUES;
        int code =
            ken_file_read(pixels->delta, told->values + number * size, pixels->value_bytes, pixels->value_count * size, "the delta", error);
        if (code) return code;
    }
    *value = ken_load(pixels->tensor->dtype, pixels->value_bytes, (size_t)(number - pixels->value_first));
    return KEN_OK;
}

/* The value of an element that is stored: in encoding packed, which tells it by the base alone, the mean of its cell's. */
static int value_of(struct ken_pixels *pixels, uint64_t row, uint64_t column, uint64_t number, double *value, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &pixels->tensor->shape;
    const struct ken_cells_tensor *told = &pixels->tensor->on_disk;
    const unsigned char *cells;
    if (!told->packed) return value_at(pixels, told->form == KEN_FORM_WHOLE ? row * shape->n + column : number, value, error);
    int code = band_at(pixels, row / shape->height, &cells, error);
    if (code) return code;
    const struct ken_cells_record cell = cell_at(cells, column / shape->width);
    *value = cell.stored ? cell.value / (double)cell.stored : 0;
    return KEN_OK;
}

/* Adds the row in the middle. */
static int add_row(struct ken_pixels *pixels, uint64_t row, struct ken_error *error)
{
    const struct rows *rows = &pixels->rows;
    const uint64_t first = rows->columns.first, end = rows->columns.end;
    uint64_t number = rows->ones[1] + (pixels->region.x > first && ken_bits_has(rows->bits[1], 0)), column = pixels->region.x;
    for (unsigned i = 0; i < pixels->region.width; i++) {
        struct ken_pixel *pixel = &pixels->pixels[i];
        const bool again = pixels->columns[i].first < column; /* the same element as before, enlarged */
        if (again && ken_bits_has(rows->bits[1], column - 1 - first)) number--;
        for (column = pixels->columns[i].first; column < pixels->columns[i].end; column++) {
            const uint64_t at = column - first;
            pixel->elements++;
            if (!ken_bits_has(rows->bits[1], at)) continue;
            pixel->stored++;
            pixel->neighbours +=
                (uint64_t)(at && ken_bits_has(rows->bits[1], at - 1)) + (column + 1 < end && ken_bits_has(rows->bits[1], at + 1));
            pixel->neighbours += (uint64_t)ken_bits_has(rows->bits[0], at) + ken_bits_has(rows->bits[2], at);
            double value = 0;
            int code = pixels->values ? value_of(pixels, row, column, number, &value, error) : KEN_OK;
            if (code) return code;
            number++;
            pixel->not_finite += (uint64_t)!isfinite(value);
            if (!isfinite(value)) continue;
            pixel->value += value;
            pixel->size += value < 0 ? -value : value;
        }
    }
    return KEN_OK;
}

static int line_of_elements(struct ken_pixels *pixels, struct ken_span rows, struct ken_error *error)
{
    int code = KEN_OK;
    for (uint64_t row = rows.first; !code && row < rows.end; row++) {
        code = rows_go_to(pixels, row, error);
        if (!code) code = add_row(pixels, row, error);
    }
    return code;
}

/* ---- */

/* What decides what a line is: its rows, or the bands that they lie in. */
static struct ken_span source_of(const struct ken_pixels *pixels, struct ken_span rows)
{
    const uint64_t height = pixels->tensor->shape.height;
    return pixels->kept ? rows : (struct ken_span){rows.first / height, (rows.end - 1) / height + 1};
}

int ken_pixels_next(struct ken_pixels *pixels, const struct ken_pixel **line, bool *again, struct ken_error *error)
{
    const struct ken_region *region = &pixels->region;
    const struct ken_span rows = ken_span_of(region->y, region->h, region->height, pixels->line++), source = source_of(pixels, rows);
    *line = pixels->pixels;
    *again = source.first == pixels->last.first && source.end == pixels->last.end;
    if (*again) return KEN_OK;
    pixels->last = source;
    memset(pixels->pixels, 0, region->width * sizeof *pixels->pixels);
    return pixels->kept ? line_of_elements(pixels, rows, error) : line_of_cells(pixels, rows, error);
}
