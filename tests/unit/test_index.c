/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/index.h"
#include "make_checkpoint.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ken_checkpoint_limits limits = {10000, 100, 0};

/* In texts and messages ' stands for ". */
static int read_index(struct ken_index *index, const char *text, const struct ken_checkpoint_limits *within, struct ken_error *error)
{
    char *copy = strdup(text);
    for (char *at = copy; *at; at++)
        if (*at == '\'') *at = '"';
    const struct memory_file file = {"index", copy, strlen(copy)};
    struct memory_opener opener = make_opener(&file, 1, false);
    struct ken_source *source = NULL;
    ck_assert_int_eq(opener.opener.open(&opener.opener, NULL, &source, NULL), KEN_OK);
    int code = ken_index_read(index, source, "model.json", within, error);
    for (char *at = error->message; *at; at++)
        if (*at == '"') *at = '\'';
    ken_source_close(&source);
    free(copy);
    return code;
}

START_TEST(an_index_is_sorted)
{
    struct ken_index index;
    struct ken_error error = {0};
    static const char text[] = " {'metadata': {'total_size': 12, 'x': [1, {'y': null}]}, 'format': 'pt', 'weight_map': "
                               "{'c': 'model-2.safetensors', 'a': 'model-3.safetensors', '\\u0062': 'sub/model-1.safetensors', "
                               "'B': 'model-2.safetensors'}}\n";
    ck_assert_msg(read_index(&index, text, &limits, &error) == KEN_OK, "%s", error.message);
    static const char *const files[] = {"model-2.safetensors", "model-3.safetensors", "sub/model-1.safetensors"};
    static const struct ken_index_tensor tensors[] = {{"B", 0}, {"a", 1}, {"b", 2}, {"c", 0}};
    ck_assert_uint_eq(index.file_count, 3);
    for (size_t i = 0; i < 3; i++) ck_assert_str_eq(index.files[i], files[i]);
    ck_assert_uint_eq(index.tensor_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(index.tensors[i].name, tensors[i].name);
        ck_assert_uint_eq(index.tensors[i].file, tensors[i].file);
    }
    ken_index_free(&index);
}
END_TEST

static const char *const bad[][2] = {
    {"", "byte 0: expected a value"},
    {"[]", "byte 0: expected an object"},
    {"{}", "no weight_map, hence not an index"},
    {"{'metadata':{}}", "no weight_map, hence not an index"},
    {"{'weight_map':{}}", "weight_map is empty"},
    {"{'weight_map':[]}", "byte 14: expected weight_map to be an object"},
    {"{'weight_map':null}", "byte 14: expected weight_map to be an object"},
    {"{'weight_map':{'a':1}}", "byte 19: expected the name of a file"},
    {"{'weight_map':{'a':null}}", "byte 19: expected the name of a file"},
    {"{'weight_map':{'a':['f']}}", "byte 19: expected the name of a file"},
    {"{'weight_map':{'a':'f'},'weight_map':{'b':'f'}}", "byte 24: a key appears twice"},
    {"{'metadata':{},'metadata':{},'weight_map':{'a':'f'}}", "byte 15: a key appears twice"},
    {"{'weight_map':{'a':'f','a':'f'}}", "tensor 'a' is mapped twice"},
    {"{'weight_map':{'a':'f','b':'g','\\u0061':'g'}}", "tensor 'a' is mapped twice"},
    {"{'weight_map':{'':'f'}}", "byte 15: a tensor's name is empty, too long or has a NUL character"},
    {"{'weight_map':{'a\\u0000':'f'}}", "byte 15: a tensor's name is empty, too long or has a NUL character"},
    {"{'weight_map':{'a':'f'}", "byte 23: expected ',' or '}'"},
    {"{'weight_map':{'a':'f'}} x", "byte 25: unexpected text after the value"},
    {"{'metadata':{'a':01},'weight_map':{'a':'f'}}", "byte 17: malformed number"},
    {"{'metadata':{'a':[1,]},'weight_map':{'a':'f'}}", "byte 20: expected a value"},
    {"{'metadata':{'a':'\xff'},'weight_map':{'a':'f'}}", "byte 17: a string is not valid UTF-8"},
    {"{'weight_map':{'a':''}}", "file name '' is not a plain relative path"},
    {"{'weight_map':{'a':'../f'}}", "file name '../f' is not a plain relative path"},
    {"{'weight_map':{'a':'/etc/passwd'}}", "file name '/etc/passwd' is not a plain relative path"},
    {"{'weight_map':{'a':'\\u002e\\u002e/f'}}", "file name '../f' is not a plain relative path"},
    {"{'weight_map':{'a':'http://x/f'}}", "file name 'http://x/f' is not a plain relative path"},
    {"{'weight_map':{'a':'f\\u0000.safetensors'}}", "file name 'f\\x00.safetensors' is not a plain relative path"},
};

START_TEST(malformed_indexes_are_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ken_index index;
        struct ken_error error = {0};
        char wanted[512], *at;
        ck_assert_msg(read_index(&index, bad[i][0], &limits, &error) == KEN_EBAD_CHECKPOINT, "%s", bad[i][0]);
        snprintf(wanted, sizeof wanted, "model.json: %s", bad[i][1]);
        for (at = wanted; *at; at++)
            if (*at == '"') *at = '\'';
        ck_assert_str_eq(error.message, wanted);
        ken_index_free(&index);
    }
}
END_TEST

START_TEST(depth_is_bounded_in_what_is_ignored)
{
    char text[400] = "{'x':";
    struct ken_index index;
    struct ken_error error = {0};
    memset(text + 5, '[', 300);
    ck_assert_int_eq(read_index(&index, text, &limits, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "model.json: byte 68: nested too deeply");
    ken_index_free(&index);
}
END_TEST

START_TEST(limits_are_held_exactly)
{
    static const char text[] = "{'weight_map':{'a':'f','b':'f'}}";
    struct ken_index index;
    struct ken_error error = {0};
    ck_assert_int_eq(read_index(&index, text, &(struct ken_checkpoint_limits){strlen(text), 2, 0}, &error), KEN_OK);
    ken_index_free(&index);
    ck_assert_int_eq(read_index(&index, text, &(struct ken_checkpoint_limits){strlen(text) - 1, 2, 0}, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, "model.json: an index of 32 bytes is over the limit of 31");
    ken_index_free(&index);
    ck_assert_int_eq(read_index(&index, text, &(struct ken_checkpoint_limits){strlen(text), 1, 0}, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, "model.json: more than 1 tensors");
    ken_index_free(&index);
}
END_TEST

START_TEST(shards_are_at_most_4096)
{
    for (int shards = 4096; shards <= 4097; shards++) {
        size_t capacity = (size_t)shards * 40 + 100;
        char *text = malloc(capacity);
        int at = snprintf(text, capacity, "{'weight_map':{");
        for (int i = 0; i < shards; i++) /* neither ascending nor descending */
            at += snprintf(text + at, capacity - (size_t)at, "%s't%d':'f%04d'", i ? "," : "", i, i * 1237 % shards);
        snprintf(text + at, capacity - (size_t)at, "}}");
        struct ken_index index;
        struct ken_error error = {0};
        int code = read_index(&index, text, &(struct ken_checkpoint_limits){1000000, 10000, 0}, &error);
        ck_assert_int_eq(code, shards == 4096 ? KEN_OK : KEN_ETOO_LARGE);
        if (code) ck_assert_str_eq(error.message, "model.json: more than 4096 files");
        for (size_t i = 0; i < index.tensor_count && !code; i++) {
            int number = atoi(index.tensors[i].name + 1);
            ck_assert_int_eq(atoi(index.files[index.tensors[i].file] + 1), number * 1237 % shards);
        }
        ken_index_free(&index);
        free(text);
    }
}
END_TEST

START_TEST(file_names_are_vetted)
{
    static const char *const safe[] = {"model.safetensors",
                                       "model-00001-of-00002.safetensors",
                                       "a/b/c",
                                       "..a",
                                       "a..",
                                       "...",
                                       "a b",
                                       "\xc3\xa9.safetensors",
                                       "-",
                                       "~",
                                       "a/..b",
                                       "a@b&c=d;e"};
    static const char *const unsafe[] = {"",        "/",    "/a",     "a/",    "a//b",     ".",    "..",    "./a",        "../a",
                                         "a/.",     "a/..", "a/../b", "a/./b", "..\\a",    "a\\b", "C:a",   "http://h/a", "file:/a",
                                         "data:,a", "a?b",  "a#b",    "a%2e",  "%2e%2e/a", "a\nb", "a\x7f", "a\tb",       "//host/a"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) ck_assert_msg(ken_file_name_is_safe(safe[i], strlen(safe[i])), "%s", safe[i]);
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
        ck_assert_msg(!ken_file_name_is_safe(unsafe[i], strlen(unsafe[i])), "%s", unsafe[i]);
    ck_assert(!ken_file_name_is_safe("a\0b", 3));
    char name[1100];
    memset(name, 'n', sizeof name);
    ck_assert(ken_file_name_is_safe(name, 1024));
    ck_assert(!ken_file_name_is_safe(name, 1025));
}
END_TEST

UNIT_MAIN("index", an_index_is_sorted, malformed_indexes_are_refused_with_the_reason, depth_is_bounded_in_what_is_ignored,
          limits_are_held_exactly, shards_are_at_most_4096, file_names_are_vetted)
