/* SPDX-License-Identifier: Apache-2.0 */
/* The two JSON texts in a delta's metadata. */
#include "array.h"
#include "checkpoint/index.h"
#include "checkpoint/metadata.h"
#include "checkpoint/model_header.h"
#include "checkpoint/shape.h"
#include "delta/delta_internal.h"
#include "json_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reading of one text. */
struct parsing {
    struct ken_delta *delta;
    struct ken_json_reader json;
    size_t file_capacity, tensor_capacity;
    struct ken_error *error;
};

static int no_memory(const struct parsing *parsing)
{
    return ken_fail_no_memory(parsing->error, "a delta");
}

/* A copy of the last string or key, or NULL with *code. */
static const char *keep_text(struct parsing *parsing, int *code)
{
    const struct ken_json_reader *json = &parsing->json;
    if (memchr(json->text, '\0', json->length)) {
        *code = ken_json_fail(json, parsing->error, "a name has a NUL character");
        return NULL;
    }
    const char *copy = ken_arena_copy(&parsing->delta->arena, json->text, json->length);
    if (!copy) *code = no_memory(parsing);
    return copy;
}

/* Reads the string that must come next. */
static int read_string(struct parsing *parsing, const char *what, const char **text)
{
    int code = ken_json_expect(&parsing->json, KEN_JSON_STRING, what, parsing->error);
    if (!code) *text = keep_text(parsing, &code);
    return code;
}

/* One member of an object, told by its key. */
struct member {
    const char *key;
    int (*read)(struct parsing *parsing, void *target);
};

/* Reads an object, whose first token was read, that must have exactly these members, each once. */
static int read_members(struct parsing *parsing, const struct member *members, size_t count, void *target)
{
    struct ken_json_reader *json = &parsing->json;
    unsigned seen = 0;
    int code;
    while (!(code = ken_json_next(json, parsing->error)) && json->token == KEN_JSON_KEY) {
        size_t i = 0;
        while (i < count && !ken_json_text_is(json, members[i].key)) i++;
        if (i == count) return ken_json_fail(json, parsing->error, "unknown member");
        if (seen & 1U << i) return ken_json_fail(json, parsing->error, "the member appears twice");
        seen |= 1U << i;
        if ((code = members[i].read(parsing, target))) return code;
    }
    for (size_t i = 0; i < count && !code; i++) {
        char reason[64];
        if (seen & 1U << i) continue;
        snprintf(reason, sizeof reason, "member \"%s\" is missing", members[i].key);
        code = ken_json_fail(json, parsing->error, reason);
    }
    return code;
}

/* ---- model */

static int read_file_name(struct parsing *parsing, void *target)
{
    struct ken_delta_file *file = target;
    return read_string(parsing, "the file's name", &file->name);
}

static int read_file_metadata(struct parsing *parsing, void *target)
{
    struct ken_delta_file *file = target;
    char *text = NULL;
    size_t length;
    int code = ken_json_next(&parsing->json, parsing->error);
    if (code || parsing->json.token == KEN_JSON_NULL) return code;
    if (parsing->json.token != KEN_JSON_OBJECT) return ken_json_fail(&parsing->json, parsing->error, "metadata is no object and not null");
    code = ken_metadata_read(&parsing->json, KEN_DEFAULT_MAX_TENSORS, &text, &length, parsing->error);
    if (code) return code;
    file->metadata_json = ken_arena_copy(&parsing->delta->arena, text, length);
    free(text);
    return file->metadata_json ? KEN_OK : no_memory(parsing);
}

static int read_file_tensors(struct parsing *parsing, void *target)
{
    struct ken_delta *delta = parsing->delta;
    struct ken_json_reader *json = &parsing->json;
    struct ken_delta_file *file = target;
    int code = ken_json_expect(json, KEN_JSON_ARRAY, "an array of names", parsing->error);
    file->first = delta->tensor_count;
    while (!code && !(code = ken_json_next(json, parsing->error)) && json->token == KEN_JSON_STRING) {
        if (!json->length || json->length > KEN_TENSOR_NAME_MAX)
            return ken_json_fail(json, parsing->error, "a tensor's name has 1 to 4096 bytes");
        if (ken_json_text_is(json, "__metadata__")) return ken_json_fail(json, parsing->error, "no tensor can have that name");
        if (delta->tensor_count == KEN_DEFAULT_MAX_TENSORS) return ken_json_fail(json, parsing->error, "too many tensors");
        struct ken_delta_tensor *tensors = ken_array_grow(delta->tensors, delta->tensor_count, &parsing->tensor_capacity, sizeof *tensors);
        if (!tensors) return no_memory(parsing);
        delta->tensors = tensors;
        const char *name = keep_text(parsing, &code);
        if (!name) return code;
        delta->tensors[delta->tensor_count++] = (struct ken_delta_tensor){.name = name};
    }
    if (!code && json->token != KEN_JSON_ARRAY_END) code = ken_json_fail(json, parsing->error, "expected a tensor's name");
    file->count = delta->tensor_count - file->first;
    return code;
}

static int read_files(struct parsing *parsing, void *target)
{
    static const struct member members[] = {{"name", read_file_name}, {"metadata", read_file_metadata}, {"tensors", read_file_tensors}};
    struct ken_delta *delta = target;
    struct ken_json_reader *json = &parsing->json;
    int code = ken_json_expect(json, KEN_JSON_ARRAY, "an array of files", parsing->error);
    while (!code && !(code = ken_json_next(json, parsing->error)) && json->token == KEN_JSON_OBJECT) {
        struct ken_delta_file file = {0};
        if (delta->file_count == KEN_SHARDS_MAX) return ken_json_fail(json, parsing->error, "too many files");
        struct ken_delta_file *files = ken_array_grow(delta->files, delta->file_count, &parsing->file_capacity, sizeof *files);
        if (!files) return no_memory(parsing);
        delta->files = files;
        code = read_members(parsing, members, sizeof members / sizeof *members, &file);
        if (!code) delta->files[delta->file_count++] = file;
    }
    if (!code && json->token != KEN_JSON_ARRAY_END) code = ken_json_fail(json, parsing->error, "expected a file");
    return code;
}

static int read_index(struct parsing *parsing, void *target)
{
    struct ken_delta *delta = target;
    int code = ken_json_next(&parsing->json, parsing->error);
    if (code || parsing->json.token == KEN_JSON_NULL) return code;
    if (parsing->json.token != KEN_JSON_STRING || !ken_json_text_is(&parsing->json, KEN_MODEL_INDEX_NAME))
        return ken_json_fail(&parsing->json, parsing->error, "index is neither null nor \"" KEN_MODEL_INDEX_NAME "\"");
    delta->has_index = true;
    return KEN_OK;
}

static int check_file_names(const struct ken_delta *delta, struct ken_error *error)
{
    if (!delta->file_count) return ken_fail(error, KEN_EBAD_DELTA, "metadata \"model\": it has no file");
    if (!delta->has_index && delta->file_count > 1)
        return ken_fail(error, KEN_EBAD_DELTA, "metadata \"model\": several files, but no index");
    for (size_t i = 0; i < delta->file_count; i++) {
        char name[KEN_MODEL_NAME_SIZE], shown[KEN_DELTA_LABEL_SIZE];
        ken_model_file_name(name, i, delta->file_count, delta->has_index);
        if (strcmp(name, delta->files[i].name) != 0)
            return ken_fail(error, KEN_EBAD_DELTA, "metadata \"model\": file \"%s\" must be called \"%s\"",
                            ken_printable(shown, sizeof shown, delta->files[i].name, strlen(delta->files[i].name)), name);
        if (delta->has_index && !delta->files[i].count)
            return ken_fail(error, KEN_EBAD_DELTA, "metadata \"model\": file \"%s\" has no tensor", name);
    }
    return KEN_OK;
}

static int compare_names(const void *a, const void *b, void *tensors)
{
    const struct ken_delta_tensor *all = tensors;
    return strcmp(all[*(const size_t *)a].name, all[*(const size_t *)b].name);
}

static int sort_names(struct ken_delta *delta, struct ken_error *error)
{
    size_t count = delta->tensor_count;
    delta->by_name = calloc(count + 1, sizeof *delta->by_name);
    delta->entries = calloc(count + 1, sizeof *delta->entries);
    if (!delta->by_name || !delta->entries) return ken_fail_no_memory(error, "a delta");
    for (size_t i = 0; i < count; i++) delta->by_name[i] = i;
    if (count) qsort_r(delta->by_name, count, sizeof *delta->by_name, compare_names, delta->tensors);
    for (size_t i = 1; i < count; i++)
        if (compare_names(&delta->by_name[i - 1], &delta->by_name[i], delta->tensors) == 0)
            return ken_delta_fail(error, delta->tensors[delta->by_name[i]].name, "it is twice in metadata \"model\"");
    return KEN_OK;
}

int ken_delta_parse_model(struct ken_delta *delta, const char *text, size_t length, struct ken_error *error)
{
    static const struct member members[] = {{"files", read_files}, {"index", read_index}};
    struct parsing parsing = {.delta = delta, .error = error};
    ken_json_reader_open_memory(&parsing.json, text, length, "metadata \"model\"", KEN_EBAD_DELTA);
    int code = ken_json_expect(&parsing.json, KEN_JSON_OBJECT, "an object", error);
    if (!code) code = read_members(&parsing, members, sizeof members / sizeof *members, delta);
    if (!code) code = ken_json_expect(&parsing.json, KEN_JSON_END, "the end", error);
    ken_json_reader_free(&parsing.json);
    if (!code) code = check_file_names(delta, error);
    return code ? code : sort_names(delta, error);
}

/* ---- tensors */

static int read_dtype_word(struct parsing *parsing, enum ken_dtype *dtype)
{
    struct ken_json_reader *json = &parsing->json;
    int code = ken_json_expect(json, KEN_JSON_STRING, "a dtype", parsing->error);
    if (!code && !ken_dtype_parse(json->text, json->length, dtype)) code = ken_json_fail(json, parsing->error, "unknown dtype");
    return code;
}

static int read_dtype(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    return read_dtype_word(parsing, &tensor->dtype);
}

static int read_shape(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    const char *reason;
    int code = ken_shape_read(&parsing->json, &parsing->delta->arena, &tensor->shape, &tensor->rank, &reason, parsing->error);
    return reason ? ken_json_fail(&parsing->json, parsing->error, reason) : code;
}

static int read_base_name(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    return read_string(parsing, "the base tensor's name", &tensor->base_name);
}

static int read_base_dtype(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    return read_dtype_word(parsing, &tensor->base_dtype);
}

static int read_base_sha256(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    struct ken_json_reader *json = &parsing->json;
    int code = ken_json_expect(json, KEN_JSON_STRING, "a SHA-256", parsing->error);
    if (!code && (json->length != strlen(json->text) || !ken_hex_decode(tensor->base_sha256, KEN_SHA256_SIZE, json->text)))
        code = ken_json_fail(json, parsing->error, "no SHA-256 of 64 hexadecimal digits");
    return code;
}

static int read_base(struct parsing *parsing, void *target)
{
    static const struct member members[] = {{"name", read_base_name}, {"dtype", read_base_dtype}, {"sha256", read_base_sha256}};
    struct ken_delta_tensor *tensor = target;
    int code = ken_json_next(&parsing->json, parsing->error);
    if (code || parsing->json.token == KEN_JSON_NULL) return code;
    if (parsing->json.token != KEN_JSON_OBJECT) return ken_json_fail(&parsing->json, parsing->error, "base is no object and not null");
    tensor->has_base = true;
    return read_members(parsing, members, sizeof members / sizeof *members, tensor);
}

const char *ken_form_name(enum ken_form form)
{
    static const char *const names[] = {
#define X(symbol, name) name,
        KEN_FORM_MAP(X)
#undef X
    };
    KEN_ASSERT(form < KEN_FORM_COUNT);
    return names[form];
}

static int read_form(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    int code = ken_json_expect(&parsing->json, KEN_JSON_STRING, "a form", parsing->error);
    if (code) return code;
    unsigned form = 0;
    while (form < KEN_FORM_COUNT && !ken_json_text_is(&parsing->json, ken_form_name((enum ken_form)form))) form++;
    if (form == KEN_FORM_COUNT) return ken_json_fail(&parsing->json, parsing->error, "unknown form");
    tensor->form = (enum ken_form)form;
    return KEN_OK;
}

static int read_stored(struct parsing *parsing, void *target)
{
    struct ken_delta_tensor *tensor = target;
    int code = ken_json_expect(&parsing->json, KEN_JSON_NUMBER, "how many are stored", parsing->error);
    if (!code && !ken_json_uint64(&parsing->json, &tensor->stored))
        code = ken_json_fail(&parsing->json, parsing->error, "stored is no integer from 0 to 2^64-1");
    return code;
}

size_t ken_delta_find(const struct ken_delta *delta, const char *name)
{
    size_t low = 0, high = delta->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, delta->tensors[delta->by_name[middle]].name);
        if (order == 0) return delta->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return delta->tensor_count;
}

/* The number of the tensor that the last key names, or tensor_count. */
static size_t find_tensor(const struct parsing *parsing)
{
    bool has_nul = parsing->json.length != strlen(parsing->json.text);
    return has_nul ? parsing->delta->tensor_count : ken_delta_find(parsing->delta, parsing->json.text);
}

static int read_tensors(struct parsing *parsing)
{
    static const struct member members[] = {
        {"dtype", read_dtype}, {"shape", read_shape}, {"base", read_base}, {"form", read_form}, {"stored", read_stored}};
    struct ken_json_reader *json = &parsing->json;
    struct ken_delta *delta = parsing->delta;
    int code = ken_json_expect(json, KEN_JSON_OBJECT, "an object", parsing->error);
    while (!code && !(code = ken_json_next(json, parsing->error)) && json->token == KEN_JSON_KEY) {
        size_t i = find_tensor(parsing);
        if (i == delta->tensor_count) return ken_json_fail(json, parsing->error, "the model has no tensor of that name");
        if (delta->entries[i].described) return ken_json_fail(json, parsing->error, "the tensor appears twice");
        delta->entries[i].described = true;
        code = ken_json_expect(json, KEN_JSON_OBJECT, "an object", parsing->error);
        if (!code) code = read_members(parsing, members, sizeof members / sizeof *members, &delta->tensors[i]);
    }
    return code ? code : ken_json_expect(json, KEN_JSON_END, "the end", parsing->error);
}

int ken_delta_parse_tensors(struct ken_delta *delta, const char *text, size_t length, struct ken_error *error)
{
    struct parsing parsing = {.delta = delta, .error = error};
    ken_json_reader_open_memory(&parsing.json, text, length, "metadata \"tensors\"", KEN_EBAD_DELTA);
    int code = read_tensors(&parsing);
    ken_json_reader_free(&parsing.json);
    for (size_t i = 0; i < delta->tensor_count && !code; i++)
        if (!delta->entries[i].described) code = ken_delta_fail(error, delta->tensors[i].name, "it is missing in metadata \"tensors\"");
    return code;
}
