/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/agreement_picture.h"

#include "delta/packed.h"
#include "heatmap/kept.h"
#include "heatmap/legend.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- colours */

enum { PARTS = KEN_AGREEMENT_PARTS, KINDS = 4 };

/* Both, only here, only there, neither: told apart by those who see no red or no green, and each lighter than the one before. */
static const unsigned char colours[KINDS][3] = {{20, 20, 20}, {0, 114, 178}, {240, 170, 40}, {240, 240, 240}};

/* Mixtures are numbered by their parts: those with no `both` first, of these those with no `only here` ... */
static unsigned number_of(const unsigned parts[KINDS])
{
    unsigned number = 0;
    for (unsigned both = 0; both < parts[0]; both++) number += (PARTS - both + 1) * (PARTS - both + 2) / 2;
    for (unsigned here = 0; here < parts[1]; here++) number += PARTS - parts[0] - here + 1;
    return number + parts[2];
}

void ken_agreement_palette(unsigned char palette[KEN_PALETTE][3])
{
    memset(palette, 255, KEN_PALETTE * sizeof *palette);
    for (unsigned both = 0; both <= PARTS; both++)
        for (unsigned here = 0; here <= PARTS - both; here++)
            for (unsigned there = 0; there <= PARTS - both - here; there++) {
                const unsigned parts[KINDS] = {both, here, there, PARTS - both - here - there};
                unsigned char *mixed = palette[1 + number_of(parts)];
                for (size_t c = 0; c < 3; c++) {
                    unsigned sum = PARTS / 2;
                    for (size_t i = 0; i < KINDS; i++) sum += parts[i] * colours[i][c];
                    mixed[c] = (unsigned char)(sum / PARTS);
                }
            }
}

/* Shares are rounded down to parts; those left over go to what lost most by that, the first of equals. */
unsigned char ken_agreement_colour(const struct ken_agreement *agreement)
{
    uint64_t rest[KINDS] = {agreement->both, agreement->only_here, agreement->only_there, agreement->neither};
    const uint64_t all = rest[0] + rest[1] + rest[2] + rest[3];
    unsigned parts[KINDS], left = PARTS;
    if (!all) return 0;
    for (size_t i = 0; i < KINDS; i++) {
        parts[i] = (unsigned)(rest[i] * PARTS / all);
        rest[i] = rest[i] * PARTS % all;
        left -= parts[i];
    }
    for (; left; left--) {
        size_t most = 0;
        for (size_t i = 1; i < KINDS; i++)
            if (rest[i] > rest[most]) most = i;
        parts[most]++;
        rest[most] = 0;
    }
    return (unsigned char)(1 + number_of(parts));
}

/* ---- lines */

/* What is looked at for a picture, at most: elements of each side, those that are decoded for it (gaps, blocks), pixels that they are added
 * to; and how long a row may be. */
enum { MOST_ELEMENTS = 16 << 20, MOST_GAPS = 64 << 20, MOST_PACKED = 48 << 20, MOST_PIXELS = 1 << 20, LONGEST_ROW = 64 << 20 };

struct side {
    struct ken_cells cells;
    struct ken_cells_found tensor;
    struct ken_kept *kept;
    unsigned char *bits; /* of a row's columns that are in the region */
};

struct drawing {
    struct side sides[2]; /* here and there */
    struct ken_region region;
    uint64_t most;   /* rows of a line */
    unsigned shared; /* lines that have the same rows */
    bool by_bands;   /* a line's rows are those that its band begins with: gaps lead from there on */
    size_t bytes;    /* of bits */
    unsigned line;
    struct ken_span last;         /* rows that are added up in pixels; end is 0: none */
    struct ken_agreement *pixels; /* [region.width] */
};

static int add_row(struct drawing *drawing, uint64_t row, struct ken_error *error)
{
    const struct ken_region *region = &drawing->region;
    int code = KEN_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        struct side *side = &drawing->sides[i];
        memset(side->bits, 0, drawing->bytes);
        code = ken_kept_jump(side->kept, row * side->tensor.shape.n + region->x, error);
        if (!code) code = ken_kept_take(side->kept, region->w, side->bits, NULL, error);
    }
    for (unsigned i = 0; !code && i < region->width; i++) {
        const struct ken_span columns = ken_span_of(0, region->w, region->width, i);
        ken_agreement_add_bits(&drawing->pixels[i], drawing->sides[0].bits, drawing->sides[1].bits, columns.first, columns.end);
    }
    return code;
}

/* Of a line's rows, those that are looked at. */
static struct ken_span rows_of(const struct drawing *drawing)
{
    const struct ken_region *region = &drawing->region;
    struct ken_span rows = ken_span_of(region->y, region->h, region->height, drawing->line / drawing->shared * drawing->shared);
    const uint64_t behind = rows.first % drawing->sides[0].tensor.shape.height;
    if (drawing->by_bands && rows.first >= region->y + behind) rows.first -= behind;
    if (rows.end - rows.first > drawing->most) rows.end = rows.first + drawing->most;
    return rows;
}

static int draw_line(void *opaque, unsigned char *line, struct ken_error *error)
{
    struct drawing *drawing = opaque;
    const unsigned width = drawing->region.width;
    const struct ken_span rows = rows_of(drawing);
    const bool again = rows.first == drawing->last.first && rows.end == drawing->last.end;
    int code = KEN_OK;
    drawing->line++;
    drawing->last = rows;
    if (!again) memset(drawing->pixels, 0, width * sizeof *drawing->pixels);
    for (uint64_t row = rows.first; !code && !again && row < rows.end; row++) code = add_row(drawing, row, error);
    for (unsigned i = 0; !code && !again && i < width; i++) line[i] = ken_agreement_colour(&drawing->pixels[i]);
    return code;
}

/* ---- */

static int open_side(struct side *side, const struct ken_picture_side *files, const char *tensor, struct ken_error *error)
{
    int code = ken_cells_open(&side->cells, files->cells, files->cells_bytes, files->delta_bytes, error);
    if (!code) code = ken_cells_find(&side->cells, tensor, &side->tensor, error);
    return code ? code : ken_kept_create(&side->kept, &side->cells, &side->tensor, files->delta, error);
}

/* How many rows are looked at, so that what a side has decoded for them stays within bounds. */
static uint64_t rows_decoded(const struct side *side, const struct ken_region *region, bool *by_bands)
{
    const struct ken_cells_tensor *told = &side->tensor.on_disk;
    const struct ken_cells_shape *shape = &side->tensor.shape;
    const uint64_t most = told->packed ? MOST_PACKED : MOST_GAPS;
    const bool coded = told->form != KEN_FORM_SAME && (told->packed || told->form == KEN_FORM_GAPS);
    if (!coded || region->h <= most / shape->n) return UINT64_MAX; /* even if all of them are */
    if (told->packed) return most / (region->w + ken_packed_elements(side->tensor.size));
    const uint64_t bands = region->h / shape->height, rows = most / shape->n;
    *by_bands = true;
    return rows < bands ? rows : bands;
}

static int prepare(struct drawing *drawing, const struct ken_heatmap *heatmap, struct ken_error *error)
{
    const struct ken_cells_shape *here = &drawing->sides[0].tensor.shape, *there = &drawing->sides[1].tensor.shape;
    if (here->rows != there->rows || here->n != there->n)
        return ken_fail(error, KEN_EINVALID,
                        "\"with\" has another shape of that tensor: %" PRIu64 " x %" PRIu64 ", not %" PRIu64 " x %" PRIu64, there->rows,
                        there->n, here->rows, here->n);
    if (here->n > LONGEST_ROW)
        return ken_fail(error, KEN_EINVALID,
                        "\"view\" " KEN_AGREEMENT_VIEW " has rows of at most %d values: the matrix has %" PRIu64 " columns", LONGEST_ROW,
                        here->n);
    int code = ken_heatmap_settle(&drawing->region, heatmap, here, error);
    if (code) return code;
    const struct ken_region *region = &drawing->region;
    uint64_t rows = MOST_ELEMENTS / region->w;
    if (rows > MOST_PIXELS / region->width) rows = MOST_PIXELS / region->width;
    for (size_t i = 0; i < 2; i++) {
        const uint64_t decoded = rows_decoded(&drawing->sides[i], region, &drawing->by_bands);
        if (rows > decoded) rows = decoded;
    }
    if (!rows) rows = 1;
    drawing->most = rows > region->height ? rows / region->height : 1;
    drawing->shared = (unsigned)((region->height + rows - 1) / rows);
    drawing->bytes = (size_t)(region->w / 8 + 1 + KEN_BITS_SLACK);
    drawing->pixels = calloc(region->width, sizeof *drawing->pixels);
    bool there_is = drawing->pixels != NULL;
    for (size_t i = 0; i < 2; i++) there_is = (drawing->sides[i].bits = malloc(drawing->bytes)) && there_is;
    return there_is ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
}

static int write_picture(struct ken_picture *picture, struct drawing *drawing, bool with_legend, struct ken_error *error)
{
    static const struct ken_agreement ones[KINDS] = {{.both = 1}, {.only_here = 1}, {.only_there = 1}, {.neither = 1}};
    static const char *const texts[KINDS] = {"both", "only here", "only there", "neither"};
    struct ken_legend_mark marks[KINDS];
    const struct ken_legend legend = {.title = "kept by both, by one or by none of two", .marks = marks, .mark_count = KINDS};
    const struct ken_region *region = &drawing->region;
    unsigned char palette[KEN_PALETTE][3];
    ken_agreement_palette(palette);
    for (size_t i = 0; i < KINDS; i++) marks[i] = (struct ken_legend_mark){ken_agreement_colour(&ones[i]), texts[i]};
    picture->width = region->width;
    picture->height = region->height;
    if (with_legend)
        return ken_legend_write(&picture->png, &picture->length, &picture->width, &picture->height, region, &legend, palette, draw_line,
                                drawing, error);
    return ken_png_write(&picture->png, &picture->length, region->width, region->height, (const unsigned char(*)[3])palette, draw_line,
                         drawing, error);
}

int ken_agreement_draw(struct ken_picture *picture, const struct ken_heatmap *heatmap, const struct ken_picture_side *here,
                       const struct ken_picture_side *there, struct ken_error *error)
{
    struct drawing drawing = {0};
    *picture = (struct ken_picture){.end = 1};
    int code = open_side(&drawing.sides[0], here, heatmap->tensor, error);
    if (!code) code = open_side(&drawing.sides[1], there, heatmap->tensor, error);
    if (!code) code = prepare(&drawing, heatmap, error);
    if (!code) code = write_picture(picture, &drawing, heatmap->legend, error);
    picture->rows = drawing.sides[0].tensor.shape.rows;
    picture->n = drawing.sides[0].tensor.shape.n;
    for (size_t i = 0; i < 2; i++) {
        ken_kept_free(&drawing.sides[i].kept);
        free(drawing.sides[i].bits);
    }
    free(drawing.pixels);
    return code;
}
