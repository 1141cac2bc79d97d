/* SPDX-License-Identifier: Apache-2.0 */
/* Where masks agree, and pictures that are put together of several parts, where they can fail. What is seen is tested in
 * tests/e2e/test_layers_pictures.py. */
#include "failing_alloc.h"
#include "heatmap/agreement_picture.h"
#include "heatmap/kept.h"
#include "heatmap/layers.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <string.h>

static const char *const tensors[] = {"w.f32", "w.f16", "w.bf16", "w.f64", "bias", "short", "same.f32"};
enum { TENSORS = sizeof tensors / sizeof *tensors, LARGE_ROWS = 100, LARGE_COLUMNS = 5000 };

static struct unit_folder folder;
static struct made_pair made;

/* What there is to draw from, of k columns a row. */
static struct ken_picture_side make_side(const char *name, const char *model, const char *base, uint64_t k, bool packed)
{
    struct ken_options options = pair_options(k, 0);
    struct ken_picture_side side;
    struct stat status;
    char work[PATH_MAX], path[PATH_MAX];
    options.encoding = packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN;
    ck_assert_int_eq(mkdir(unit_path(work, &folder, name), 0777), 0);
    struct prune_pair pair = {.model = model, .base = base, .folder = work};
    ck_assert_msg(!prune_pair(&pair, &options), "%s", pair.error.message);
    prune_pair_free(&pair);
    snprintf(path, sizeof path, "%.4000s/out/.kend/tensors.cells", work);
    side.cells = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(fstat(side.cells, &status), 0);
    side.cells_bytes = (uint64_t)status.st_size;
    snprintf(path, sizeof path, "%.4000s/out/delta.safetensors", work);
    side.delta = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(fstat(side.delta, &status), 0);
    side.delta_bytes = (uint64_t)status.st_size;
    return side;
}

static struct ken_picture_side sides[4]; /* few and many, plain and packed */

static void setup(void)
{
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    sides[0] = make_side("few", made.model, made.base, 2, false);
    sides[1] = make_side("many", made.model, made.base, 20, false);
    sides[2] = make_side("few-packed", made.model, made.base, 2, true);
    sides[3] = make_side("many-packed", made.model, made.base, 20, true);
}

static void teardown(void)
{
    for (size_t i = 0; i < 4; i++) {
        close(sides[i].cells);
        close(sides[i].delta);
    }
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

/* A tensor of a side; `cells` and `found` are what it is made of. */
static struct ken_masked open_masked(const struct ken_picture_side *side, const char *name, struct ken_cells *cells,
                                     struct ken_cells_found *found)
{
    ck_assert_int_eq(ken_cells_open(cells, side->cells, side->cells_bytes, side->delta_bytes, NULL), KEN_OK);
    ck_assert_int_eq(ken_cells_find(cells, name, found, NULL), KEN_OK);
    return (struct ken_masked){cells, found, side->delta};
}

/* ---- counts */

START_TEST(bits_are_counted_between_any_two)
{
    unsigned char a[40], b[40];
    for (unsigned i = 0; i < 40; i++) {
        a[i] = (unsigned char)(i * 37 + 11);
        b[i] = (unsigned char)(i * 91 + 5);
    }
    for (uint64_t from = 0; from < 140; from += 3)
        for (uint64_t to = from; to < 200; to += 7) {
            struct ken_agreement counted = {0}, wanted = {0};
            for (uint64_t i = from; i < to; i++) {
                const bool in_a = a[i / 8] >> i % 8 & 1, in_b = b[i / 8] >> i % 8 & 1;
                wanted.both += in_a && in_b;
                wanted.only_here += in_a && !in_b;
                wanted.only_there += !in_a && in_b;
                wanted.neither += !in_a && !in_b;
            }
            ken_agreement_add_bits(&counted, a, b, from, to);
            ck_assert_mem_eq(&counted, &wanted, sizeof counted);
        }
}
END_TEST

START_TEST(both_encodings_agree)
{
    const struct ken_interrupt nothing = {NULL, NULL};
    setup();
    for (size_t i = 0; i < TENSORS; i++) {
        struct ken_agreement counted[4];
        for (size_t j = 0; j < 4; j++) {
            struct ken_cells cells[2];
            struct ken_cells_found found[2];
            const struct ken_masked here = open_masked(&sides[j / 2 * 2], tensors[i], &cells[0], &found[0]),
                                    there = open_masked(&sides[1 + j % 2 * 2], tensors[i], &cells[1], &found[1]);
            ck_assert_int_eq(ken_agreement_count(&counted[j], &here, &there, &nothing, NULL), KEN_OK);
            ck_assert_uint_eq(counted[j].both + counted[j].only_here, found[0].on_disk.stored);
            ck_assert_uint_eq(counted[j].both + counted[j].only_there, found[1].on_disk.stored);
            ck_assert_uint_eq(counted[j].both + counted[j].only_here + counted[j].only_there + counted[j].neither,
                              found[0].shape.rows * found[0].shape.n);
            ck_assert_mem_eq(&counted[j], &counted[0], sizeof *counted);
        }
    }
    ck_assert(ken_agreement_jaccard(&(struct ken_agreement){.neither = 7}) == 1);
    ck_assert(ken_agreement_jaccard(&(struct ken_agreement){.both = 1, .only_there = 3}) == 0.25);
    teardown();
}
END_TEST

START_TEST(elements_are_the_same_wherever_they_are_entered)
{
    setup();
    for (size_t i = 0; i < TENSORS; i++)
        for (size_t j = 0; j < 4; j++) {
            struct ken_cells cells;
            struct ken_cells_found found;
            struct ken_kept *kept;
            unsigned char all[4096] = {0};
            const struct ken_masked masked = open_masked(&sides[j], tensors[i], &cells, &found);
            const uint64_t count = found.shape.rows * found.shape.n;
            ck_assert_int_eq(ken_kept_create(&kept, masked.cells, masked.tensor, masked.delta, NULL), KEN_OK);
            ck_assert_int_eq(ken_kept_seek(kept, 0, NULL), KEN_OK);
            ck_assert_int_eq(ken_kept_take(kept, count, all, NULL, NULL), KEN_OK);
            for (uint64_t k = 0; k < 200; k++) {
                const uint64_t at = k * 7919 % count, length = 1 + k % 5 * 11 < count - at ? 1 + k % 5 * 11 : count - at;
                unsigned char some[64 + KEN_BITS_SLACK] = {0};
                ck_assert_int_eq(ken_kept_jump(kept, at, NULL), KEN_OK);
                ck_assert_int_eq(ken_kept_take(kept, length, some, NULL, NULL), KEN_OK);
                for (uint64_t b = 0; b < length; b++) ck_assert_int_eq(some[b / 8] >> b % 8 & 1, all[(at + b) / 8] >> (at + b) % 8 & 1);
            }
            ken_kept_free(&kept);
        }
    teardown();
}
END_TEST

/* Writes a matrix of several bands, pieces and blocks. */
static void write_large(char path[PATH_MAX], const char *name, uint64_t factor)
{
    static float values[LARGE_ROWS * LARGE_COLUMNS];
    const struct make_tensor tensor = {"w", "F32", "[100,5000]", values, sizeof values};
    for (uint64_t i = 0; i < LARGE_ROWS * LARGE_COLUMNS; i++) values[i] = (float)(i * factor % 65521);
    write_safetensors(folder.path, name, NULL, &tensor, 1);
    unit_path(path, &folder, name);
}

/* What is taken on the way through, by jumps of that length. */
static void check_jumps(const struct ken_masked *masked, const unsigned char *all, uint64_t step)
{
    struct ken_kept *kept;
    ck_assert_int_eq(ken_kept_create(&kept, masked->cells, masked->tensor, masked->delta, NULL), KEN_OK);
    for (uint64_t at = step / 3; at < LARGE_ROWS * LARGE_COLUMNS - 50; at += step) {
        unsigned char some[8 + KEN_BITS_SLACK] = {0};
        ck_assert_int_eq(ken_kept_jump(kept, at, NULL), KEN_OK);
        ck_assert_int_eq(ken_kept_take(kept, 50, some, NULL, NULL), KEN_OK);
        for (uint64_t b = 0; b < 50; b++) ck_assert_int_eq(some[b / 8] >> b % 8 & 1, all[(at + b) / 8] >> (at + b) % 8 & 1);
    }
    ken_kept_free(&kept);
}

START_TEST(jumps_onwards_leave_nothing_out)
{
    static const uint64_t steps[] = {97, 5000, 40001, 65601, 131072, 170003};
    static unsigned char all[LARGE_ROWS * LARGE_COLUMNS / 8 + KEN_BITS_SLACK];
    char model[PATH_MAX], base[PATH_MAX];
    unit_folder_make(&folder);
    write_large(model, "model.safetensors", 7919);
    write_large(base, "base.safetensors", 104729);
    const struct ken_picture_side coded[] = {make_side("gaps", model, base, 200, false), make_side("packed", model, base, 200, true),
                                             make_side("mask", model, base, 2000, false)};
    for (size_t i = 0; i < sizeof coded / sizeof *coded; i++) {
        struct ken_cells cells;
        struct ken_cells_found found;
        struct ken_kept *kept;
        const struct ken_masked masked = open_masked(&coded[i], "w", &cells, &found);
        ck_assert_int_eq(found.on_disk.form == KEN_FORM_GAPS, i == 0);
        memset(all, 0, sizeof all);
        ck_assert_int_eq(ken_kept_create(&kept, masked.cells, masked.tensor, masked.delta, NULL), KEN_OK);
        ck_assert_int_eq(ken_kept_seek(kept, 0, NULL), KEN_OK);
        ck_assert_int_eq(ken_kept_take(kept, LARGE_ROWS * LARGE_COLUMNS, all, NULL, NULL), KEN_OK);
        ken_kept_free(&kept);
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) check_jumps(&masked, all, steps[s]);
        close(coded[i].cells);
        close(coded[i].delta);
    }
    unit_folder_remove(&folder);
}
END_TEST

static bool is_cancelled(void *opaque)
{
    (void)opaque;
    return true;
}

START_TEST(what_is_called_off_ends)
{
    const struct ken_interrupt interrupt = {is_cancelled, NULL};
    struct ken_agreement counted;
    struct ken_cells cells;
    struct ken_cells_found found;
    struct ken_picture picture;
    const struct ken_layer layer = {"w.f32", 0, 0};
    const struct ken_layers layers = {.role = "w.f*", .layers = &layer, .count = 1, .interrupt = interrupt};
    setup();
    const struct ken_masked masked = open_masked(&sides[0], "w.f32", &cells, &found);
    ck_assert_int_eq(ken_agreement_count(&counted, &masked, &masked, &interrupt, NULL), KEN_ECANCELLED);
    ck_assert_int_eq(ken_layers_draw(&picture, &layers, sides->cells, sides->cells_bytes, sides->delta, sides->delta_bytes, NULL),
                     KEN_ECANCELLED);
    ck_assert_ptr_null(picture.png);
    teardown();
}
END_TEST

/* ---- pictures */

/* What is drawn, by its number. */
static int draw(unsigned what, size_t side, struct ken_error *error)
{
    const struct ken_picture_side *here = &sides[side], *there = &sides[3 - side];
    const struct ken_heatmap heatmap = {.tensor = "w.bf16", .legend = what != 2, .x = 3, .y = 1};
    const struct ken_layer layer[] = {{"w.f16", 0.5, 1e-300}, {"w.f32", 1, 1e300}, {"w.f64", 0, 0}};
    const struct ken_layers layers = {.role = "w.f*", .layers = layer, .count = 3, .view = KEN_VIEW_MASK, .width = 300};
    struct ken_picture picture;
    int code;
    if (what == 0)
        code = ken_heatmap_draw(&picture, &heatmap, here->cells, here->cells_bytes, here->delta, here->delta_bytes, error);
    else if (what < 3)
        code = ken_agreement_draw(&picture, &heatmap, here, there, error);
    else
        code = ken_layers_draw(&picture, &layers, here->cells, here->cells_bytes, here->delta, here->delta_bytes, error);
    const bool fits = !picture.png == (code != KEN_OK); /* asserted elsewhere: assertions allocate, too */
    free(picture.png);
    return fits ? code : KEN_EINTERNAL;
}

START_TEST(out_of_memory)
{
    setup();
    for (unsigned what = 0; what < 4; what++)
        for (size_t side = 0; side < 4; side += 2)
            for (size_t n = 1;; n++) {
                struct ken_error error = {0};
                const long before = held;
                countdown = n;
                int code = draw(what, side, &error);
                const bool reached = countdown == 0;
                countdown = 0;
                ck_assert_int_eq(held, before);
                ck_assert_msg(code == (reached ? KEN_ENOMEM : KEN_OK), "%u %zu %zu", what, side, n);
                if (!reached) break;
                ck_assert_uint_lt(n, 200);
            }
    teardown();
}
END_TEST

START_TEST(damaged_cells_are_refused_or_drawn)
{
    uint64_t refused = 0;
    setup();
    for (uint64_t at = 0; at < sides[0].cells_bytes; at += 5) {
        unsigned char before, other = (unsigned char)(at * 31);
        struct ken_error error = {0};
        ck_assert_int_eq(pread(sides[0].cells, &before, 1, (off_t)at), 1);
        ck_assert_int_eq(pwrite(sides[0].cells, &other, 1, (off_t)at), 1);
        refused += draw((unsigned)(at / 5 % 4), 0, &error) != KEN_OK;
        ck_assert_int_eq(pwrite(sides[0].cells, &before, 1, (off_t)at), 1);
    }
    ck_assert_uint_gt(refused, 10);
    teardown();
}
END_TEST

START_TEST(scales_that_are_none_are_refused)
{
    static const double none[] = {-1, 0.0 / 0.0, 1.0 / 0.0};
    setup();
    for (size_t i = 0; i < 6; i++) {
        double before;
        const off_t at = (off_t)(offsetof(struct ken_cells_head, largest) + i % 2 * sizeof before);
        struct ken_cells cells;
        ck_assert_int_eq(pread(sides[0].cells, &before, sizeof before, at), sizeof before);
        ck_assert_int_eq(pwrite(sides[0].cells, &none[i / 2], sizeof before, at), sizeof before);
        ck_assert_int_eq(ken_cells_open(&cells, sides[0].cells, sides[0].cells_bytes, sides[0].delta_bytes, NULL), KEN_EBAD_DELTA);
        ck_assert_int_eq(pwrite(sides[0].cells, &before, sizeof before, at), sizeof before);
    }
    teardown();
}
END_TEST

/* ---- colours */

START_TEST(every_mixture_has_a_colour_of_its_own)
{
    unsigned char seen[KEN_PALETTE] = {0}, palette[KEN_PALETTE][3];
    unsigned count = 0;
    ken_agreement_palette(palette);
    for (uint64_t both = 0; both <= KEN_AGREEMENT_PARTS; both++)
        for (uint64_t here = 0; here <= KEN_AGREEMENT_PARTS - both; here++)
            for (uint64_t there = 0; there <= KEN_AGREEMENT_PARTS - both - here; there++) {
                const struct ken_agreement pixel = {1000 * both, 1000 * here, 1000 * there,
                                                    1000 * (KEN_AGREEMENT_PARTS - both - here - there)};
                const unsigned char colour = ken_agreement_colour(&pixel);
                ck_assert_uint_ge(colour, 1);
                ck_assert_uint_le(colour, KEN_AGREEMENT_COLOURS);
                ck_assert_int_eq(seen[colour]++, 0);
                count++;
            }
    ck_assert_uint_eq(count, KEN_AGREEMENT_COLOURS);
    ck_assert_uint_eq(ken_agreement_colour(&(struct ken_agreement){0}), 0);
    ck_assert_uint_eq(ken_agreement_colour(&(struct ken_agreement){.both = 1}), KEN_AGREEMENT_COLOURS);
    ck_assert_uint_eq(ken_agreement_colour(&(struct ken_agreement){.neither = UINT64_C(1) << 59}), 1);
}
END_TEST

UNIT_MAIN("agreement", bits_are_counted_between_any_two, both_encodings_agree, elements_are_the_same_wherever_they_are_entered,
          jumps_onwards_leave_nothing_out, what_is_called_off_ends, out_of_memory, damaged_cells_are_refused_or_drawn,
          scales_that_are_none_are_refused, every_mixture_has_a_colour_of_its_own)
