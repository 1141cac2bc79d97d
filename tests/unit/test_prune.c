/* SPDX-License-Identifier: Apache-2.0 */
/* What a pruning gives, against naive computations on small pairs with every kind of tensor. */
#include "delta/delta.h"
#include "digest.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { K = 9 };

static struct unit_folder folder;
static struct made_pair made;
static struct prune_pair pair;

static void setup(void)
{
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    static char work[PATH_MAX];
    unit_path(work, &folder, "work");
    ck_assert_int_eq(mkdir(work, 0777), 0);
    pair = (struct prune_pair){.model = made.model, .base = made.base, .folder = work};
}

static void teardown(void)
{
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

static struct ken_options magnitude(void)
{
    struct ken_options options = pair_options(K, 0);
    options.variants[0].method = KEN_METHOD_MAGNITUDE;
    return options;
}

static void run(const struct ken_options *options)
{
    ck_assert_msg(!prune_pair(&pair, options), "%s", pair.error.message);
}

static void fails(const struct ken_options *options, int code, const char *message)
{
    ck_assert_int_eq(prune_pair(&pair, options), code);
    ck_assert_msg(strstr(pair.error.message, message) != NULL, "\"%s\" is not in \"%s\"", message, pair.error.message);
}

/* Opens the pruned model, or the base. */
static struct ken_checkpoint *opened(const char *path)
{
    struct ken_checkpoint *checkpoint;
    struct ken_error error;
    ck_assert_msg(!ken_checkpoint_open_path(&checkpoint, path, NULL, &error), "%s", error.message);
    return checkpoint;
}

static unsigned char *bytes_of(const struct ken_checkpoint *checkpoint, const char *name)
{
    const struct ken_tensor *tensor = ken_checkpoint_find(checkpoint, name);
    ck_assert_ptr_nonnull(tensor);
    unsigned char *bytes = malloc(tensor->length + 1);
    ck_assert_int_eq(ken_source_read(checkpoint->files[tensor->file].source, tensor->offset, bytes, tensor->length, NULL), 0);
    return bytes;
}

/* The line of a tensor; its place in the file in *text, to be freed. */
static char *line_of(const char *name, char **text)
{
    char quoted[64];
    struct made_file file = read_file(pair.folder, "out/.kend/tensors.jsonl");
    *text = calloc(1, file.length + 1);
    memcpy(*text, file.bytes, file.length);
    free(file.bytes);
    snprintf(quoted, sizeof quoted, "{\"name\":\"%s\",", name);
    char *line = strstr(*text, quoted);
    ck_assert_msg(line != NULL, "no line of %s", name);
    *strchr(line, '\n') = '\0';
    return line;
}

static bool is_pruned(const struct made_tensor *tensor)
{
    return tensor->has_base && ken_dtype_is_prunable(tensor->dtype) && tensor->rows && tensor->n;
}

static void check_pruned(const struct made_tensor *tensor, const unsigned char *bytes, uint64_t k)
{
    struct naive naive = naive_magnitude(tensor, k);
    char *text, *line = line_of(tensor->name, &text);
    ck_assert_msg(!memcmp(bytes, naive.pruned, tensor->model_length), "%s differs", tensor->name);
    ck_assert_uint_eq(json_number(line, "selected"), naive.selected);
    ck_assert_uint_eq(json_number(line, "unchanged"), naive.unchanged);
    ck_assert_uint_eq(json_number(line, "kept"), naive.kept);
    ck_assert_uint_eq(json_number(line, "reset"), naive.reset);
    ck_assert_uint_eq(json_number(line, "k"), k);
    double relative = strtod(strstr(line, "\"relative_l2\":") + 14, NULL);
    ck_assert_double_le(fabs(relative - naive.relative_l2), 1e-12);
    free(naive.pruned);
    free(text);
}

/* inject(base, delta) is the pruned model, file by file. */
static void check_delta(void)
{
    struct ken_delta *delta;
    struct ken_error error;
    char path[PATH_MAX], model[PATH_MAX];
    struct ken_checkpoint *base = opened(made.base), *pruned;
    snprintf(path, sizeof path, "%s/out/delta.safetensors", pair.folder);
    snprintf(model, sizeof model, "%s/out/model.safetensors.index.json", pair.folder);
    pruned = opened(model);
    ck_assert_msg(!ken_delta_open_path(&delta, path, &error), "%s", error.message);
    ck_assert_msg(!ken_delta_verify(delta, base, pruned, NULL, &error), "%s", error.message);
    char injected[PATH_MAX];
    unit_path(injected, &folder, "injected");
    ck_assert_msg(!ken_inject(delta, base, injected, NULL, NULL, &error), "%s", error.message);
    static const char *const names[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "out/%s", names[i]);
        struct made_file ours = read_file(pair.folder, path), theirs = read_file(injected, names[i]);
        ck_assert_uint_eq(ours.length, theirs.length);
        ck_assert_mem_eq(ours.bytes, theirs.bytes, ours.length);
        free(ours.bytes);
        free(theirs.bytes);
    }
    ken_delta_close(&delta);
    ken_checkpoint_close(&pruned);
    ken_checkpoint_close(&base);
}

static struct ken_checkpoint *opened_pruned(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/out/model.safetensors.index.json", pair.folder);
    return opened(path);
}

START_TEST(equals_a_naive_pruning)
{
    struct ken_options options = magnitude();
    setup();
    run(&options);
    struct ken_checkpoint *pruned = opened_pruned();
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        const struct made_tensor *tensor = &made.tensors[t];
        unsigned char *bytes = bytes_of(pruned, tensor->name);
        if (is_pruned(tensor))
            check_pruned(tensor, bytes, K);
        else
            ck_assert_msg(!memcmp(bytes, tensor->model, tensor->model_length), "%s differs", tensor->name);
        free(bytes);
    }
    ken_checkpoint_close(&pruned);
    check_delta();
    teardown();
}
END_TEST

START_TEST(totals_are_a_partition)
{
    struct ken_options options = magnitude();
    uint64_t expected[6] = {0}; /* parameters, unchanged, kept, reset, whole, added */
    setup();
    run(&options);
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        const struct made_tensor *tensor = &made.tensors[t];
        uint64_t elements = tensor->rows * tensor->n;
        expected[0] += elements;
        if (!tensor->has_base) expected[5] += elements;
        if (tensor->has_base && !ken_dtype_is_prunable(tensor->dtype)) expected[4] += elements;
        if (!is_pruned(tensor)) continue;
        struct naive naive = naive_magnitude(tensor, K);
        expected[1] += naive.unchanged;
        expected[2] += naive.kept;
        expected[3] += naive.reset;
        free(naive.pruned);
    }
    static const char *const keys[] = {"parameters", "unchanged", "kept", "reset", "whole", "added"};
    for (size_t i = 0; i < 6; i++) ck_assert_uint_eq(json_number(pair.totals[0], keys[i]), expected[i]);
    ck_assert_uint_eq(expected[0], expected[1] + expected[2] + expected[3] + expected[4] + expected[5]);
    teardown();
}
END_TEST

static void check_counts(const char *name, uint64_t unchanged, uint64_t kept, uint64_t reset)
{
    char *text, *line = line_of(name, &text);
    ck_assert_uint_eq(json_number(line, "unchanged"), unchanged);
    ck_assert_uint_eq(json_number(line, "kept"), kept);
    ck_assert_uint_eq(json_number(line, "reset"), reset);
    ck_assert_uint_eq(json_number(line, "selected"), 0);
    ck_assert_ptr_nonnull(strstr(line, "\"k\":null"));
    free(text);
}

static bool tells(const struct made_file *file, const char *before, const void *bytes, size_t length)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[KEN_SHA256_HEX_SIZE], text[512];
    ck_assert_int_eq(ken_sha256(bytes, length, sha256, NULL), 0);
    snprintf(text, sizeof text, "%s%s", before, ken_hex_encode(hex, sha256, sizeof sha256));
    return memmem(file->bytes, file->length, text, strlen(text)) != NULL;
}

/* Whatever the order of the tensors in the two files, whichever have no counterpart, and whether the base is converted. */
START_TEST(inputs_are_hashed)
{
    struct ken_options options = magnitude();
    setup();
    run(&options);
    struct made_file report = read_file(pair.folder, "out/report.json"), delta = read_file(pair.folder, "out/delta.safetensors");
    struct ken_checkpoint *model = opened(made.model), *base = opened(made.base), *const sides[] = {model, base};
    for (size_t s = 0; s < 2; s++)
        for (size_t f = 0; f < sides[s]->file_count; f++) {
            struct ken_source *source = sides[s]->files[f].source;
            unsigned char *bytes = malloc(source->size);
            ck_assert_int_eq(ken_source_read(source, 0, bytes, source->size, NULL), 0);
            ck_assert(tells(&report, "\"sha256\":\"", bytes, source->size));
            free(bytes);
        }
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        const struct made_tensor *tensor = &made.tensors[t];
        char before[256];
        if (!tensor->has_base) continue;
        snprintf(before, sizeof before, "\\\"name\\\":\\\"%s\\\",\\\"dtype\\\":\\\"%s\\\",\\\"sha256\\\":\\\"", tensor->name,
                 ken_dtype_name(tensor->base_dtype));
        ck_assert_msg(tells(&delta, before, tensor->base, tensor->base_length), "%s", tensor->name);
    }
    ken_checkpoint_close(&base);
    ken_checkpoint_close(&model);
    free(report.bytes);
    free(delta.bytes);
    teardown();
}
END_TEST

START_TEST(rules_keep_and_reset_and_set_k)
{
    struct ken_rule rules[] = {
        {.match = "w.f16", .action = KEN_ACTION_KEEP},
        {.match = "w.f32", .action = KEN_ACTION_RESET},
        {.match = "to.*", .action = KEN_ACTION_RESET},
        {.match = "ids", .action = KEN_ACTION_RESET},
        {.match = "w.*", .action = KEN_ACTION_PRUNE, .amount = {.k = 4}},
    };
    struct ken_options options = magnitude();
    options.rules = rules;
    options.rule_count = sizeof rules / sizeof *rules;
    setup();
    run(&options);
    struct ken_checkpoint *pruned = opened_pruned();
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        const struct made_tensor *tensor = &made.tensors[t];
        unsigned char *bytes = bytes_of(pruned, tensor->name), *base = calloc(1, tensor->model_length + 1);
        uint64_t elements = tensor->rows * tensor->n;
        if (!strcmp(tensor->name, "w.f16")) {
            uint64_t kept = made_difference(tensor->model, tensor->base, elements, 2);
            ck_assert_mem_eq(bytes, tensor->model, tensor->model_length);
            check_counts("w.f16", elements - kept, kept, 0);
        } else if (!strcmp(tensor->name, "w.f32") || !strcmp(tensor->name, "ids")) {
            uint64_t reset = made_difference(tensor->model, tensor->base, elements, ken_dtype_size(tensor->dtype));
            ck_assert_mem_eq(bytes, tensor->base, tensor->model_length);
            check_counts(tensor->name, elements - reset, 0, reset);
        } else if (!strcmp(tensor->name, "to.bf16")) {
            ken_convert(KEN_F32, tensor->base, KEN_BF16, base, elements);
            ck_assert_mem_eq(bytes, base, tensor->model_length);
        } else if (!strncmp(tensor->name, "w.", 2)) {
            check_pruned(tensor, bytes, 4);
        }
        free(base);
        free(bytes);
    }
    ken_checkpoint_close(&pruned);
    check_delta();
    teardown();
}
END_TEST

START_TEST(every_form_and_method_gives_the_model_back)
{
    static const uint64_t amounts[] = {1, 2, 30, 1000};
    setup();
    for (unsigned method = 0; method < KEN_METHOD_COUNT; method++)
        for (unsigned rescale = 0; rescale < KEN_RESCALE_COUNT; rescale++)
            for (size_t i = 0; i < 4; i++) {
                struct ken_options options = pair_options(amounts[i], 0);
                options.variants[0].method = method;
                options.variants[0].rescale = rescale;
                options.variants[0].duplicates = i % 2 ? KEN_DUPLICATES_ALL : KEN_DUPLICATES_EXACT;
                for (unsigned encoding = 0; encoding < KEN_ENCODING_COUNT; encoding++) {
                    options.encoding = encoding;
                    run(&options);
                    check_delta();
                }
            }
    teardown();
}
END_TEST

/* Puts a value into the checkpoint of one side and writes both again. */
static void poison(const char *name, uint64_t element, double value, bool in_base)
{
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        struct made_tensor *tensor = &made.tensors[t];
        if (strcmp(tensor->name, name) != 0) continue;
        float bits = (float)value;
        ck_assert_int_eq(tensor->dtype, KEN_F32);
        memcpy((in_base ? tensor->base : tensor->model) + element * 4, &bits, 4);
        char shard[PATH_MAX];
        snprintf(shard, sizeof shard, "%s/part-%u.safetensors", in_base ? made.base : made.model,
                 in_base ? tensor->base_shard : tensor->model_shard);
        struct ken_checkpoint *checkpoint = opened(in_base ? made.base : made.model);
        uint64_t offset = ken_checkpoint_find(checkpoint, name)->offset + element * 4;
        ken_checkpoint_close(&checkpoint);
        FILE *file = fopen(shard, "r+");
        ck_assert(file && !fseek(file, (long)offset, SEEK_SET) && fwrite(&bits, 4, 1, file) == 1 && !fclose(file));
    }
}

START_TEST(not_finite_fails_and_names_the_first)
{
    struct ken_options options = magnitude();
    setup();
    poison("from.f16", 5, NAN, false);
    poison("w.f32", 40 * 30 + 7, INFINITY, true);
    poison("w.f32", 40 * 33 + 1, NAN, false);
    for (unsigned threads = 1; threads < 6; threads++) {
        pair.threads = threads;
        fails(&options, KEN_ENON_FINITE, "tensor \"w.f32\", row 30, column 7: NaN or infinity in the base checkpoint");
    }
    ck_assert_ptr_null(pair.files);
    teardown();
}
END_TEST

START_TEST(not_finite_rows_may_be_kept)
{
    struct ken_options options = magnitude();
    options.non_finite = KEN_NON_FINITE_KEEP;
    setup();
    poison("w.f32", 40 * 30 + 7, NAN, false);
    poison("w.f32", 40 * 2 + 1, -INFINITY, true);
    run(&options);
    ck_assert_uint_eq(json_number(pair.totals[0], "non_finite_rows"), 2);
    struct ken_checkpoint *pruned = opened_pruned();
    unsigned char *bytes = bytes_of(pruned, "w.f32");
    const struct made_tensor *tensor = &made.tensors[0];
    ck_assert_str_eq(tensor->name, "w.f32");
    const size_t row = 160; /* bytes */
    ck_assert_mem_eq(bytes + row * 30, tensor->model + row * 30, row);
    ck_assert_mem_eq(bytes + row * 2, tensor->model + row * 2, row);
    struct naive naive = naive_magnitude(tensor, K);
    ck_assert_mem_eq(bytes + row * 29, naive.pruned + row * 29, row);
    free(naive.pruned);
    free(bytes);
    ken_checkpoint_close(&pruned);
    check_delta();
    teardown();
}
END_TEST

START_TEST(not_finite_is_told_of_the_converted_base)
{
    static const uint16_t tuned[] = {0x3c00, 0x4000, 0x4200, 0x4400};
    static const float old[] = {1, 2, 1e30F, 4.5F};
    char of_model[PATH_MAX], of_base[PATH_MAX];
    struct make_tensor tensor = {.name = "w", .dtype = "F16", .shape = "[4]", .data = tuned, .length = sizeof tuned};
    setup();
    write_safetensors(folder.path, "tuned", NULL, &tensor, 1);
    tensor = (struct make_tensor){.name = "w", .dtype = "F32", .shape = "[4]", .data = old, .length = sizeof old};
    write_safetensors(folder.path, "old", NULL, &tensor, 1);
    pair.model = unit_path(of_model, &folder, "tuned");
    pair.base = unit_path(of_base, &folder, "old");
    struct ken_options options = pair_options(1, 0);
    fails(&options, KEN_ENON_FINITE, "tensor \"w\", row 0, column 2: NaN or infinity in the base checkpoint, converted to F16");
    options.non_finite = KEN_NON_FINITE_KEEP;
    run(&options);
    ck_assert_uint_eq(json_number(pair.totals[0], "non_finite_rows"), 1);
    ck_assert_uint_eq(json_number(pair.totals[0], "kept"), 2);
    ck_assert_uint_eq(json_number(pair.totals[0], "unchanged"), 2);
    teardown();
}
END_TEST

START_TEST(without_a_base_may_fail)
{
    struct ken_options options = magnitude();
    options.unmatched = KEN_UNMATCHED_FAIL;
    setup();
    fails(&options, KEN_EMISMATCH, "\"narrowed\" has no counterpart");
    struct ken_rule reset = {.match = "head", .action = KEN_ACTION_RESET};
    options = magnitude();
    options.rules = &reset;
    options.rule_count = 1;
    fails(&options, KEN_EMISMATCH, "\"head\" is to be reset");
    teardown();
}
END_TEST

START_TEST(only_wanted_outputs_are_made)
{
    struct ken_options options = magnitude();
    setup();
    options.outputs = KEN_OUTPUT_DELTA;
    run(&options);
    ck_assert_ptr_nonnull(strstr(pair.files, "delta.safetensors "));
    ck_assert_ptr_null(strstr(pair.files, "model-"));
    ck_assert_ptr_null(strstr(pair.files, "report"));
    options.outputs = KEN_OUTPUT_REPORT;
    run(&options);
    ck_assert_ptr_eq(strstr(pair.files, "report.json "), pair.files);
    ck_assert_ptr_null(strstr(pair.files, "delta"));
    ck_assert_uint_gt(json_number(pair.totals[0], "kept"), 0);
    teardown();
}
END_TEST

/* One row with `changed` values that differ, at multiples of `distance` from `first` on; every one is kept. */
static void check_form(size_t first, size_t distance, size_t changed, const char *described)
{
    enum { N = 200000 };
    static float model[N], base[N];
    char of_model[PATH_MAX], of_base[PATH_MAX], path[PATH_MAX];
    memset(model, 0, sizeof model);
    for (size_t i = 0; i < changed; i++) model[first + i * distance] = 1;
    struct make_tensor tensor = {.name = "w", .dtype = "F32", .shape = "[200000]", .data = model, .length = sizeof model};
    write_safetensors(folder.path, "tuned", NULL, &tensor, 1);
    tensor.data = base;
    write_safetensors(folder.path, "old", NULL, &tensor, 1);
    struct ken_options options = pair_options(changed, 0);
    options.variants[0].method = KEN_METHOD_MAGNITUDE;
    pair.model = unit_path(of_model, &folder, "tuned");
    pair.base = unit_path(of_base, &folder, "old");
    run(&options);

    struct made_file file = read_file(pair.folder, "out/delta.safetensors");
    file.bytes[file.length - 1] = '\0';
    ck_assert_msg(strstr((const char *)file.bytes + 8, described) != NULL, "no %s in %s", described, (const char *)file.bytes + 8);
    free(file.bytes);
    struct ken_delta *delta;
    struct ken_error error;
    struct ken_checkpoint *old = opened(pair.base), *pruned;
    snprintf(path, sizeof path, "%s/out/model.safetensors", pair.folder);
    pruned = opened(path);
    snprintf(path, sizeof path, "%s/out/delta.safetensors", pair.folder);
    ck_assert_msg(!ken_delta_open_path(&delta, path, &error), "%s", error.message);
    ck_assert_msg(!ken_delta_verify(delta, old, pruned, NULL, &error), "%s", error.message);
    bool whole = ken_delta_tensor(delta, 0)->form == KEN_FORM_WHOLE;
    ck_assert_uint_eq(ken_delta_tensor(delta, 0)->stored, whole ? N : changed);
    ck_assert_uint_eq(json_number(pair.totals[0], "kept"), changed);
    ken_delta_close(&delta);
    ken_checkpoint_close(&pruned);
    ken_checkpoint_close(&old);
}

/* The entries of a delta have longer names than the tensors, of which the longest must not make a delta that cannot be read. */
START_TEST(the_longest_name_comes_back)
{
    static char name[KEN_TENSOR_NAME_MAX + 1];
    char of_model[PATH_MAX], of_base[PATH_MAX], path[PATH_MAX];
    float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    setup();
    memset(name, 'n', KEN_TENSOR_NAME_MAX);
    struct make_tensor tensor = {.name = name, .dtype = "F32", .shape = "[8]", .data = values, .length = sizeof values};
    write_safetensors(folder.path, "tuned", NULL, &tensor, 1);
    values[3] = 0;
    write_safetensors(folder.path, "old", NULL, &tensor, 1);
    pair.model = unit_path(of_model, &folder, "tuned");
    pair.base = unit_path(of_base, &folder, "old");
    struct ken_options options = magnitude();
    run(&options);
    struct ken_delta *delta;
    struct ken_error error;
    struct ken_checkpoint *old = opened(pair.base), *pruned = opened(unit_path(path, &folder, "work/out/model.safetensors"));
    ck_assert_msg(!ken_delta_open_path(&delta, unit_path(path, &folder, "work/out/delta.safetensors"), &error), "%s", error.message);
    ck_assert_uint_eq(ken_delta_tensor(delta, 0)->stored, 1);
    ck_assert_msg(!ken_delta_verify(delta, old, pruned, NULL, &error), "%s", error.message);
    ken_delta_close(&delta);
    ken_checkpoint_close(&pruned);
    ken_checkpoint_close(&old);
    teardown();
}
END_TEST

/* delta-format.md: a gap is counted from the element behind the last one stored. */
START_TEST(the_smallest_form_is_taken)
{
    setup();
    check_form(65535, 65536, 3, "\"w.gaps\":{\"dtype\":\"U16\",\"shape\":[3]");
    check_form(65536, 65536, 3, "\"w.gaps\":{\"dtype\":\"U32\",\"shape\":[3]");
    check_form(0, 65537, 3, "\"w.gaps\":{\"dtype\":\"U32\",\"shape\":[3]");
    check_form(3, 16, 12499, "\"w.gaps\":{\"dtype\":\"U16\",\"shape\":[12499]"); /* 24998 bytes, the mask 25000 */
    check_form(3, 15, 12500, "\"w.mask\":{\"dtype\":\"U8\",\"shape\":[25000]");  /* a tie */
    check_form(0, 1, 193749, "\"w.mask\":{\"dtype\":\"U8\",\"shape\":[25000]");
    check_form(0, 1, 193750, "\"w.whole\":{\"dtype\":\"F32\",\"shape\":[200000]"); /* a tie */
    teardown();
}
END_TEST

UNIT_MAIN("prune", equals_a_naive_pruning, totals_are_a_partition, inputs_are_hashed, rules_keep_and_reset_and_set_k,
          every_form_and_method_gives_the_model_back, not_finite_fails_and_names_the_first, not_finite_rows_may_be_kept,
          not_finite_is_told_of_the_converted_base, without_a_base_may_fail, only_wanted_outputs_are_made, the_smallest_form_is_taken,
          the_longest_name_comes_back)
