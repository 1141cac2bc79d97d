/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/checkpoint.h"
#include "make_checkpoint.h"
#include "unit.h"
#include "unit_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a checkpoint of three files, in memory; some tests exchange a part of it */

enum { FILES = 4, INDEX = 0 };

static const struct make_tensor first[] = {{"z.weight", "F32", "[2,3]", NULL, 24}, {"a.bias", "F32", "[3]", NULL, 12}};
static const struct make_tensor second[] = {{"m.weight", "BF16", "[4]", NULL, 8}};
static const struct make_tensor third[] = {{"b", "I64", "[]", NULL, 8}, {"empty", "F16", "[0,4]", NULL, 0}};
#define MAPPING                                                                                                                \
    "\"a.bias\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\",\"empty\":\"m-3.safetensors\",\"m.weight\":\"m-2.safetensors\"," \
    "\"z.weight\":\"m-1.safetensors\""

struct sharded {
    struct memory_file files[FILES]; /* the index first */
    struct made_file made[FILES];
    struct memory_opener opener;
};

static void make_sharded(struct sharded *sharded, const char *index)
{
    static const char *const names[FILES] = {"model.safetensors.index.json", "m-3.safetensors", "m-1.safetensors", "m-2.safetensors"};
    sharded->made[INDEX] = (struct made_file){(unsigned char *)strdup(index), strlen(index)};
    sharded->made[1] = make_safetensors("{\"part\":\"3\"}", third, 2);
    sharded->made[2] = make_safetensors(NULL, first, 2);
    sharded->made[3] = make_safetensors("{\"part\":\"2\"}", second, 1);
    for (size_t i = 0; i < FILES; i++) sharded->files[i] = (struct memory_file){names[i], sharded->made[i].bytes, sharded->made[i].length};
    sharded->opener = make_opener(sharded->files, FILES, false);
}

static void free_sharded(struct sharded *sharded)
{
    ck_assert_int_eq(sharded->opener.open_sources, 0);
    for (size_t i = 0; i < FILES; i++) free(sharded->made[i].bytes);
}

static void assert_sharded(const struct ken_checkpoint *checkpoint)
{
    static const char *const files[] = {"m-1.safetensors", "m-2.safetensors", "m-3.safetensors"};
    static const char *const metadata[] = {NULL, "{\"part\":\"2\"}", "{\"part\":\"3\"}"};
    static const size_t counts[] = {2, 1, 2};
    static const char *const names[] = {"z.weight", "a.bias", "m.weight", "b", "empty"};
    static const uint32_t file_of[] = {0, 0, 1, 2, 2};
    ck_assert(checkpoint->has_index);
    ck_assert_uint_eq(checkpoint->file_count, 3);
    for (size_t i = 0, at = 0; i < 3; at += counts[i++]) {
        ck_assert_str_eq(checkpoint->files[i].name, files[i]);
        ck_assert_pstr_eq(checkpoint->files[i].metadata_json, metadata[i]);
        ck_assert_uint_eq(checkpoint->files[i].first, at);
        ck_assert_uint_eq(checkpoint->files[i].count, counts[i]);
    }
    ck_assert_uint_eq(checkpoint->tensor_count, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(checkpoint->tensors[i].name, names[i]);
        ck_assert_uint_eq(checkpoint->tensors[i].file, file_of[i]);
        ck_assert_ptr_eq(ken_checkpoint_find(checkpoint, names[i]), &checkpoint->tensors[i]);
    }
    ck_assert_ptr_null(ken_checkpoint_find(checkpoint, "b."));
    ck_assert_ptr_null(ken_checkpoint_find(checkpoint, ""));
    ck_assert_ptr_null(ken_checkpoint_find(checkpoint, "zz"));
}

START_TEST(a_sharded_checkpoint_is_one)
{
    for (int is_folder = 0; is_folder < 2; is_folder++) {
        struct sharded sharded;
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        make_sharded(&sharded, "{\"weight_map\":{" MAPPING "}}");
        sharded.opener.opener.is_folder = is_folder;
        ck_assert_msg(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, NULL, &error) == KEN_OK, "%s", error.message);
        ck_assert_int_eq(sharded.opener.open_sources, 3); /* the index is closed */
        assert_sharded(checkpoint);
        ken_checkpoint_close(&checkpoint);
        ck_assert_ptr_null(checkpoint);
        free_sharded(&sharded);
    }
}
END_TEST

#define LABEL "model.safetensors.index.json: "

static const char *const contradictions[][2] = {
    {"\"b\":\"m-3.safetensors\",\"empty\":\"m-3.safetensors\",\"m.weight\":\"m-2.safetensors\",\"z.weight\":\"m-1.safetensors\"",
     LABEL "tensor \"a.bias\" of m-1.safetensors is not in the weight_map"},
    {"\"a.bias\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\",\"empty\":\"m-3.safetensors\",\"m.weight\":\"m-2.safetensors\","
     "\"z\":\"m-1.safetensors\"",
     LABEL "tensor \"z\" is mapped to m-1.safetensors, which does not have it"},
    {MAPPING ",\"zz\":\"m-2.safetensors\"", LABEL "tensor \"zz\" is mapped to m-2.safetensors, which does not have it"},
    {"\"a.bias\":\"m-2.safetensors\",\"b\":\"m-3.safetensors\",\"empty\":\"m-3.safetensors\",\"m.weight\":\"m-2.safetensors\","
     "\"z.weight\":\"m-1.safetensors\"",
     LABEL "tensor \"a.bias\" is mapped to m-2.safetensors, but it is in m-1.safetensors"},
    {"\"a.bias\":\"m-1.safetensors\"", LABEL "tensor \"z.weight\" of m-1.safetensors is not in the weight_map"},
    {MAPPING ",\"c\":\"m-4.safetensors\"", LABEL "file \"m-4.safetensors\" does not exist"},
    {MAPPING ",\"c\":\"model.safetensors.index.json\"", "model.safetensors.index.json: neither a safetensors nor a torch file, but JSON"},
    {MAPPING ",\"c\":\"../m-1.safetensors\"", LABEL "file name \"../m-1.safetensors\" is not a plain relative path"},
};

START_TEST(an_index_that_contradicts_its_files_is_refused)
{
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        struct sharded sharded;
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        char index[1000];
        snprintf(index, sizeof index, "{\"weight_map\":{%s}}", contradictions[i][0]);
        make_sharded(&sharded, index);
        ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, NULL, &error), KEN_EBAD_CHECKPOINT);
        ck_assert_str_eq(error.message, contradictions[i][1]);
        ck_assert_ptr_null(checkpoint);
        free_sharded(&sharded);
    }
}
END_TEST

/* Opens the sharded checkpoint with m-2.safetensors exchanged. */
static int open_with(struct made_file file, struct ken_error *error)
{
    struct sharded sharded;
    struct ken_checkpoint *checkpoint = NULL;
    make_sharded(&sharded, "{\"weight_map\":{" MAPPING "}}");
    sharded.files[3].bytes = file.bytes;
    sharded.files[3].length = file.length;
    int code = ken_checkpoint_open(&checkpoint, &sharded.opener.opener, NULL, error);
    ken_checkpoint_close(&checkpoint);
    free_sharded(&sharded);
    return code;
}

START_TEST(a_tensor_in_two_files_is_refused)
{
    static const struct make_tensor twice[] = {{"m.weight", "BF16", "[4]", NULL, 8}, {"b", "I64", "[]", NULL, 8}};
    struct ken_error error = {0};
    struct made_file file = make_safetensors(NULL, twice, 2);
    ck_assert_int_eq(open_with(file, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, LABEL "tensor \"b\" is mapped to m-3.safetensors, but it is in m-2.safetensors");
    free(file.bytes);
    static const struct make_tensor later[] = {{"m.weight", "BF16", "[4]", NULL, 8}, {"a.bias", "I64", "[]", NULL, 8}};
    file = make_safetensors(NULL, later, 2);
    ck_assert_int_eq(open_with(file, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, LABEL "tensor \"a.bias\" is in both m-1.safetensors and m-2.safetensors");
    free(file.bytes);
}
END_TEST

START_TEST(a_malformed_shard_is_named)
{
    struct ken_error error = {0};
    ck_assert_int_eq(open_with((struct made_file){(unsigned char *)"<html>", 6}, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "m-2.safetensors: this is an HTML page, not a checkpoint");
    ck_assert_int_eq(open_with((struct made_file){(unsigned char *)"PK\3\4", 4}, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "m-2.safetensors: torch file: 4 bytes are too few for a zip");
    ck_assert_int_eq(open_with((struct made_file){(unsigned char *)"\3\0\0\0\0\0\0\0{}", 10}, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "m-2.safetensors: a header of 3 bytes reaches beyond the end of the file of 10");
}
END_TEST

START_TEST(limits_hold_for_all_files_together)
{
    struct sharded sharded;
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    make_sharded(&sharded, "{\"weight_map\":{" MAPPING "}}");
    struct ken_checkpoint_limits limits = {1000, 5, 0};
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, &limits, NULL), KEN_OK);
    ken_checkpoint_close(&checkpoint);
    limits.max_tensors = 4;
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, &limits, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, LABEL "more than 4 tensors");
    free_sharded(&sharded);

    char metadata[900] = "{\"x\":\"";
    size_t prefix = strlen(metadata);
    memset(metadata + prefix, 'x', 800);
    memcpy(metadata + prefix + 800, "\"}", 3);
    make_sharded(&sharded, "{\"weight_map\":{" MAPPING "}}");
    struct made_file large = make_safetensors(metadata, second, 1), other = make_safetensors(metadata, third, 2);
    sharded.files[3].bytes = large.bytes;
    sharded.files[3].length = large.length;
    limits = (struct ken_checkpoint_limits){1000, 5, 0};
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, &limits, NULL), KEN_OK);
    ken_checkpoint_close(&checkpoint);
    sharded.files[1].bytes = other.bytes;
    sharded.files[1].length = other.length;
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, &limits, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, "m-3.safetensors: names, shapes and metadata take more than the limit of 1000 bytes");
    free(large.bytes);
    free(other.bytes);
    free_sharded(&sharded);
}
END_TEST

START_TEST(a_read_that_fails_anywhere_is_passed_on)
{
    for (size_t fail_at = 1;; fail_at++) {
        struct sharded sharded;
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        make_sharded(&sharded, "{\"weight_map\":{" MAPPING "}}");
        sharded.opener.fail_read_at = fail_at;
        int code = ken_checkpoint_open(&checkpoint, &sharded.opener.opener, NULL, &error);
        ken_checkpoint_close(&checkpoint);
        free_sharded(&sharded);
        if (!code) {
            ck_assert_uint_ge(fail_at, 11); /* the index two, each of three files three */
            break;
        }
        ck_assert_int_eq(code, KEN_EIO);
        ck_assert_str_eq(error.message, "a read failed on purpose");
    }
}
END_TEST

START_TEST(opening_errors_are_passed_on)
{
    struct sharded sharded;
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    make_sharded(&sharded, "{}");
    sharded.opener.fail_open = KEN_EADDRESS;
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &sharded.opener.opener, NULL, &error), KEN_EADDRESS);
    ck_assert_str_eq(error.message, "opening failed on purpose");
    free_sharded(&sharded);
}
END_TEST

/* ---- on disk */

static void write_sharded(const struct unit_folder *folder)
{
    static const char index[] = "{\"weight_map\":{" MAPPING "}}";
    write_safetensors(folder->path, "m-1.safetensors", NULL, first, 2);
    write_safetensors(folder->path, "m-2.safetensors", "{\"part\":\"2\"}", second, 1);
    write_safetensors(folder->path, "m-3.safetensors", "{\"part\":\"3\"}", third, 2);
    write_file(folder->path, "model.safetensors.index.json", index, strlen(index));
}

START_TEST(paths_of_all_kinds_are_opened)
{
    static const char *const ways[] = {"", "/", "///", "/model.safetensors.index.json", "/./model.safetensors.index.json"};
    struct unit_folder folder;
    unit_folder_make(&folder);
    write_sharded(&folder);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char path[PATH_MAX];
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        snprintf(path, sizeof path, "%s%s", folder.path, ways[i]);
        ck_assert_msg(ken_checkpoint_open_path(&checkpoint, path, NULL, &error) == KEN_OK, "%s", error.message);
        assert_sharded(checkpoint);
        for (size_t j = 0; j < 3; j++) ck_assert_int_eq(ken_source_check(checkpoint->files[j].source, NULL), KEN_OK);
        ken_checkpoint_close(&checkpoint);
    }
    ck_assert_int_eq(chdir(folder.path), 0);
    static const char *const relative[] = {".", "model.safetensors.index.json"};
    for (size_t i = 0; i < 2; i++) {
        struct ken_checkpoint *checkpoint = NULL;
        ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, relative[i], NULL, NULL), KEN_OK);
        assert_sharded(checkpoint);
        ken_checkpoint_close(&checkpoint);
    }
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_single_file_has_one_name)
{
    struct unit_folder folder;
    char path[PATH_MAX];
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    unit_folder_make(&folder);
    write_safetensors(folder.path, "other.bin", NULL, first, 2);
    ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, unit_path(path, &folder, "other.bin"), NULL, NULL), KEN_OK);
    ck_assert_str_eq(checkpoint->files[0].name, "model.safetensors");
    ck_assert_str_eq(checkpoint->files[0].label, path);
    ck_assert(!checkpoint->has_index);
    ken_checkpoint_close(&checkpoint);
    write_file(folder.path, "page", "<html>", 6);
    ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, unit_path(path, &folder, "page"), NULL, &error), KEN_EBAD_CHECKPOINT);
    const char *behind = strstr(error.message, ": this is an HTML page, not a checkpoint");
    ck_assert(behind && (size_t)(behind - error.message) == strlen(path) && memcmp(error.message, path, strlen(path)) == 0);
    ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, unit_path(path, &folder, "none"), NULL, &error), KEN_ENOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "/none\" does not exist"));
    ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, folder.path, NULL, &error), KEN_ENOT_FOUND);
    ck_assert_int_eq(ken_checkpoint_open_path(&checkpoint, "", NULL, &error), KEN_ENOT_FOUND);
    ck_assert_ptr_null(checkpoint);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_real_pair_matches)
{
    const char *data = getenv("KEND_TEST_DATA");
    ck_assert_msg(data != NULL, "KEND_TEST_DATA is not set");
    char path[PATH_MAX];
    struct ken_checkpoint *base = NULL, *model = NULL;
    snprintf(path, sizeof path, "%s/era-bf16/base.safetensors", data);
    ck_assert_int_eq(ken_checkpoint_open_path(&base, path, NULL, NULL), KEN_OK);
    snprintf(path, sizeof path, "%s/era-bf16/finetuned.safetensors", data);
    ck_assert_int_eq(ken_checkpoint_open_path(&model, path, NULL, NULL), KEN_OK);
    ck_assert_uint_eq(base->tensor_count, 50);
    ck_assert_uint_eq(model->tensor_count, 52);
    ck_assert_str_eq(model->files[0].metadata_json, "{\"format\":\"pt\"}");
    uint64_t elements = 0, added = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct ken_tensor *tensor = &model->tensors[i], *twin = ken_checkpoint_find(base, tensor->name);
        ck_assert_int_eq(tensor->dtype, KEN_BF16);
        elements += ken_tensor_elements(tensor);
        if (!twin) {
            added++;
            continue;
        }
        ck_assert(ken_tensor_same_shape(tensor, twin));
    }
    ck_assert_uint_eq(added, 2);
    ck_assert_uint_eq(elements, 2944516);
    const struct ken_tensor *head = ken_checkpoint_find(model, "cls.weight");
    ck_assert_uint_eq(head->rows, 4);
    ck_assert_uint_eq(head->n, 192);
    ck_assert(!ken_tensor_same_shape(head, ken_checkpoint_find(model, "cls.bias")));
    ken_checkpoint_close(&model);
    ken_checkpoint_close(&base);
}
END_TEST

/* ---- many tensors */

START_TEST(a_hundred_thousand_tensors_are_found)
{
    enum { COUNT = 100000 };
    size_t capacity = (size_t)COUNT * 128 + 2, at = 0;
    char *header = malloc(capacity);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned number = (unsigned)((uint64_t)i * 61001 % COUNT); /* names in no order */
        at += (size_t)snprintf(header + at, capacity - at,
                               "%c\"model.layers.%u.mlp.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}", i ? ',' : '{',
                               number, i, i + 1);
    }
    header[at++] = '}';
    unsigned char *data = calloc(1, COUNT);
    struct made_file file = make_raw(header, at, data, COUNT);
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_msg(open_memory(&checkpoint, file.bytes, file.length, NULL, &error) == KEN_OK, "%s", error.message);
    for (size_t i = 0; i < COUNT; i++) ck_assert(ken_checkpoint_find(checkpoint, checkpoint->tensors[i].name) == &checkpoint->tensors[i]);
    ken_checkpoint_close(&checkpoint);
    free(file.bytes);
    free(data);
    free(header);
}
END_TEST

UNIT_MAIN("checkpoint", a_sharded_checkpoint_is_one, an_index_that_contradicts_its_files_is_refused, a_tensor_in_two_files_is_refused,
          a_malformed_shard_is_named, limits_hold_for_all_files_together, a_read_that_fails_anywhere_is_passed_on,
          opening_errors_are_passed_on, paths_of_all_kinds_are_opened, a_single_file_has_one_name, a_real_pair_matches,
          a_hundred_thousand_tensors_are_found)
