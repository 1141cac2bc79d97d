/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"
#include "unit.h"

#include <string.h>

/* json: without the spaces behind it, of which there must be `spaces`. */
static void check_header(const char *metadata, const struct ken_header_tensor *tensors, size_t count, const char *json, size_t spaces)
{
    struct ken_error error = {0};
    char *bytes = NULL;
    size_t length = 0;
    uint64_t told;
    ck_assert_int_eq(ken_model_header_make(&bytes, &length, metadata, tensors, count, &error), KEN_OK);
    ck_assert_uint_eq(length % 8, 0);
    ck_assert_uint_eq(length, 8 + strlen(json) + spaces);
    memcpy(&told, bytes, sizeof told);
    ck_assert_uint_eq(told, length - 8);
    ck_assert_mem_eq(bytes + 8, json, strlen(json));
    ck_assert_mem_eq(bytes + 8 + strlen(json), "        ", spaces);
    free(bytes);
}

START_TEST(a_header_without_tensors)
{
    check_header(NULL, NULL, 0, "{}", 6);
    check_header("{}", NULL, 0, "{\"__metadata__\":{}}", 5);
}
END_TEST

START_TEST(metadata_come_first_and_tensors_lie_one_behind_the_other)
{
    const uint64_t shape[] = {2, 3};
    const struct ken_header_tensor tensors[] = {
        {"z", KEN_BF16, 2, shape, 12}, {"empty", KEN_F32, 1, (const uint64_t[]){0}, 0}, {"a", KEN_I64, 0, NULL, 8}};
    check_header("{\"format\":\"pt\"}", tensors, 3,
                 "{\"__metadata__\":{\"format\":\"pt\"},\"z\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                 "\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[12,12]},"
                 "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[12,20]}}",
                 6);
}
END_TEST

START_TEST(nothing_is_padded_where_nothing_is_needed)
{
    const struct ken_header_tensor tensor = {"a", KEN_U8, 0, NULL, 1};
    check_header(NULL, &tensor, 1, "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 4);
    const struct ken_header_tensor longer = {"abbbb", KEN_U8, 0, NULL, 1};
    check_header(NULL, &longer, 1, "{\"abbbb\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 0);
}
END_TEST

START_TEST(names_are_escaped_only_where_json_demands_it)
{
    const struct ken_header_tensor tensor = {"\xc3\xa9/\x7f\"\\\b\f\n\r\t\x01\x1f", KEN_U8, 0, NULL, 1};
    check_header(NULL, &tensor, 1,
                 "{\"\xc3\xa9/\x7f\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 7);
}
END_TEST

START_TEST(a_name_that_is_not_utf8_is_refused)
{
    const struct ken_header_tensor tensor = {"\xff", KEN_U8, 0, NULL, 1};
    struct ken_error error = {0};
    char *bytes = NULL;
    size_t length;
    ck_assert_int_eq(ken_model_header_make(&bytes, &length, NULL, &tensor, 1, &error), KEN_EINVALID);
    ck_assert_ptr_null(bytes);
}
END_TEST

START_TEST(files_are_named_by_their_number)
{
    char name[KEN_MODEL_NAME_SIZE];
    ken_model_file_name(name, 0, 1, false);
    ck_assert_str_eq(name, "model.safetensors");
    ken_model_file_name(name, 0, 1, true);
    ck_assert_str_eq(name, "model-00001-of-00001.safetensors");
    ken_model_file_name(name, 11, 123, true);
    ck_assert_str_eq(name, "model-00012-of-00123.safetensors");
}
END_TEST

START_TEST(an_index_has_sorted_keys)
{
    struct ken_index_entry entries[] = {{"b.weight", 1}, {"b", 0}, {"\xc3\xa9\"", 1}, {"B", 0}};
    struct ken_error error = {0};
    char *text = NULL;
    size_t length = 0;
    ck_assert_int_eq(ken_model_index_make(&text, &length, entries, 4, 2, 18446744073709551615U, &error), KEN_OK);
    ck_assert_str_eq(text, "{\n"
                           "  \"metadata\": {\n"
                           "    \"total_size\": 18446744073709551615\n"
                           "  },\n"
                           "  \"weight_map\": {\n"
                           "    \"B\": \"model-00001-of-00002.safetensors\",\n"
                           "    \"b\": \"model-00001-of-00002.safetensors\",\n"
                           "    \"b.weight\": \"model-00002-of-00002.safetensors\",\n"
                           "    \"\xc3\xa9\\\"\": \"model-00002-of-00002.safetensors\"\n"
                           "  }\n"
                           "}\n");
    ck_assert_uint_eq(length, strlen(text));
    free(text);
    ck_assert_int_eq(ken_model_index_make(&text, &length, NULL, 0, 1, 0, &error), KEN_OK);
    ck_assert_str_eq(text, "{\n  \"metadata\": {\n    \"total_size\": 0\n  },\n  \"weight_map\": {}\n}\n");
    free(text);
}
END_TEST

UNIT_MAIN("model_header", a_header_without_tensors, metadata_come_first_and_tensors_lie_one_behind_the_other,
          nothing_is_padded_where_nothing_is_needed, names_are_escaped_only_where_json_demands_it, a_name_that_is_not_utf8_is_refused,
          files_are_named_by_their_number, an_index_has_sorted_keys)
