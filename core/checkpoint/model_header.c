/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"

#include "json_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

static void add_tensor(struct ken_json_writer *json, const struct ken_header_tensor *tensor, uint64_t begin, uint64_t end)
{
    ken_json_key(json, tensor->name);
    ken_json_begin_object(json);
    ken_json_key(json, "dtype");
    ken_json_string(json, ken_dtype_name(tensor->dtype));
    ken_json_key(json, "shape");
    ken_json_uints(json, tensor->shape, tensor->rank);
    ken_json_key(json, "data_offsets");
    ken_json_uints(json, (const uint64_t[]){begin, end}, 2);
    ken_json_end_object(json);
}

static int take(struct ken_json_writer *json, char **text, size_t *length, struct ken_error *error)
{
    int code = ken_json_writer_take(json, text, length);
    return code ? ken_fail(error, code, "writing a header: %s", ken_error_text(code)) : KEN_OK;
}

/* Pads with spaces and puts the length in front. */
static void seal(char *bytes, size_t *length)
{
    while (*length % ALIGNMENT) bytes[(*length)++] = ' ';
    uint64_t json_length = *length - LENGTH_BYTES;
    for (unsigned i = 0; i < LENGTH_BYTES; i++) bytes[i] = (char)(unsigned char)(json_length >> (8 * i));
}

int ken_model_header_make(char **bytes, size_t *length, const char *metadata_json, const struct ken_header_tensor *tensors, size_t count,
                          struct ken_error *error)
{
    static const char room_for_length[LENGTH_BYTES], room_for_padding[ALIGNMENT];
    struct ken_json_writer json;
    uint64_t begin = 0;
    ken_json_writer_init(&json);
    ken_json_filler(&json, room_for_length, sizeof room_for_length);
    ken_json_begin_object(&json);
    if (metadata_json) {
        ken_json_key(&json, "__metadata__");
        ken_json_raw(&json, metadata_json, strlen(metadata_json));
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t end;
        KEN_ASSERT(!__builtin_add_overflow(begin, tensors[i].length, &end));
        add_tensor(&json, &tensors[i], begin, end);
        begin = end;
    }
    ken_json_end_object(&json);
    ken_json_filler(&json, room_for_padding, sizeof room_for_padding);
    int code = take(&json, bytes, length, error);
    if (code) return code;
    *length -= sizeof room_for_padding;
    seal(*bytes, length);
    return KEN_OK;
}

void ken_model_file_name(char name[KEN_MODEL_NAME_SIZE], size_t index, size_t count, bool has_index)
{
    KEN_ASSERT(index < count && (has_index || count == 1));
    if (has_index)
        snprintf(name, KEN_MODEL_NAME_SIZE, "model-%05zu-of-%05zu.safetensors", index + 1, count);
    else
        snprintf(name, KEN_MODEL_NAME_SIZE, "%s", KEN_MODEL_FILE_NAME);
}

static int compare_entries(const void *a, const void *b)
{
    const struct ken_index_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static void line(struct ken_json_writer *json, const char *text)
{
    ken_json_filler(json, text, strlen(text));
}

int ken_model_index_make(char **text, size_t *length, struct ken_index_entry *entries, size_t count, size_t file_count, uint64_t total_size,
                         struct ken_error *error)
{
    struct ken_json_writer json;
    ken_json_writer_init(&json);
    if (count) qsort(entries, count, sizeof *entries, compare_entries);
    line(&json, "{\n  \"metadata\": {\n    \"total_size\": ");
    ken_json_uint(&json, total_size);
    line(&json, "\n  },\n  \"weight_map\": {");
    for (size_t i = 0; i < count; i++) {
        char file[KEN_MODEL_NAME_SIZE];
        ken_model_file_name(file, entries[i].file, file_count, true);
        line(&json, i ? ",\n    " : "\n    ");
        ken_json_string(&json, entries[i].name);
        line(&json, ": ");
        ken_json_string(&json, file);
    }
    line(&json, count ? "\n  }\n}\n" : "}\n}\n");
    return take(&json, text, length, error);
}
