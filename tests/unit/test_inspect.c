/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and single values, where they can fail: damaged files, no memory, other inputs, rows of any kind. What is seen is tested in
 * tests/e2e/test_row.py, too. */
#include "failing_alloc.h"
#include "inspect/row_picture.h"
#include "inspect/values.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "selection/density.h"
#include "selection/kernel.h"
#include "unit.h"
#include "unit_folder.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- curves */

enum { LONGEST = 70001 }; /* longer than what is spread at once */
static float x[LONGEST];

static void fill(size_t n, unsigned kind)
{
    uint64_t state = n * 8 + kind;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            sum += (double)(state >> 40) / (1 << 24) - 0.5;
        }
        x[i] = (float)(sum * (kind == 1 ? 1e-38 : kind == 2 ? 1e38 : 1));
    }
    if (kind == 2) x[0] = FLT_MAX, x[n - 1] = -FLT_MAX;
    if (kind == 3) x[n / 2] = 1e6F; /* all others in one bin */
}

static void check_bins(const struct ken_curve *curve, size_t n)
{
    uint64_t sum = 0;
    for (size_t b = 0; b < KEN_CURVE_BINS; b++) sum += curve->all[b];
    ck_assert_uint_eq(sum, n);
    for (size_t i = 0; i < n; i++) {
        const size_t bin = ken_curve_bin(curve, x[i]);
        ck_assert_uint_lt(bin, KEN_CURVE_BINS);
        ck_assert((double)x[i] >= curve->edges[bin]);
        ck_assert((double)x[i] < curve->edges[bin + 1] || (bin == KEN_CURVE_BINS - 1 && (double)x[i] == curve->edges[bin + 1]));
    }
}

static void check_density(const struct ken_curve *curve, size_t n)
{
    const struct ken_moments moments = ken_moments_of(x, n);
    struct ken_density density;
    ken_density_init(&density, x, n, &moments);
    ck_assert(curve->bandwidth == density.h);
    for (size_t i = 0; i < KEN_CURVE_POINTS; i += 9) {
        const double exact = ken_density_exact(&density, curve->at[i]) / density.scale;
        ck_assert_msg(fabs(curve->density[i] - exact) <= 1e-11 * exact + 1e-18 / density.h, "%zu: %.17g, not %.17g", i, curve->density[i],
                      exact);
    }
}

START_TEST(a_curve_is_the_same_on_every_kernel)
{
    static const size_t lengths[] = {2, 3, 64, 1000, LONGEST};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (unsigned kind = 0; kind < 4; kind++) {
            struct ken_curve first, curve;
            fill(lengths[l], kind);
            for (size_t k = 0; ken_kernel_at(k); k++) {
                if (!ken_kernel_at(k)->is_usable()) continue;
                ck_assert_int_eq(ken_kernel_choose(ken_kernel_at(k)->name, NULL), KEN_OK);
                memset(&curve, 0, sizeof curve);
                ck_assert_int_eq(ken_curve_make(&curve, x, lengths[l], NULL), KEN_OK);
                if (!k) first = curve;
                ck_assert_int_eq(memcmp(&curve, &first, sizeof curve), 0);
            }
            check_bins(&first, lengths[l]);
            check_density(&first, lengths[l]);
        }
    ck_assert_int_eq(ken_kernel_choose("auto", NULL), KEN_OK);
}
END_TEST

START_TEST(a_curve_of_equal_values_or_none)
{
    static const float values[] = {0, -0.0F, 3, -FLT_MAX, 1e-45F};
    struct ken_curve curve;
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (size_t i = 0; i < 10; i++) x[i] = values[v];
        ck_assert_int_eq(ken_curve_make(&curve, x, 10, NULL), KEN_OK);
        ck_assert(curve.minimum == curve.maximum && curve.bandwidth == 0 && curve.deviation == 0);
        ck_assert(curve.edges[0] < (double)values[v] && (double)values[v] < curve.edges[KEN_CURVE_BINS]);
        check_bins(&curve, 10);
        for (size_t i = 0; i < KEN_CURVE_POINTS; i++) ck_assert(curve.density[i] == 0);
    }
    ck_assert_int_eq(ken_curve_make(&curve, x, 0, NULL), KEN_OK);
    ck_assert(isnan(curve.minimum) && isnan(curve.maximum) && isnan(curve.mean) && isnan(curve.deviation) && curve.bandwidth == 0);
    ck_assert(curve.edges[0] == -0.5 && curve.edges[KEN_CURVE_BINS] == 0.5);
}
END_TEST

/* ---- a made pair, its delta, and both sides of it */

static struct unit_folder folder;
static struct made_pair made;
static char work[PATH_MAX];

struct looking {
    struct ken_options options;
    struct ken_checkpoint *model, *base;
    struct ken_plan *plan;
    struct ken_pair pair;
};

static void open_inputs(struct looking *looking, const char *model, const char *base)
{
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 1};
    struct ken_error error;
    ck_assert_msg(!ken_checkpoint_open_path(&looking->model, model, NULL, &error), "%s", error.message);
    ck_assert_msg(!ken_checkpoint_open_path(&looking->base, base, NULL, &error), "%s", error.message);
    ck_assert_msg(!ken_plan_make(&looking->plan, looking->model, looking->base, &looking->options, &limits, &error), "%s", error.message);
    looking->pair.model = looking->model;
    looking->pair.base = looking->base;
    looking->pair.plan = looking->plan;
}

static void close_inputs(struct looking *looking)
{
    ken_plan_free(&looking->plan);
    ken_checkpoint_close(&looking->model);
    ken_checkpoint_close(&looking->base);
}

static void prune(struct looking *looking, const char *model, const char *base)
{
    struct prune_pair pair = {.model = model, .base = base, .folder = work};
    ck_assert_msg(!prune_pair(&pair, &looking->options), "%s", pair.error.message);
    prune_pair_free(&pair);
    looking->pair.cells = unit_open(&folder, "work/out/.kend/tensors.cells", &looking->pair.cells_bytes);
    looking->pair.delta = unit_open(&folder, "work/out/delta.safetensors", &looking->pair.delta_bytes);
    open_inputs(looking, model, base);
}

/* Magnitude, of k a row. */
static void setup(struct looking *looking, uint64_t k, enum ken_encoding encoding)
{
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    *looking = (struct looking){.options = pair_options(k, 0)};
    looking->options.variants[0].method = KEN_METHOD_MAGNITUDE;
    looking->options.encoding = encoding;
    prune(looking, made.model, made.base);
}

static void teardown(struct looking *looking)
{
    close_inputs(looking);
    close(looking->pair.cells);
    close(looking->pair.delta);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

static bool is_pruned(const struct made_tensor *tensor)
{
    return tensor->has_base && ken_dtype_is_prunable(tensor->dtype) && tensor->rows && tensor->n;
}

/* ---- what is there */

static void check_tensor(const struct looking *looking, const struct made_tensor *tensor, uint64_t k)
{
    struct naive naive = naive_magnitude(tensor, k);
    struct ken_values values;
    struct ken_error error;
    uint64_t selected = 0, kept = 0;
    ck_assert_msg(!ken_values_read(&values, &looking->pair, tensor->name, 0, 0, tensor->n, tensor->rows, &error), "%s", error.message);
    for (size_t i = 0; i < tensor->rows * tensor->n; i++) {
        ck_assert(values.model[i] == ken_load(tensor->dtype, tensor->model, i));
        ck_assert(values.base[i] == ken_load(tensor->base_dtype, tensor->base, i));
        ck_assert(values.pruned[i] == ken_load(tensor->dtype, naive.pruned, i));
        kept += values.kept[i];
    }
    ck_assert_uint_eq(kept, naive.kept);
    ck_assert_int_eq(values.dtype, tensor->dtype);
    ck_assert_int_eq(values.base_dtype, tensor->base_dtype);
    ken_values_free(&values);
    for (uint64_t row = 0; row < tensor->rows; row++) {
        struct ken_row_view view;
        uint64_t of_row;
        ck_assert_int_eq(ken_row_view_read(&view, &looking->pair, tensor->name, row, NULL), KEN_OK);
        ck_assert_int_eq(ken_row_select(&looking->pair, tensor->name, row, &of_row, NULL), KEN_OK);
        ck_assert_uint_eq(view.k, k);
        ck_assert_uint_eq(view.finite + view.non_finite, tensor->n);
        selected += of_row;
        kept -= view.kept;
        for (size_t b = 0; b < KEN_CURVE_BINS; b++) ck_assert_uint_le(view.stored[b], view.curve.all[b]);
        ken_row_view_free(&view);
    }
    ck_assert_uint_eq(kept, 0);
    ck_assert_uint_eq(selected, naive.selected);
    free(naive.pruned);
    ck_assert_int_eq(ken_pair_check(&looking->pair, NULL), KEN_OK);
}

START_TEST(all_that_was_pruned_is_seen)
{
    for (unsigned packed = 0; packed < 2; packed++)
        for (uint64_t k = 1; k < 40; k += 13) {
            struct looking looking;
            setup(&looking, k, packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN);
            size_t seen = 0;
            for (size_t t = 0; t < MADE_TENSORS; t++) {
                if (is_pruned(&made.tensors[t])) {
                    check_tensor(&looking, &made.tensors[t], k);
                    seen++;
                }
            }
            ck_assert_uint_gt(seen, 8);
            teardown(&looking);
        }
}
END_TEST

/* ---- what is not */

static int look_at_values(const struct looking *looking, const char *tensor, uint64_t place[4], struct ken_error *error)
{
    struct ken_values values;
    int code = ken_values_read(&values, &looking->pair, tensor, place[0], place[1], place[2], place[3], error);
    ken_values_free(&values);
    return code;
}

static int look_at_row(const struct looking *looking, const char *tensor, uint64_t row, struct ken_error *error)
{
    struct ken_row_view view;
    int code = ken_row_view_read(&view, &looking->pair, tensor, row, error);
    ken_row_view_free(&view);
    return code;
}

START_TEST(what_cannot_be_seen_is_told)
{
    struct looking looking;
    struct ken_error error;
    setup(&looking, 5, KEN_ENCODING_PLAIN);
    ck_assert_int_eq(look_at_row(&looking, "ids", 0, &error), KEN_ENOT_FOUND);
    ck_assert_int_eq(look_at_row(&looking, "w.f32", 37, &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, "\"row\" must be from 0 to 36: the matrix has 37 rows");
    static uint64_t places[][4] = {{40, 0, 1, 1}, {0, 37, 1, 1},         {39, 0, 2, 1},
                                   {0, 36, 1, 2}, {0, 0, UINT64_MAX, 1}, {1, 1, 1, UINT64_MAX}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        ck_assert_int_eq(look_at_values(&looking, "w.f32", places[i], &error), KEN_EINVALID);
    looking.pair.delta_bytes++;
    ck_assert_int_eq(look_at_row(&looking, "w.f32", 0, &error), KEN_EBAD_DELTA);
    looking.pair.delta_bytes--;
    looking.pair.model = looking.base; /* other tensors of the same names */
    ck_assert_int_eq(look_at_row(&looking, "from.f16", 0, &error), KEN_EMISMATCH);
    looking.pair.plan = NULL; /* nor are they asked for where only the model is there */
    ck_assert_int_eq(look_at_row(&looking, "from.f16", 0, &error), KEN_EMISMATCH);
    ck_assert_int_eq(look_at_row(&looking, "w.f32", 0, &error), KEN_OK);
    teardown(&looking);
}
END_TEST

START_TEST(a_row_may_be_too_long)
{
    enum { N = KEN_ROW_MOST + 1 };
    struct looking looking = {.options = pair_options(3, 0)};
    struct ken_error error;
    char model[PATH_MAX], base[PATH_MAX];
    unit_folder_make(&folder);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    float *values = calloc(N, sizeof *values);
    ck_assert_ptr_nonnull(values);
    const struct make_tensor tensor = {"long", "F32", "[1048577]", values, N * sizeof *values};
    write_safetensors(folder.path, "base", NULL, &tensor, 1);
    for (size_t i = 0; i < 9; i++) values[i * 100000] = (float)i;
    write_safetensors(folder.path, "model", NULL, &tensor, 1);
    free(values);
    looking.options.variants[0].method = KEN_METHOD_MAGNITUDE;
    prune(&looking, unit_path(model, &folder, "model"), unit_path(base, &folder, "base"));
    ck_assert_int_eq(look_at_row(&looking, "long", 0, &error), KEN_EINVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "rows of at most 1048576"));
    struct ken_values seen;
    ck_assert_int_eq(ken_values_read(&seen, &looking.pair, "long", 700000, 0, 2, 1, NULL), KEN_OK);
    ck_assert(seen.model[0] == 7 && seen.pruned[0] == 7 && seen.kept[0] && !seen.kept[1]);
    ken_values_free(&seen);
    close_inputs(&looking);
    close(looking.pair.cells);
    close(looking.pair.delta);
    unit_folder_remove(&folder);
}
END_TEST

/* ---- damage, and no memory: a row as a picture, and values */

static bool selects = true; /* else all but that, whose memory is aligned, which is not counted */

static int look(const struct looking *looking, const char *tensor, struct ken_error *error)
{
    struct ken_row_view view;
    struct ken_picture picture = {0};
    uint64_t selected;
    int code = ken_row_view_read(&view, &looking->pair, tensor, 0, error);
    if (!code) code = ken_row_draw(&picture, &view, 100, error);
    free(picture.png);
    ken_row_view_free(&view);
    if (!code && selects) code = ken_row_select(&looking->pair, tensor, 0, &selected, error);
    return code ? code : look_at_values(looking, tensor, (uint64_t[]){1, 0, 2, 1}, error);
}

static void damage(const struct looking *looking, int file, uint64_t size, uint64_t *refused)
{
    static const unsigned char others[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    static const char *const tensors[] = {"w.f32", "w.bf16", "short", "bias"};
    struct ken_error error;
    for (uint64_t at = 0; at < size; at += 5) {
        unsigned char before;
        ck_assert_int_eq(pread(file, &before, 1, (off_t)at), 1);
        const unsigned char other = others[at / 5 % sizeof others] ^ (before == others[at / 5 % sizeof others]);
        ck_assert_int_eq(pwrite(file, &other, 1, (off_t)at), 1);
        *refused += look(looking, tensors[at / 5 % 4], &error) != KEN_OK;
        ck_assert_int_eq(pwrite(file, &before, 1, (off_t)at), 1);
    }
}

START_TEST(damaged_files_are_refused_or_seen)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct looking looking;
        uint64_t refused = 0;
        setup(&looking, 20, packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN);
        ck_assert_int_eq(look(&looking, "w.bf16", NULL), KEN_OK);
        damage(&looking, looking.pair.cells, looking.pair.cells_bytes, &refused);
        ck_assert_uint_gt(refused, 10);
        damage(&looking, looking.pair.delta, looking.pair.delta_bytes, &refused);
        teardown(&looking);
    }
}
END_TEST

START_TEST(out_of_memory)
{
    selects = false;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct looking looking;
        setup(&looking, 5, packed ? KEN_ENCODING_PACKED : KEN_ENCODING_PLAIN);
        for (size_t n = 1;; n++) {
            struct ken_error error = {0};
            long before = held;
            countdown = n;
            int code = look(&looking, "w.bf16", &error);
            bool reached = countdown == 0;
            countdown = 0;
            ck_assert_int_eq(held, before);
            ck_assert_int_eq(code, reached ? KEN_ENOMEM : KEN_OK);
            if (!reached) break;
            ck_assert_str_ne(error.message, "");
            ck_assert_uint_lt(n, 200);
        }
        teardown(&looking);
    }
}
END_TEST

UNIT_MAIN("inspect", a_curve_is_the_same_on_every_kernel, a_curve_of_equal_values_or_none, all_that_was_pruned_is_seen,
          what_cannot_be_seen_is_told, a_row_may_be_too_long, damaged_files_are_refused_or_seen, out_of_memory)
