/* SPDX-License-Identifier: Apache-2.0 */
/* Cells and pictures, where they can fail: damaged files, no memory, matrices of any shape. What is seen is tested in
 * tests/e2e/test_heatmap.py. */
#include "failing_alloc.h"
#include "heatmap/agreement_picture.h"
#include "heatmap/cells.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <math.h>
#include <string.h>

/* ---- shapes */

START_TEST(cells_are_of_bounded_number_and_size)
{
    static const struct {
        uint64_t n, width, height;
    } cases[] = {{1, 32, 32}, {65536, 32, 32}, {65537, 64, 16}, {1 << 21, 1024, 1}, {(1 << 21) + 1, 2048, 1}, {1U << 31, 32768, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ken_cells_shape shape;
        ken_cells_measure(&shape, 1000, cases[i].n);
        ck_assert_uint_eq(shape.width, cases[i].width);
        ck_assert_uint_eq(shape.height, cases[i].height);
        ck_assert_uint_eq(shape.columns, (cases[i].n + shape.width - 1) / shape.width);
        ck_assert_uint_eq(shape.bands, (1000 + shape.height - 1) / shape.height);
        ck_assert_uint_le(shape.width * shape.height, 1 << 15);
    }
}
END_TEST

START_TEST(views_have_colours_from_one_end_to_the_other)
{
    unsigned char palette[KEN_PALETTE][3];
    struct ken_pixel none = {.elements = 4}, all = {.elements = 4, .stored = 4, .neighbours = 16, .difference = 40, .value = 4, .size = 4};
    for (unsigned v = 0; v < KEN_VIEW_COUNT; v++) {
        enum ken_view view = (enum ken_view)v;
        ck_assert_int_eq(ken_view_parse(ken_view_name(view)), view);
        ken_view_palette(view, palette);
        ck_assert_int_eq(memcmp(palette[1], palette[255], 3) == 0, false);
        ck_assert_uint_eq(ken_view_colour(view, &all, 1e-3), 255);
        ck_assert_uint_eq(ken_view_colour(view, &none, 1), view == KEN_VIEW_DENSITY || view == KEN_VIEW_DELTA);
        ck_assert_uint_eq(ken_view_colour(view, &none, 0), view == KEN_VIEW_DENSITY || view == KEN_VIEW_DELTA);
    }
    all.value = -4;
    ck_assert_uint_eq(ken_view_colour(KEN_VIEW_MASK, &all, 1), 1);
    all.value = 0;
    ck_assert_uint_eq(ken_view_colour(KEN_VIEW_MASK, &all, 1), 128);
    all.value = NAN;
    ck_assert_uint_eq(ken_view_colour(KEN_VIEW_MASK, &all, 1), 0);
    all.value = -3;
    all.not_finite = 1;
    ck_assert_uint_eq(ken_view_colour(KEN_VIEW_MASK, &all, 1), 1);
    all.value = 0;
    all.not_finite = all.stored;
    ck_assert_uint_eq(ken_view_colour(KEN_VIEW_MASK, &all, 1), 128);
    ck_assert_int_eq(ken_view_parse("row"), KEN_VIEW_COUNT);
}
END_TEST

/* CIE lightness of a colour, 0 to 100: what is left of it to those who see no colours. */
static double lightness(const unsigned char colour[3])
{
    static const double weights[3] = {0.2126, 0.7152, 0.0722};
    double luminance = 0;
    for (size_t i = 0; i < 3; i++) {
        const double value = colour[i] / 255.0;
        luminance += weights[i] * (value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4));
    }
    return luminance > 216.0 / 24389 ? 116 * cbrt(luminance) - 16 : luminance * 24389 / 27;
}

START_TEST(lightness_tells_where_on_a_scale_a_colour_is)
{
    enum { APART = 2 };
    unsigned char palette[KEN_PALETTE][3];
    for (unsigned v = 0; v < KEN_VIEW_COUNT; v++) {
        const unsigned middle = v == KEN_VIEW_MASK ? 128 : 255; /* from there on it falls again */
        ken_view_palette((enum ken_view)v, palette);
        /* Of neighbours, some differ by less than what their numbers are rounded by. */
        for (unsigned i = 1; i + APART < 256; i++) {
            const double here = lightness(palette[i]), there = lightness(palette[i + APART]);
            if (i + APART <= middle) ck_assert_msg(here < there, "view %u, colour %u", v, i);
            if (i >= middle) ck_assert_msg(here > there, "view %u, colour %u", v, i);
        }
        ck_assert(lightness(palette[middle]) - lightness(palette[1]) > 70);
    }
    /* Halves of a scale with two are told apart by more than what red and green differ in: one is blue, the other none. */
    ken_view_palette(KEN_VIEW_MASK, palette);
    for (unsigned i = 1; i < 100; i++) ck_assert(palette[i][2] > palette[i][0] && palette[256 - i][2] < palette[256 - i][0]);
    /* The four of a comparison, from what both keep to what none does. */
    ken_agreement_palette(palette);
    const struct ken_agreement kinds[] = {{.both = 1}, {.only_here = 1}, {.only_there = 1}, {.neither = 1}};
    for (size_t i = 0; i < 3; i++)
        ck_assert(lightness(palette[ken_agreement_colour(&kinds[i + 1])]) - lightness(palette[ken_agreement_colour(&kinds[i])]) > 15);
}
END_TEST

/* ---- pictures of a made pair */

static struct unit_folder folder;
static struct made_pair made;
static char work[PATH_MAX];

static void prune(struct ken_options *options)
{
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work};
    ck_assert_msg(!prune_pair(&pair, options), "%s", pair.error.message);
    prune_pair_free(&pair);
}

static void setup(void)
{
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
}

static void teardown(void)
{
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

/* What a picture is made from. */
struct drawing {
    int cells, delta;
    uint64_t cells_bytes, delta_bytes;
    struct ken_heatmap heatmap;
    struct ken_picture picture;
};

static struct drawing open_drawing(void)
{
    struct drawing drawing = {.heatmap = {.tensor = "w.bf16"}};
    drawing.cells = unit_open(&folder, "work/out/.kend/tensors.cells", &drawing.cells_bytes);
    drawing.delta = unit_open(&folder, "work/out/delta.safetensors", &drawing.delta_bytes);
    return drawing;
}

static void close_drawing(struct drawing *drawing)
{
    close(drawing->cells);
    close(drawing->delta);
}

static int draw(void *opaque, struct ken_error *error)
{
    struct drawing *drawing = opaque;
    int code = ken_heatmap_draw(&drawing->picture, &drawing->heatmap, drawing->cells, drawing->cells_bytes, drawing->delta,
                                drawing->delta_bytes, error);
    free(drawing->picture.png);
    drawing->picture.png = NULL;
    return code;
}

/* Enough variants of a damage to meet every check; none may end the process, and what is drawn all the same is a picture. */
static void damage(struct drawing *drawing, int file, uint64_t size, uint64_t *refused)
{
    static const unsigned char others[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    static const char *const tensors[] = {"w.f32", "w.bf16", "short", "bias"};
    struct ken_error error;
    for (uint64_t at = 0; at < size; at += 3) {
        unsigned char before;
        ck_assert_int_eq(pread(file, &before, 1, (off_t)at), 1);
        const unsigned char other = others[at / 3 % sizeof others] ^ (before == others[at / 3 % sizeof others]);
        ck_assert_int_eq(pwrite(file, &other, 1, (off_t)at), 1);
        drawing->heatmap.tensor = tensors[at / 3 % 4];
        drawing->heatmap.view = (enum ken_view)(at / 12 % KEN_VIEW_COUNT);
        *refused += draw(drawing, &error) != KEN_OK;
        ck_assert_int_eq(pwrite(file, &before, 1, (off_t)at), 1);
    }
}

START_TEST(damaged_files_are_refused_or_drawn)
{
    setup();
    for (unsigned packed = 0; packed < 2; packed++)
        for (unsigned k = 1; k < 40; k += 19) {
            struct ken_options options = pair_options(k, 0);
            uint64_t refused = 0;
            options.encoding = packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN;
            prune(&options);
            struct drawing drawing = open_drawing();
            ck_assert_int_eq(draw(&drawing, NULL), KEN_OK);
            damage(&drawing, drawing.cells, drawing.cells_bytes, &refused);
            ck_assert_uint_gt(refused, 20); /* most bytes of cells may be anything */
            damage(&drawing, drawing.delta, drawing.delta_bytes, &refused);
            for (uint64_t length = 0; length < drawing.cells_bytes; length += 7) {
                uint64_t whole = drawing.cells_bytes;
                drawing.cells_bytes = length;
                ck_assert_int_eq(draw(&drawing, NULL), KEN_EBAD_DELTA);
                drawing.cells_bytes = whole;
            }
            close_drawing(&drawing);
        }
    teardown();
}
END_TEST

START_TEST(what_cannot_be_drawn_is_told)
{
    struct ken_options options = pair_options(5, 0);
    struct ken_error error;
    setup();
    prune(&options);
    struct drawing drawing = open_drawing();
    drawing.delta_bytes++;
    ck_assert_int_eq(draw(&drawing, &error), KEN_EBAD_DELTA);
    drawing.delta_bytes--;
    drawing.heatmap.tensor = "ids";
    ck_assert_int_eq(draw(&drawing, &error), KEN_ENOT_FOUND);
    drawing.heatmap.tensor = "w.bf16";
    drawing.heatmap.w = UINT64_MAX;
    ck_assert_int_eq(draw(&drawing, &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, "\"w\" must be from 1 to 130: the matrix has 130 columns");
    drawing.heatmap.w = 0;
    drawing.heatmap.width = 5000;
    ck_assert_int_eq(draw(&drawing, &error), KEN_EINVALID);
    drawing.heatmap.width = 0;
    ck_assert_int_eq(draw(&drawing, &error), KEN_OK);
    ck_assert_uint_eq(drawing.picture.width, 130);
    ck_assert_uint_eq(drawing.picture.height, 16);
    ck_assert_uint_eq(drawing.picture.n, 130);
    close_drawing(&drawing);
    teardown();
}
END_TEST

START_TEST(without_a_delta_there_are_no_cells)
{
    struct ken_options options = pair_options(5, 0);
    char path[PATH_MAX];
    setup();
    options.outputs = KEN_OUTPUT_REPORT | KEN_OUTPUT_MODEL;
    prune(&options);
    ck_assert_int_ne(access(unit_path(path, &folder, "work/out/.kend/tensors.cells"), F_OK), 0);
    teardown();
}
END_TEST

START_TEST(out_of_memory)
{
    struct ken_options options = pair_options(5, 0);
    setup();
    for (unsigned packed = 0; packed < 2; packed++) {
        options.encoding = packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN;
        prune(&options);
        struct drawing drawing = open_drawing();
        for (size_t n = 1;; n++) {
            struct ken_error error = {0};
            long before = held;
            countdown = n;
            int code = draw(&drawing, &error);
            bool reached = countdown == 0;
            countdown = 0;
            ck_assert_int_eq(held, before);
            ck_assert_int_eq(code, reached ? KEN_ENOMEM : KEN_OK);
            if (!reached) break;
            ck_assert_str_ne(error.message, "");
            ck_assert_uint_lt(n, 100);
        }
        close_drawing(&drawing);
    }
    teardown();
}
END_TEST

UNIT_MAIN("heatmap", cells_are_of_bounded_number_and_size, views_have_colours_from_one_end_to_the_other,
          lightness_tells_where_on_a_scale_a_colour_is, damaged_files_are_refused_or_drawn, what_cannot_be_drawn_is_told,
          without_a_delta_there_are_no_cells, out_of_memory)
