/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/plan.h"

#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "pruning/block.h"
#include "unit.h"
#include "unit_folder.h"

#include <inttypes.h>
#include <string.h>

static struct unit_folder folder;

static struct ken_checkpoint *opened(const char *path)
{
    struct ken_checkpoint *checkpoint;
    struct ken_error error;
    ck_assert_msg(!ken_checkpoint_open_path(&checkpoint, path, NULL, &error), "%s", error.message);
    return checkpoint;
}

/* A pair of one F32 tensor "w" of such a shape, whose bytes are holes. */
struct hollow {
    struct ken_checkpoint *model, *base;
};

static struct hollow hollow(const char *dtype, uint64_t rows, uint64_t n, uint64_t size)
{
    char header[256], path[PATH_MAX];
    struct hollow pair;
    unit_folder_make(&folder);
    snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[%" PRIu64 ",%" PRIu64 "],\"data_offsets\":[0,%" PRIu64 "]}}",
             dtype, rows, n, rows * n * size);
    struct made_file file = make_raw(header, strlen(header), NULL, 0);
    write_file(folder.path, "w", file.bytes, file.length);
    ck_assert_int_eq(truncate(unit_path(path, &folder, "w"), (off_t)(file.length + rows * n * size)), 0);
    free(file.bytes);
    pair.model = opened(path);
    pair.base = opened(path);
    return pair;
}

static void close_hollow(struct hollow *pair)
{
    ken_checkpoint_close(&pair->model);
    ken_checkpoint_close(&pair->base);
    unit_folder_remove(&folder);
}

static int plan_hollow(struct ken_plan **plan, const struct hollow *pair, const struct ken_options *options, uint64_t memory,
                       unsigned threads, struct ken_error *error)
{
    const struct ken_plan_limits limits = {.memory = memory, .threads = threads};
    return ken_plan_make(plan, pair->model, pair->base, options, &limits, error);
}

/* 96 MiB hold a row of 4 Mi values with every method, and not one of 6 Mi. */
START_TEST(default_memory_holds_rows_of_four_mi)
{
    struct ken_error error;
    struct ken_plan *plan;
    for (unsigned method = 0; method < KEN_METHOD_COUNT; method++) {
        struct ken_options options = pair_options(0, 0.5);
        options.variants[0].method = method;
        options.variants[0].rescale = KEN_RESCALE_L1;
        struct hollow pair = hollow("F32", 2, UINT64_C(4) << 20, 4);
        ck_assert_msg(!plan_hollow(&plan, &pair, &options, 96 << 20, 2, &error), "%s", error.message);
        ck_assert_uint_le(ken_plan_totals(plan)->memory_bytes, 96 << 20);
        ken_plan_free(&plan);
        close_hollow(&pair);
    }
    struct ken_options options = pair_options(0, 0.5);
    struct hollow pair = hollow("F32", 2, UINT64_C(6) << 20, 4);
    ck_assert_int_eq(plan_hollow(&plan, &pair, &options, 96 << 20, 2, &error), KEN_ETOO_LARGE);
    ck_assert_ptr_null(plan);
    ck_assert_ptr_nonnull(strstr(error.message, "tensor \"w\": a row of 6291456 values needs "));
    ck_assert_ptr_nonnull(strstr(error.message, ", the limit is 100663296"));
    close_hollow(&pair);
}
END_TEST

/* Blocks cover all rows once, begin at bands of cells or lie within one, and as many as are in flight fit into the memory. */
static void check_blocks(uint64_t rows, uint64_t n, uint64_t memory, unsigned threads, uint64_t expected)
{
    struct ken_options options = pair_options(1, 0);
    struct ken_plan *plan;
    struct ken_error error;
    struct ken_range range;
    struct hollow pair = hollow("F32", rows, n, 4);
    ck_assert_msg(!plan_hollow(&plan, &pair, &options, memory, threads, &error), "%s", error.message);
    const struct ken_entry *entry = &plan->entries[0];
    if (expected) ck_assert_uint_eq(entry->block_units, expected);
    if (entry->block_units > 1) ck_assert_uint_le(2 * (uint64_t)threads * ken_block_bytes(plan, entry, entry->block_units), memory);
    for (uint64_t start = 0; start < rows; start += 13) { /* as after a resumption anywhere */
        size_t tensor = 0;
        uint64_t unit = start, next = start;
        while (ken_plan_next(plan, &tensor, &unit, &range)) {
            ck_assert_uint_eq(range.first, next);
            ck_assert_uint_ge(range.units, 1);
            bool in_one_band = range.first / KEN_CELL == (range.first + range.units - 1) / KEN_CELL;
            ck_assert(range.first % KEN_CELL == 0 || in_one_band || range.first == start);
            next += range.units;
        }
        ck_assert_uint_eq(next, rows);
    }
    ken_plan_free(&plan);
    close_hollow(&pair);
}

START_TEST(blocks_are_of_some_milliseconds_and_fit)
{
    check_blocks(1000, 768, 96 << 20, 2, 320); /* 2^18 / 768 = 341, down to a multiple of 32 */
    check_blocks(100, 40000, 96 << 20, 2, 4);  /* 6 rows, down to a power of two */
    check_blocks(10, 700000, 96 << 20, 2, 1);
    check_blocks(50, 768, 96 << 20, 2, 32);
    check_blocks(1000, 768, 4 << 20, 4, 0);
    check_blocks(1000, 768, 1 << 20, 16, 0);
}
END_TEST

START_TEST(tensors_are_matched_and_counted)
{
    struct ken_options options = pair_options(9, 0);
    struct made_pair made;
    struct ken_plan *plan;
    struct ken_error error;
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    struct ken_checkpoint *model = opened(made.model), *base = opened(made.base);
    ck_assert_msg(!ken_plan_make(&plan, model, base, &options, &limits, &error), "%s", error.message);
    const struct ken_plan_totals *totals = ken_plan_totals(plan);
    uint64_t rows = 0, pruned = 0, parameters = 0;
    ck_assert_uint_eq(ken_plan_tensor_count(plan), MADE_TENSORS);
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        const struct made_tensor *tensor = &made.tensors[t];
        size_t index = (size_t)(ken_checkpoint_find(model, tensor->name) - model->tensors);
        struct ken_plan_tensor planned = ken_plan_tensor(plan, index);
        bool is_pruned = tensor->has_base && ken_dtype_is_prunable(tensor->dtype) && tensor->rows && tensor->n;
        ck_assert_msg((planned.base != NULL) == tensor->has_base, "%s", tensor->name);
        ck_assert_msg(planned.pruned == is_pruned, "%s", tensor->name);
        ck_assert_uint_eq(ken_plan_k(plan, index, 0), is_pruned ? 9 : 0);
        parameters += tensor->rows * tensor->n;
        if (!is_pruned) continue;
        rows += tensor->rows;
        pruned += tensor->rows * tensor->n;
    }
    ck_assert_uint_eq(totals->rows, rows);
    ck_assert_uint_eq(totals->parameters, parameters);
    ck_assert_uint_eq(totals->pruned_parameters, pruned);
    ck_assert_uint_eq(totals->tensors, MADE_TENSORS);
    ck_assert_uint_eq(totals->pruned_tensors, 10);
    ck_assert_uint_eq(totals->added_tensors, 3);
    ck_assert_uint_eq(totals->dropped_tensors, 1);
    ck_assert_uint_eq(ken_plan_warning_count(plan), 2);
    ck_assert_str_eq(ken_plan_warning(plan, 0), "tensor \"narrowed\" is I32, but I64 in the base; it is stored whole");
    ck_assert_str_eq(ken_plan_warning(plan, 1), "tensor \"other.shape\" is [2,12], but [24] in the base; it is stored whole");
    ken_plan_free(&plan);
    ken_plan_free(&plan);
    ken_checkpoint_close(&model);
    ken_checkpoint_close(&base);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

static uint64_t size_told(const char *files, const char *name)
{
    const char *at = strstr(files, name);
    ck_assert_ptr_nonnull(at);
    return strtoull(at + strlen(name), NULL, 10);
}

START_TEST(sizes_are_exact_or_bounds)
{
    struct made_pair made;
    struct ken_plan *plan;
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    char work[PATH_MAX];
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    unit_path(work, &folder, "work");
    ck_assert_int_eq(mkdir(work, 0777), 0);
    for (uint64_t k = 1; k < 200; k *= 3) {
        struct ken_options options = pair_options(k, 0);
        struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work};
        struct ken_checkpoint *model = opened(made.model), *base = opened(made.base);
        ck_assert_int_eq(prune_pair(&pair, &options), 0);
        ck_assert_int_eq(ken_plan_make(&plan, model, base, &options, &limits, NULL), 0);
        const struct ken_plan_totals *totals = ken_plan_totals(plan);
        uint64_t models =
            size_told(pair.files, "model-00001-of-00002.safetensors ") + size_told(pair.files, "model-00002-of-00002.safetensors ");
        uint64_t delta = size_told(pair.files, "delta.safetensors ");
        ck_assert_uint_eq(totals->model_bytes, models);
        ck_assert_uint_eq(json_number(pair.totals[0], "model_bytes"), models);
        ck_assert_uint_eq(json_number(pair.totals[0], "delta_bytes"), delta);
        ck_assert_uint_le(delta, totals->delta_bytes_at_most);
        ck_assert_uint_ge(totals->disk_bytes, models + delta);
        ken_plan_free(&plan);
        ken_checkpoint_close(&model);
        ken_checkpoint_close(&base);
        prune_pair_free(&pair);
    }
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

/* What a report and the lines of its tensors take is mostly names. */
START_TEST(long_names_take_their_room)
{
    enum { TENSORS = 200, NAME = 4000 };
    static char names[TENSORS][NAME + 1];
    static const float values[] = {1, 2, 3, 4};
    struct make_tensor tensors[TENSORS];
    char model[PATH_MAX], work[PATH_MAX];
    unit_folder_make(&folder);
    for (size_t i = 0; i < TENSORS; i++) {
        memset(names[i], '\x01', NAME);
        names[i][i] = 'n';
        tensors[i] = (struct make_tensor){.name = names[i], .dtype = "F32", .shape = "[4]", .data = values, .length = sizeof values};
    }
    write_safetensors(folder.path, "model", NULL, tensors, TENSORS);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    struct ken_options options = pair_options(2, 0);
    options.outputs = KEN_OUTPUT_REPORT;
    struct prune_pair pair = {.model = unit_path(model, &folder, "model"), .base = model, .folder = work};
    ck_assert_msg(!prune_pair(&pair, &options), "%s", pair.error.message);
    struct ken_checkpoint *checkpoint = opened(model);
    struct ken_plan *plan;
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    ck_assert_int_eq(ken_plan_make(&plan, checkpoint, checkpoint, &options, &limits, NULL), 0);
    uint64_t made = size_told(pair.files, "report.json ") + size_told(pair.files, ".kend/tensors.jsonl ");
    ck_assert_uint_gt(made, UINT64_C(4) * TENSORS * 6 * NAME);
    ck_assert_uint_le(made, ken_plan_totals(plan)->disk_bytes);
    ken_plan_free(&plan);
    ken_checkpoint_close(&checkpoint);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(nothing_that_matches_is_a_mismatch)
{
    struct ken_options options = pair_options(9, 0);
    struct ken_plan *plan;
    struct ken_error error;
    struct hollow pair = hollow("I32", 2, 8, 4);
    ck_assert_int_eq(plan_hollow(&plan, &pair, &options, 96 << 20, 2, &error), KEN_EMISMATCH);
    close_hollow(&pair);
}
END_TEST

UNIT_MAIN("plan", default_memory_holds_rows_of_four_mi, blocks_are_of_some_milliseconds_and_fit, tensors_are_matched_and_counted,
          sizes_are_exact_or_bounds, long_names_take_their_room, nothing_that_matches_is_a_mismatch)
