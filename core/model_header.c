/* SPDX-License-Identifier: Apache-2.0 */
#include "model_header.h"

#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

static void add_name(struct ken_text *text, const char *name)
{
    ken_text_add_json(text, name, strlen(name));
}

static void add_tensor(struct ken_text *text, const struct ken_header_tensor *tensor, uint64_t begin, uint64_t end)
{
    add_name(text, tensor->name);
    ken_text_add_string(text, ":{\"dtype\":\"");
    ken_text_add_string(text, ken_dtype_name(tensor->dtype));
    ken_text_add_string(text, "\",\"shape\":[");
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (i) ken_text_add(text, ",", 1);
        ken_text_add_number(text, tensor->shape[i]);
    }
    ken_text_add_string(text, "],\"data_offsets\":[");
    ken_text_add_number(text, begin);
    ken_text_add(text, ",", 1);
    ken_text_add_number(text, end);
    ken_text_add_string(text, "]}");
}

void ken_model_header_write(struct ken_text *text, const char *metadata_json, const struct ken_header_tensor *tensors, size_t count)
{
    static const char zeros[LENGTH_BYTES];
    size_t start = text->length;
    ken_text_add(text, zeros, sizeof zeros);
    ken_text_add(text, "{", 1);
    if (metadata_json) {
        ken_text_add_string(text, "\"__metadata__\":");
        ken_text_add_string(text, metadata_json);
    }
    uint64_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t end;
        KEN_ASSERT(!__builtin_add_overflow(begin, tensors[i].length, &end));
        if (i || metadata_json) ken_text_add(text, ",", 1);
        add_tensor(text, &tensors[i], begin, end);
        begin = end;
    }
    ken_text_add(text, "}", 1);
    while (!text->failed && (text->length - start) % ALIGNMENT) ken_text_add(text, " ", 1);
    if (text->failed) return;
    uint64_t length = text->length - start - LENGTH_BYTES;
    for (unsigned i = 0; i < LENGTH_BYTES; i++) text->data[start + i] = (char)(unsigned char)(length >> (8 * i));
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

void ken_model_index_write(struct ken_text *text, struct ken_index_entry *entries, size_t count, size_t file_count, uint64_t total_size)
{
    if (count) qsort(entries, count, sizeof *entries, compare_entries);
    ken_text_add_string(text, "{\n  \"metadata\": {\n    \"total_size\": ");
    ken_text_add_number(text, total_size);
    ken_text_add_string(text, "\n  },\n  \"weight_map\": {");
    for (size_t i = 0; i < count; i++) {
        char file[KEN_MODEL_NAME_SIZE];
        ken_model_file_name(file, entries[i].file, file_count, true);
        ken_text_add_string(text, i ? ",\n    " : "\n    ");
        add_name(text, entries[i].name);
        ken_text_add_string(text, ": ");
        add_name(text, file);
    }
    ken_text_add_string(text, count ? "\n  }\n}\n" : "}\n}\n");
}
