/* SPDX-License-Identifier: Apache-2.0 */
/* The real pair in every configuration of its expected.json: digests of every tensor, selected and kept parameters. */
#include "delta/delta.h"
#include "digest.h"
#include "json_reader.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct expectation {
    char name[64];
    struct ken_options options;
    uint64_t selected, kept;
    size_t tensors; /* compared */
};

static void next(struct ken_json_reader *json)
{
    struct ken_error error;
    ck_assert_msg(!ken_json_next(json, &error), "%s", error.message);
}

static void read_job(struct ken_json_reader *json, struct ken_variant *variant)
{
    char key[32];
    next(json);
    for (next(json); json->token == KEN_JSON_KEY; next(json)) {
        snprintf(key, sizeof key, "%s", json->text);
        next(json);
        if (!strcmp(key, "k"))
            variant->amount.k = strtoull(json->text, NULL, 10);
        else if (!strcmp(key, "keep"))
            variant->amount.keep = strtod(json->text, NULL);
        else if (!strcmp(key, "duplicates"))
            variant->duplicates = ken_json_text_is(json, "all") ? KEN_DUPLICATES_ALL : KEN_DUPLICATES_EXACT;
        else if (!strcmp(key, "rescale"))
            variant->rescale = ken_json_text_is(json, "l1") ? KEN_RESCALE_L1 : KEN_RESCALE_NONE;
        else if (!strcmp(key, "method"))
            while (strcmp(ken_method_name(variant->method), json->text) != 0) variant->method++;
        else
            ck_abort_msg("unknown field %s", key);
    }
}

static void check_tensor(const struct ken_checkpoint *pruned, const char *name, const char *expected)
{
    const struct ken_tensor *tensor = ken_checkpoint_find(pruned, name);
    unsigned char sha256[32];
    char hex[65];
    ck_assert_msg(tensor != NULL, "no tensor %s", name);
    unsigned char *bytes = malloc(tensor->length);
    ck_assert_int_eq(ken_source_read(pruned->files[tensor->file].source, tensor->offset, bytes, tensor->length, NULL), 0);
    ck_assert_int_eq(ken_sha256(bytes, tensor->length, sha256, NULL), 0);
    ck_assert_msg(!strcmp(ken_hex_encode(hex, sha256, 32), expected), "tensor %s differs", name);
    free(bytes);
}

static void read_digests(struct ken_json_reader *json, const struct ken_checkpoint *pruned, size_t *tensors)
{
    char name[128];
    next(json);
    for (next(json); json->token == KEN_JSON_KEY; next(json), (*tensors)++) {
        snprintf(name, sizeof name, "%s", json->text);
        next(json);
        check_tensor(pruned, name, json->text);
    }
}

/* The delta and the base give the pruned model back, bit for bit. */
static void check_delta(const struct prune_pair *pair, const struct ken_checkpoint *pruned)
{
    struct ken_checkpoint *base;
    struct ken_delta *delta;
    struct ken_error error;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/out/delta.safetensors", pair->folder);
    ck_assert_int_eq(ken_checkpoint_open_path(&base, pair->base, NULL, NULL), 0);
    ck_assert_msg(!ken_delta_open_path(&delta, path, &error), "%s", error.message);
    ck_assert_msg(!ken_delta_verify(delta, base, pruned, NULL, &error), "%s", error.message);
    ken_delta_close(&delta);
    ken_checkpoint_close(&base);
}

/* Prunes as the job says; the model is left in the folder. */
static void prune(struct prune_pair *pair, const struct expectation *expectation, struct ken_checkpoint **pruned)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/out/model.safetensors", pair->folder);
    ck_assert_msg(!prune_pair(pair, &expectation->options), "%s: %s", expectation->name, pair->error.message);
    ck_assert_int_eq(ken_checkpoint_open_path(pruned, path, NULL, NULL), 0);
    check_delta(pair, *pruned);
}

/* Reads one configuration; `job` stands first in it. */
static void check_configuration(struct ken_json_reader *json, struct prune_pair *pair)
{
    struct expectation expectation = {.options = pair_options(0, 0)};
    struct ken_checkpoint *pruned = NULL;
    char key[32];
    snprintf(expectation.name, sizeof expectation.name, "%s", json->text);
    next(json);
    for (next(json); json->token == KEN_JSON_KEY; next(json)) {
        snprintf(key, sizeof key, "%s", json->text);
        if (!strcmp(key, "job")) {
            read_job(json, &expectation.options.variants[0]);
            prune(pair, &expectation, &pruned);
        } else if (!strcmp(key, "tensor_sha256")) {
            read_digests(json, pruned, &expectation.tensors);
        } else {
            next(json);
            if (!strcmp(key, "selected")) ck_assert_uint_eq(json_number(pair->totals[0], "selected"), strtoull(json->text, NULL, 10));
            if (!strcmp(key, "kept")) ck_assert_uint_eq(json_number(pair->totals[0], "kept"), strtoull(json->text, NULL, 10));
        }
    }
    if (expectation.options.variants[0].rescale == KEN_RESCALE_NONE) ck_assert_uint_gt(expectation.tensors, 50);
    ken_checkpoint_close(&pruned);
}

static void check_pair(const char *which)
{
    char root[512], model[600], base[600];
    struct unit_folder folder;
    unit_folder_make(&folder);
    snprintf(root, sizeof root, "%s/%s", getenv("KEND_TEST_DATA"), which);
    snprintf(model, sizeof model, "%s/finetuned.safetensors", root);
    snprintf(base, sizeof base, "%s/base.safetensors", root);
    struct made_file expected = read_file(root, "expected.json");
    struct prune_pair pair = {.model = model, .base = base, .folder = folder.path};
    struct ken_json_reader json;
    size_t configurations = 0;
    ken_json_reader_open_memory(&json, (const char *)expected.bytes, expected.length, "expected.json", KEN_EINVALID);
    next(&json);
    for (next(&json); json.token == KEN_JSON_KEY; next(&json), configurations++) check_configuration(&json, &pair);
    ck_assert_uint_eq(configurations, 10);
    ken_json_reader_free(&json);
    free(expected.bytes);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}

START_TEST(bfloat16_pair)
{
    check_pair("era-bf16");
}
END_TEST

START_TEST(float32_pair)
{
    check_pair("era-f32");
}
END_TEST

UNIT_MAIN("prune_era", bfloat16_pair, float32_pair)
