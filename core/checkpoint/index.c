/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/index.h"
#include "array.h"
#include "json_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 160 };

/* A reading of an index. Files are numbered as they come, and by rank at the end. */
struct reading {
    struct ken_index *index;
    struct ken_json_reader json;
    const char *label;
    uint64_t max_tensors;
    size_t tensor_capacity, file_capacity, order_capacity;
    uint32_t *order; /* [file_count] numbers of files, sorted by name */
    struct ken_error *error;
};

bool ken_file_name_is_safe(const char *name, size_t length)
{
    size_t begin = 0;
    if (!length || length > KEN_FILE_NAME_MAX) return false;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && name[i] != '/') {
            unsigned char byte = (unsigned char)name[i];
            if (byte < 0x20 || byte == 0x7f || strchr("\\:?#%", byte)) return false;
            continue;
        }
        size_t component = i - begin;
        bool dots = (component == 1 || component == 2) && memcmp(name + begin, "..", component) == 0;
        if (!component || dots) return false;
        begin = i + 1;
    }
    return true;
}

/* Where the name of a file stands in reading->order, or would; true if it is there. */
static bool find_file(const struct reading *reading, const char *name, size_t *place)
{
    size_t low = 0, high = reading->index->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, reading->index->files[reading->order[middle]]);
        if (!order) {
            *place = middle;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *place = low;
    return false;
}

static int add_file(struct reading *reading, size_t place)
{
    struct ken_index *index = reading->index;
    if (index->file_count == KEN_SHARDS_MAX)
        return ken_fail(reading->error, KEN_ETOO_LARGE, "%s: more than %d files", reading->label, KEN_SHARDS_MAX);
    uint32_t *order = ken_array_grow(reading->order, index->file_count, &reading->order_capacity, sizeof *order);
    if (!order) return ken_fail_no_memory(reading->error, reading->label);
    reading->order = order;
    const char **files = ken_array_grow(index->files, index->file_count, &reading->file_capacity, sizeof *files);
    if (!files) return ken_fail_no_memory(reading->error, reading->label);
    index->files = files;
    const char *name = ken_arena_copy(&index->arena, reading->json.text, reading->json.length);
    if (!name) return ken_fail_no_memory(reading->error, reading->label);
    memmove(reading->order + place + 1, reading->order + place, (index->file_count - place) * sizeof *reading->order);
    reading->order[place] = (uint32_t)index->file_count;
    index->files[index->file_count++] = name;
    return KEN_OK;
}

/* "tensor": "file" of the weight_map; the key was read. */
static int read_mapping(struct reading *reading)
{
    struct ken_index *index = reading->index;
    struct ken_json_reader *json = &reading->json;
    char shown[SHOWN];
    if (!json->length || json->length > KEN_TENSOR_NAME_MAX || memchr(json->text, '\0', json->length))
        return ken_json_fail(json, reading->error, "a tensor's name is empty, too long or has a NUL character");
    if (index->tensor_count == reading->max_tensors)
        return ken_fail(reading->error, KEN_ETOO_LARGE, "%s: more than %" PRIu64 " tensors", reading->label, reading->max_tensors);
    struct ken_index_tensor *tensors = ken_array_grow(index->tensors, index->tensor_count, &reading->tensor_capacity, sizeof *tensors);
    if (!tensors) return ken_fail_no_memory(reading->error, reading->label);
    index->tensors = tensors;
    const char *name = ken_arena_copy(&index->arena, json->text, json->length);
    if (!name) return ken_fail_no_memory(reading->error, reading->label);
    int code = ken_json_expect(json, KEN_JSON_STRING, "the name of a file", reading->error);
    if (code) return code;
    if (!ken_file_name_is_safe(json->text, json->length))
        return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: file name \"%s\" is not a plain relative path", reading->label,
                        ken_printable(shown, sizeof shown, json->text, json->length));
    size_t place;
    if (!find_file(reading, json->text, &place) && (code = add_file(reading, place))) return code;
    index->tensors[index->tensor_count++] = (struct ken_index_tensor){.name = name, .file = reading->order[place]};
    return KEN_OK;
}

static int read_weight_map(struct reading *reading)
{
    int code = ken_json_expect(&reading->json, KEN_JSON_OBJECT, "weight_map to be an object", reading->error);
    while (!code && !(code = ken_json_next(&reading->json, reading->error)) && reading->json.token == KEN_JSON_KEY)
        code = read_mapping(reading);
    return code;
}

static int read_top(struct reading *reading)
{
    struct ken_json_reader *json = &reading->json;
    bool weight_map = false, metadata = false;
    int code = ken_json_expect(json, KEN_JSON_OBJECT, "an object", reading->error);
    while (!code && !(code = ken_json_next(json, reading->error)) && json->token == KEN_JSON_KEY) {
        bool is_map = ken_json_text_is(json, "weight_map"), is_metadata = ken_json_text_is(json, "metadata");
        if ((is_map && weight_map) || (is_metadata && metadata)) return ken_json_fail(json, reading->error, "a key appears twice");
        weight_map |= is_map;
        metadata |= is_metadata;
        if (is_map)
            code = read_weight_map(reading);
        else if (!(code = ken_json_next(json, reading->error)))
            code = ken_json_skip(json, reading->error);
    }
    if (!code) code = ken_json_expect(json, KEN_JSON_END, "the end", reading->error);
    if (code) return code;
    if (!weight_map) return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: no weight_map, hence not an index", reading->label);
    if (!reading->index->tensor_count) return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: weight_map is empty", reading->label);
    return KEN_OK;
}

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const struct ken_index_tensor *)a)->name, ((const struct ken_index_tensor *)b)->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts files and tensors, and finds tensors that are mapped twice. */
static int arrange(struct reading *reading)
{
    struct ken_index *index = reading->index;
    char shown[SHOWN];
    uint32_t *rank = malloc(index->file_count * sizeof *rank);
    if (!rank) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < index->file_count; i++) rank[reading->order[i]] = (uint32_t)i;
    for (size_t i = 0; i < index->tensor_count; i++) index->tensors[i].file = rank[index->tensors[i].file];
    free(rank);
    qsort(index->files, index->file_count, sizeof *index->files, compare_names);
    qsort(index->tensors, index->tensor_count, sizeof *index->tensors, compare_tensors);
    for (size_t i = 1; i < index->tensor_count; i++) {
        const char *name = index->tensors[i].name;
        if (strcmp(index->tensors[i - 1].name, name) == 0)
            return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\" is mapped twice", reading->label,
                            ken_printable(shown, sizeof shown, name, strlen(name)));
    }
    return KEN_OK;
}

int ken_index_read(struct ken_index *index, struct ken_source *source, const char *label, const struct ken_checkpoint_limits *limits,
                   struct ken_error *error)
{
    *index = (struct ken_index){0};
    if (source->size > limits->max_header_bytes)
        return ken_fail(error, KEN_ETOO_LARGE, "%s: an index of %" PRIu64 " bytes is over the limit of %" PRIu64, label, source->size,
                        limits->max_header_bytes);
    struct reading reading = {.index = index, .label = label, .max_tensors = limits->max_tensors, .error = error};
    int code = ken_json_reader_open(&reading.json, source, 0, source->size, label, KEN_EBAD_CHECKPOINT, error);
    if (!code) code = read_top(&reading);
    if (!code) code = arrange(&reading);
    ken_json_reader_free(&reading.json);
    free(reading.order);
    return code;
}

void ken_index_free(struct ken_index *index)
{
    ken_arena_free(&index->arena);
    free(index->files);
    free(index->tensors);
    *index = (struct ken_index){0};
}
