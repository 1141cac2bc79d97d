/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fails the first allocation of libken, then the second, and so on until the operation succeeds: each must end in KEN_ENOMEM and leave
 * nothing behind.
 */
#include "checkpoint/checkpoint.h"
#include "compare/compare.h"
#include "compare/overlap.h"
#include "delta/delta.h"
#include "digest.h"
#include "failing_alloc.h"
#include "json_writer.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "make_torch.h"
#include "prune_pair.h"
#include "pruning/prune.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Runs the operation with its n-th allocation failing, for n = 1, 2, ... until it succeeds; returns how many there were. It opens so many
 * checkpoints, each of which may survive a failure: that of giving back what an array has too much of. */
static size_t sweep(int (*operation)(void *opaque, struct ken_error *error), void *opaque, unsigned checkpoints)
{
    unsigned survived = 0;
    for (size_t n = 1;; n++) {
        struct ken_error error = {0};
        long before = held;
        countdown = n;
        int code = operation(opaque, &error);
        bool reached = countdown == 0;
        countdown = 0;
        ck_assert_msg(held == before, "allocation %zu: %ld left", n, held - before);
        if (!reached) {
            ck_assert_int_eq(code, KEN_OK);
            return n - 1;
        }
        if (!code && ++survived <= checkpoints) continue;
        ck_assert_msg(code == KEN_ENOMEM, "allocation %zu: %d %s", n, code, error.message);
        ck_assert_int_eq(error.code, KEN_ENOMEM);
        ck_assert_str_ne(error.message, "");
    }
}

static int open_and_close(void *path, struct ken_error *error)
{
    struct ken_checkpoint *checkpoint = NULL;
    int code = ken_checkpoint_open_path(&checkpoint, path, NULL, error);
    if (code && checkpoint) code = KEN_EINTERNAL; /* no assertions in here: Check allocates too */
    ken_checkpoint_close(&checkpoint);
    return code;
}

START_TEST(opening_checkpoints)
{
    static const struct make_tensor first[] = {{"a", "F32", "[2,3]", NULL, 24}, {"b", "F32", "[3]", NULL, 12}};
    static const struct make_tensor second[] = {{"c", "U8", "[1]", NULL, 1}};
    static const char index[] = "{\"weight_map\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"2\"}}";
    struct unit_folder folder;
    char path[PATH_MAX];
    unit_folder_make(&folder);
    write_safetensors(folder.path, "1", "{\"k\":\"v\"}", first, 2);
    write_safetensors(folder.path, "2", NULL, second, 1);
    write_file(folder.path, "index", index, strlen(index));
    unit_path(path, &folder, "1");
    ck_assert_uint_ge(sweep(open_and_close, path, 1), 12);
    unit_path(path, &folder, "index");
    ck_assert_uint_ge(sweep(open_and_close, path, 1), 25);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(opening_torch_files)
{
    static const struct make_torch_tensor tensors[] = {
        {"a", "FloatStorage", 0, 6, 4, 0, 2, {2, 3}, {3, 1}},
        {"turned", "FloatStorage", 0, 6, 4, 0, 2, {3, 2}, {1, 3}},
        {"tied", "FloatStorage", 0, 6, 4, 0, 2, {2, 3}, {3, 1}},
    };
    struct unit_folder folder;
    char path[PATH_MAX];
    unit_folder_make(&folder);
    struct made_file file = make_torch(tensors, 3);
    write_file(folder.path, "1", file.bytes, file.length);
    free(file.bytes);
    unit_path(path, &folder, "1");
    ck_assert_uint_ge(sweep(open_and_close, path, 1), 20);
    unit_folder_remove(&folder);
}
END_TEST

/* What a delta is applied with. */
struct delta_files {
    char delta[PATH_MAX], base[PATH_MAX], model[PATH_MAX];
};

static int open_and_verify(void *opaque, struct ken_error *error)
{
    const struct delta_files *files = opaque;
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL, *model = NULL;
    int code = ken_delta_open_path(&delta, files->delta, error);
    if (!code) code = ken_checkpoint_open_path(&base, files->base, NULL, error);
    if (!code) code = ken_checkpoint_open_path(&model, files->model, NULL, error);
    if (!code) code = ken_delta_verify(delta, base, model, NULL, error);
    ken_checkpoint_close(&model);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return code;
}

static int compare_all(void *opaque, struct ken_error *error)
{
    const struct delta_files *files = opaque;
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    struct ken_side a = {0}, b = {0};
    struct ken_comparison comparison = {0};
    struct ken_overlap overlap = {0};
    int code = ken_delta_open_path(&delta, files->delta, error);
    if (!code) code = ken_checkpoint_open_path(&base, files->base, NULL, error);
    if (!code) code = ken_side_open(&a, base, NULL, error);
    if (!code) code = ken_side_open(&b, base, delta, error);
    if (!code) code = ken_compare(&comparison, &a, &b, NULL, error);
    if (!code) code = ken_overlap(&overlap, delta, delta, base, NULL, error);
    ken_overlap_free(&overlap);
    ken_comparison_free(&comparison);
    ken_side_close(&b);
    ken_side_close(&a);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return code;
}

START_TEST(using_deltas)
{
    static const unsigned char base[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const char metadata[] =
        "{\"format\":\"ken-delta\",\"version\":\"1\",\"encoding\":\"plain\",\"model\":\"{\\\"files\\\":[{\\\"name\\\":"
        "\\\"model-00001-of-00001.safetensors\\\",\\\"metadata\\\":{\\\"format\\\":\\\"pt\\\"},\\\"tensors\\\":[\\\"a\\\"]}],"
        "\\\"index\\\":\\\"model.safetensors.index.json\\\"}\",\"tensors\":\"{\\\"a\\\":{\\\"dtype\\\":\\\"F32\\\",\\\"shape\\\":"
        "[2],\\\"base\\\":{\\\"name\\\":\\\"a\\\",\\\"dtype\\\":\\\"F32\\\",\\\"sha256\\\":\\\"%s\\\"},\\\"form\\\":"
        "\\\"mask\\\",\\\"stored\\\":1}}\"}";
    const struct make_tensor base_tensor = {"a", "F32", "[2]", base, 8};
    const struct make_tensor entries[] = {{"a.values", "F32", "[1]", base, 4}, {"a.mask", "U8", "[1]", "\2", 1}};
    static const unsigned char model[8] = {1, 2, 3, 4, 1, 2, 3, 4};
    const struct make_tensor model_tensor = {"a", "F32", "[2]", model, 8};
    static const char index[] = "{\"weight_map\":{\"a\":\"model-1\"}}";
    char text[sizeof metadata + KEN_SHA256_HEX_SIZE], hex[KEN_SHA256_HEX_SIZE];
    unsigned char sha256[KEN_SHA256_SIZE];
    struct delta_files files;
    struct unit_folder folder;
    unit_folder_make(&folder);
    ck_assert_int_eq(ken_sha256(base, sizeof base, sha256, NULL), KEN_OK);
    snprintf(text, sizeof text, metadata, ken_hex_encode(hex, sha256, sizeof sha256));
    write_safetensors(folder.path, "base", NULL, &base_tensor, 1);
    write_safetensors(folder.path, "delta", text, entries, 2);
    unit_path(files.delta, &folder, "delta");
    unit_path(files.base, &folder, "base");
    unit_path(files.model, &folder, "model");
    write_safetensors(folder.path, "model-1", "{\"format\":\"pt\"}", &model_tensor, 1);
    write_file(folder.path, "model", index, strlen(index));
    ck_assert_uint_ge(sweep(open_and_verify, &files, 3), 40);
    ck_assert_uint_ge(sweep(compare_all, &files, 2), 60);
    unit_folder_remove(&folder);
}
END_TEST

/* A pair that is opened already. */
struct opened_pair {
    struct ken_checkpoint *model, *base;
    struct ken_options options;
};

static int make_plan(void *opaque, struct ken_error *error)
{
    const struct opened_pair *pair = opaque;
    const struct ken_plan_limits limits = {.memory = 96 << 20, .threads = 2};
    struct ken_plan *plan = NULL;
    int code = ken_plan_make(&plan, pair->model, pair->base, &pair->options, &limits, error);
    if (code && plan) code = KEN_EINTERNAL; /* no assertions in here: Check allocates too */
    ken_plan_free(&plan);
    return code;
}

START_TEST(planning_with_other_names)
{
    static const struct make_tensor model[] = {{"module.a", "F32", "[3]", NULL, 12}, {"b", "F32", "[3]", NULL, 12}};
    static const struct make_tensor base[] = {{"a", "F32", "[3]", NULL, 12}, {"d", "F32", "[3]", NULL, 12}};
    struct ken_renaming names[] = {{"b", "c"}};
    struct opened_pair pair = {
        .options = {.variants = {{.amount = {.k = 1}}}, .variant_count = 1, .outputs = KEN_OUTPUT_DELTA, .names = names, .name_count = 1}};
    struct made_file files[] = {make_safetensors(NULL, model, 2), make_safetensors("{\"c\":\"d\"}", base, 2)};
    ck_assert_int_eq(open_memory(&pair.model, files[0].bytes, files[0].length, NULL, NULL), KEN_OK);
    ck_assert_int_eq(open_memory(&pair.base, files[1].bytes, files[1].length, NULL, NULL), KEN_OK);
    ck_assert_uint_ge(sweep(make_plan, &pair, 0), 14);
    ken_checkpoint_close(&pair.model);
    ken_checkpoint_close(&pair.base);
    for (size_t i = 0; i < 2; i++) free(files[i].bytes);
}
END_TEST

/* What a packed delta is injected with. */
struct injection {
    char delta[PATH_MAX], base[PATH_MAX];
    int directory; /* that the model is written into */
};

static int open_and_inject(void *opaque, struct ken_error *error)
{
    const struct injection *injection = opaque;
    struct ken_inject_file files[4];
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    int code = ken_delta_open_path(&delta, injection->delta, error);
    if (!code) code = ken_checkpoint_open_path(&base, injection->base, NULL, error);
    if (!code && ken_inject_file_count(delta) > sizeof files / sizeof *files) code = KEN_EINTERNAL;
    if (!code) code = ken_inject_into(delta, base, injection->directory, ".", files, NULL, error);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return code;
}

START_TEST(injecting_packed_deltas)
{
    struct unit_folder folder;
    struct injection injection;
    struct made_pair made;
    char work[PATH_MAX], out[PATH_MAX];
    struct ken_options options = pair_options(5, 0);
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    ck_assert_int_eq(mkdir(unit_path(out, &folder, "again"), 0777), 0);
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work};
    options.encoding = KEN_ENCODING_PACKED;
    ck_assert_int_eq(prune_pair(&pair, &options), KEN_OK);
    unit_path(injection.delta, &folder, "work/out/delta.safetensors");
    snprintf(injection.base, sizeof injection.base, "%s", made.base);
    injection.directory = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(injection.directory, 0);
    ck_assert_uint_ge(sweep(open_and_inject, &injection, 2), 100);
    close(injection.directory);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

static int write_json(void *opaque, struct ken_error *error)
{
    struct ken_json_writer writer;
    (void)opaque;
    ken_json_writer_init(&writer);
    ken_json_begin_array(&writer);
    for (unsigned i = 0; i < 5000; i++) ken_json_uint(&writer, i);
    ken_json_end_array(&writer);
    int code = ken_json_writer_finish(&writer, NULL, NULL);
    ken_json_writer_free(&writer);
    return code ? ken_fail(error, code, "%s", ken_error_text(code)) : KEN_OK;
}

START_TEST(writing_json)
{
    ck_assert_uint_ge(sweep(write_json, NULL, 0), 3);
}
END_TEST

UNIT_MAIN("out_of_memory", opening_checkpoints, opening_torch_files, using_deltas, planning_with_other_names, injecting_packed_deltas,
          writing_json)
