/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta.h"

#include "checkpoint/model_header.h"
#include "checkpoint/shape.h"
#include "delta/delta_internal.h"
#include "delta/packed.h"
#include "json_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A delta's header has each tensor's name up to five times, and its entries' names are longer by a suffix: a delta of any model that may be
 * pruned can be read. */
const struct ken_checkpoint_limits ken_delta_limits = {
    .max_header_bytes = 8 * KEN_DEFAULT_MAX_HEADER_BYTES,
    .max_tensors = 2 * KEN_DEFAULT_MAX_TENSORS,
    .max_name_bytes = KEN_TENSOR_NAME_MAX + sizeof ".values" - 1,
};

int ken_delta_fail(struct ken_error *error, const char *tensor, const char *format, ...)
{
    char shown[KEN_DELTA_LABEL_SIZE], reason[KEN_DELTA_LABEL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return ken_fail(error, KEN_EBAD_DELTA, "tensor \"%s\": %s", ken_printable(shown, sizeof shown, tensor, strlen(tensor)), reason);
}

/* ---- metadata */

#define METADATA_MAP(X) X(FORMAT, "format") X(VERSION, "version") X(ENCODING, "encoding") X(MODEL, "model") X(TENSORS, "tensors")
#define X(symbol, name) METADATA_##symbol,
enum { METADATA_MAP(X) METADATA_COUNT };
#undef X

struct metadata {
    struct ken_arena arena;
    const char *text[METADATA_COUNT]; /* NULL where there is none */
    size_t length[METADATA_COUNT];
    bool has_other; /* a key that a delta has not */
};

static int read_metadata(struct metadata *metadata, const struct ken_checkpoint *checkpoint, struct ken_error *error)
{
    static const char *const names[] = {
#define X(symbol, name) name,
        METADATA_MAP(X)
#undef X
    };
    const struct ken_checkpoint_file *file = &checkpoint->files[0];
    struct ken_json_reader json;
    ken_json_reader_open_memory(&json, file->metadata_json, file->metadata_length, "metadata", KEN_EBAD_DELTA);
    int code = ken_json_expect(&json, KEN_JSON_OBJECT, "an object", error);
    while (!code && !(code = ken_json_next(&json, error)) && json.token == KEN_JSON_KEY) {
        size_t i = 0;
        while (i < METADATA_COUNT && !ken_json_text_is(&json, names[i])) i++;
        code = ken_json_expect(&json, KEN_JSON_STRING, "a string", error);
        if (i == METADATA_COUNT) metadata->has_other = true;
        if (code || i == METADATA_COUNT) continue;
        metadata->length[i] = json.length;
        metadata->text[i] = ken_arena_copy(&metadata->arena, json.text, json.length);
        if (!metadata->text[i]) code = ken_fail_no_memory(error, "a delta");
    }
    ken_json_reader_free(&json);
    return code;
}

static bool metadata_is(const struct metadata *metadata, unsigned key, const char *text)
{
    return metadata->text[key] && metadata->length[key] == strlen(text) && memcmp(metadata->text[key], text, strlen(text)) == 0;
}

bool ken_delta_is(const struct ken_checkpoint *checkpoint)
{
    struct metadata metadata = {0};
    if (checkpoint->file_count != 1 || checkpoint->has_index || !checkpoint->files[0].metadata_json) return false;
    bool is = read_metadata(&metadata, checkpoint, NULL) == KEN_OK && metadata_is(&metadata, METADATA_FORMAT, KEN_DELTA_FORMAT);
    ken_arena_free(&metadata.arena);
    return is;
}

/* ---- what each tensor is made of */

/* Elements and bytes of a tensor. */
static int measure(const struct ken_delta_tensor *tensor, struct ken_delta_entries *entries, struct ken_error *error)
{
    struct ken_extent extent;
    const char *reason = ken_shape_measure(tensor->shape, tensor->rank, tensor->dtype, &extent);
    if (reason) return ken_delta_fail(error, tensor->name, "%s", reason);
    entries->elements = entries->count = extent.elements;
    entries->rows = extent.rows;
    entries->length = extent.bytes;
    entries->size = ken_dtype_size(tensor->dtype);
    entries->base_size = tensor->has_base ? ken_dtype_size(tensor->base_dtype) : 0;
    if (entries->size) return KEN_OK;
    entries->size = entries->base_size = 1;
    entries->count = extent.bytes;
    return KEN_OK;
}

static int check_form(const struct ken_delta_tensor *tensor, const struct ken_delta_entries *entries, struct ken_error *error)
{
    uint64_t elements = entries->elements;
    bool convertible = ken_dtype_is_prunable(tensor->dtype) && ken_dtype_is_prunable(tensor->base_dtype);
    if (tensor->has_base && tensor->dtype != tensor->base_dtype && !convertible)
        return ken_delta_fail(error, tensor->name, "a base of %s cannot be converted to %s", ken_dtype_name(tensor->base_dtype),
                              ken_dtype_name(tensor->dtype));
    if (tensor->form == KEN_FORM_WHOLE)
        return tensor->stored == elements
                   ? KEN_OK
                   : ken_delta_fail(error, tensor->name, "%" PRIu64 " values are stored, but whole are %" PRIu64, tensor->stored, elements);
    if (!tensor->has_base) return ken_delta_fail(error, tensor->name, "it has no base, and is not stored whole");
    if (tensor->form == KEN_FORM_SAME)
        return tensor->stored ? ken_delta_fail(error, tensor->name, "form same, but %" PRIu64 " values are stored", tensor->stored)
                              : KEN_OK;
    if (!ken_dtype_size(tensor->dtype))
        return ken_delta_fail(error, tensor->name, "%s has no elements of whole bytes to be stored one by one",
                              ken_dtype_name(tensor->dtype));
    if (!tensor->stored || tensor->stored > elements)
        return ken_delta_fail(error, tensor->name, "%" PRIu64 " values are stored, of %" PRIu64 " elements", tensor->stored, elements);
    return KEN_OK;
}

/* Finds the entry TENSOR.SUFFIX and marks it as used. */
static int find_entry(const struct ken_delta *delta, const char *tensor, const char *suffix, bool *used, const struct ken_tensor **entry,
                      struct ken_error *error)
{
    size_t size = strlen(tensor) + strlen(suffix) + 2;
    char *name = malloc(size);
    if (!name) return ken_fail_no_memory(error, "a delta");
    snprintf(name, size, "%s.%s", tensor, suffix);
    *entry = ken_checkpoint_find(delta->checkpoint, name);
    free(name);
    if (!*entry) return ken_delta_fail(error, tensor, "entry \"%s\" is missing", suffix);
    used[*entry - delta->checkpoint->tensors] = true;
    return KEN_OK;
}

static int check_entry(const struct ken_tensor *entry, const char *tensor, const char *suffix, bool right_dtype, const uint64_t *shape,
                       uint32_t rank, struct ken_error *error)
{
    if (!right_dtype) return ken_delta_fail(error, tensor, "entry \"%s\" has dtype %s", suffix, ken_dtype_name(entry->dtype));
    if (!ken_shape_is(entry->shape, entry->rank, shape, rank))
        return ken_delta_fail(error, tensor, "entry \"%s\" has the wrong shape", suffix);
    return KEN_OK;
}

/* The only entry of a tensor in encoding packed: it has a whole index at least. */
static int find_packed(const struct ken_delta *delta, size_t index, bool *used, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[index];
    struct ken_delta_entries *entries = &delta->entries[index];
    uint64_t blocks = ken_packed_blocks(entries->count, entries->size);
    if (tensor->form == KEN_FORM_GAPS) return ken_delta_fail(error, tensor->name, "form gaps, which there is not in encoding packed");
    if (tensor->form == KEN_FORM_SAME) return KEN_OK;
    int code = find_entry(delta, tensor->name, "packed", used, &entries->values, error);
    if (code) return code;
    if (entries->values->dtype != KEN_U8 || entries->values->rank != 1)
        return ken_delta_fail(error, tensor->name, "entry \"packed\" is not of dtype U8 with one dimension");
    if (entries->values->length / KEN_PACKED_INDEX_ENTRY < blocks)
        return ken_delta_fail(error, tensor->name, "entry \"packed\" is shorter than the index of %" PRIu64 " blocks", blocks);
    return KEN_OK;
}

/* Finds and checks the entries of one tensor. */
static int find_entries(const struct ken_delta *delta, size_t index, bool *used, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[index];
    struct ken_delta_entries *entries = &delta->entries[index];
    const char *name = tensor->name, *values = tensor->form == KEN_FORM_WHOLE ? "whole" : "values";
    const char *places = tensor->form == KEN_FORM_MASK ? "mask" : "gaps";
    uint64_t mask_length = entries->elements / 8 + (entries->elements % 8 != 0);
    if (tensor->form == KEN_FORM_SAME) return KEN_OK;
    int code = find_entry(delta, name, values, used, &entries->values, error);
    if (code) return code;
    bool right = entries->values->dtype == tensor->dtype;
    if (tensor->form == KEN_FORM_WHOLE) return check_entry(entries->values, name, values, right, tensor->shape, tensor->rank, error);
    code = check_entry(entries->values, name, values, right, &tensor->stored, 1, error);
    if (!code) code = find_entry(delta, name, places, used, &entries->places, error);
    if (code) return code;
    enum ken_dtype dtype = entries->places->dtype;
    if (tensor->form == KEN_FORM_MASK) return check_entry(entries->places, name, places, dtype == KEN_U8, &mask_length, 1, error);
    return check_entry(entries->places, name, places, dtype == KEN_U16 || dtype == KEN_U32, &tensor->stored, 1, error);
}

/* Bytes of all tensors of the model must fit into 64 bits with room to spare, for offsets. */
static int check_total(const struct ken_delta *delta, struct ken_error *error)
{
    uint64_t total = 0;
    for (size_t i = 0; i < delta->tensor_count; i++)
        if (__builtin_add_overflow(total, delta->entries[i].length, &total) || total > INT64_MAX)
            return ken_delta_fail(error, delta->tensors[i].name, "the model becomes too large");
    return KEN_OK;
}

static int check_tensors(struct ken_delta *delta, struct ken_error *error)
{
    size_t count = delta->checkpoint->tensor_count;
    char shown[KEN_DELTA_LABEL_SIZE];
    bool *used = calloc(count + 1, sizeof *used);
    if (!used) return ken_fail_no_memory(error, "a delta");
    int code = KEN_OK;
    for (size_t i = 0; i < delta->tensor_count && !code; i++) {
        code = measure(&delta->tensors[i], &delta->entries[i], error);
        if (!code) code = check_form(&delta->tensors[i], &delta->entries[i], error);
        if (!code) code = (delta->encoding == KEN_ENCODING_PACKED ? find_packed : find_entries)(delta, i, used, error);
    }
    for (size_t i = 0; i < count && !code; i++) {
        const char *name = delta->checkpoint->tensors[i].name;
        if (!used[i])
            code = ken_fail(error, KEN_EBAD_DELTA, "entry \"%s\" belongs to no tensor",
                            ken_printable(shown, sizeof shown, name, strlen(name)));
    }
    free(used);
    return code ? code : check_total(delta, error);
}

/* ---- opening */

static int check_format(const struct metadata *metadata, enum ken_encoding *encoding, struct ken_error *error)
{
    char shown[64];
    if (!metadata_is(metadata, METADATA_FORMAT, KEN_DELTA_FORMAT))
        return ken_fail(error, KEN_EBAD_DELTA, "this is no delta: its metadata do not say format \"%s\"", KEN_DELTA_FORMAT);
    if (!metadata->text[METADATA_VERSION] || !metadata->text[METADATA_ENCODING])
        return ken_fail(error, KEN_EBAD_DELTA, "metadata: version or encoding is missing");
    if (!metadata_is(metadata, METADATA_VERSION, KEN_DELTA_VERSION))
        return ken_fail(error, KEN_EUNSUPPORTED, "a delta of version \"%s\"; this program reads version " KEN_DELTA_VERSION,
                        ken_printable(shown, sizeof shown, metadata->text[METADATA_VERSION], metadata->length[METADATA_VERSION]));
    unsigned found = 0;
    while (found < KEN_ENCODING_COUNT && !metadata_is(metadata, METADATA_ENCODING, ken_encoding_name((enum ken_encoding)found))) found++;
    if (found == KEN_ENCODING_COUNT)
        return ken_fail(error, KEN_EUNSUPPORTED, "a delta in encoding \"%s\"; this program reads \"plain\" and \"packed\"",
                        ken_printable(shown, sizeof shown, metadata->text[METADATA_ENCODING], metadata->length[METADATA_ENCODING]));
    *encoding = (enum ken_encoding)found;
    if (!metadata->text[METADATA_MODEL] || !metadata->text[METADATA_TENSORS])
        return ken_fail(error, KEN_EBAD_DELTA, "metadata: model or tensors is missing");
    if (metadata->has_other) return ken_fail(error, KEN_EBAD_DELTA, "metadata: a key that a delta has not");
    return KEN_OK;
}

static int parse(struct ken_delta *delta, struct ken_error *error)
{
    struct metadata metadata = {0};
    int code = KEN_OK;
    if (delta->checkpoint->file_count != 1 || delta->checkpoint->has_index || !delta->checkpoint->files[0].metadata_json)
        return ken_fail(error, KEN_EBAD_DELTA, "this is no delta: a checkpoint without metadata of one");
    code = read_metadata(&metadata, delta->checkpoint, error);
    if (!code) code = check_format(&metadata, &delta->encoding, error);
    if (!code) code = ken_delta_parse_model(delta, metadata.text[METADATA_MODEL], metadata.length[METADATA_MODEL], error);
    if (!code) code = ken_delta_parse_tensors(delta, metadata.text[METADATA_TENSORS], metadata.length[METADATA_TENSORS], error);
    ken_arena_free(&metadata.arena);
    return code ? code : check_tensors(delta, error);
}

int ken_delta_adopt(struct ken_delta **delta, struct ken_checkpoint *checkpoint, const char *label, struct ken_error *error)
{
    struct ken_error inner = {0};
    *delta = calloc(1, sizeof **delta);
    if (!*delta) {
        ken_checkpoint_close(&checkpoint);
        return ken_fail_no_memory(error, "a delta");
    }
    (*delta)->checkpoint = checkpoint;
    int code = parse(*delta, &inner);
    if (!code) return KEN_OK;
    ken_fail(error, code, "%s: %s", label, inner.message);
    ken_delta_close(delta);
    return code;
}

/* A checkpoint that could not be opened, as a delta that could not. */
static int no_checkpoint(int code, struct ken_error *error)
{
    int told = code == KEN_EBAD_CHECKPOINT ? KEN_EBAD_DELTA : code;
    if (error) error->code = told;
    return told;
}

int ken_delta_open(struct ken_delta **delta, struct ken_opener *opener, struct ken_error *error)
{
    struct ken_checkpoint *checkpoint;
    *delta = NULL;
    int code = ken_checkpoint_open(&checkpoint, opener, &ken_delta_limits, error);
    return code ? no_checkpoint(code, error) : ken_delta_adopt(delta, checkpoint, opener->label ? opener->label : "the delta", error);
}

int ken_delta_open_path(struct ken_delta **delta, const char *path, struct ken_error *error)
{
    struct ken_checkpoint *checkpoint;
    *delta = NULL;
    int code = ken_checkpoint_open_path(&checkpoint, path, &ken_delta_limits, error);
    return code ? no_checkpoint(code, error) : ken_delta_adopt(delta, checkpoint, path, error);
}

void ken_delta_close(struct ken_delta **delta)
{
    if (!*delta) return;
    ken_checkpoint_close(&(*delta)->checkpoint);
    ken_arena_free(&(*delta)->arena);
    free((*delta)->files);
    free((*delta)->tensors);
    free((*delta)->entries);
    free((*delta)->by_name);
    free(*delta);
    *delta = NULL;
}

size_t ken_delta_tensor_count(const struct ken_delta *delta)
{
    return delta->tensor_count;
}

const struct ken_delta_tensor *ken_delta_tensor(const struct ken_delta *delta, size_t index)
{
    KEN_ASSERT(index < delta->tensor_count);
    return &delta->tensors[index];
}

const char *ken_delta_encoding(const struct ken_delta *delta)
{
    return ken_encoding_name(delta->encoding);
}

size_t ken_delta_file_count(const struct ken_delta *delta)
{
    return delta->file_count;
}

bool ken_delta_has_index(const struct ken_delta *delta)
{
    return delta->has_index;
}

uint64_t ken_delta_rows(const struct ken_delta *delta)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < delta->tensor_count; i++)
        if (delta->entries[i].elements && __builtin_add_overflow(rows, delta->entries[i].rows, &rows)) return INT64_MAX;
    return rows;
}

int ken_delta_check_tensor(const struct ken_delta *delta, size_t tensor, const struct ken_checkpoint *base, struct ken_error *error)
{
    const struct ken_delta_tensor *wanted = &delta->tensors[tensor];
    char shown[KEN_DELTA_LABEL_SIZE];
    if (!wanted->has_base) return KEN_OK;
    const struct ken_tensor *found = ken_checkpoint_find(base, wanted->base_name);
    ken_printable(shown, sizeof shown, wanted->base_name, strlen(wanted->base_name));
    if (!found)
        return ken_fail(error, KEN_EMISMATCH, "the base has no tensor \"%s\": it is not the one that the delta was made from", shown);
    if (found->dtype != wanted->base_dtype)
        return ken_fail(error, KEN_EMISMATCH, "base tensor \"%s\" is %s, the delta was made from %s", shown, ken_dtype_name(found->dtype),
                        ken_dtype_name(wanted->base_dtype));
    if (!ken_shape_is(found->shape, found->rank, wanted->shape, wanted->rank))
        return ken_fail(error, KEN_EMISMATCH, "base tensor \"%s\" has another shape than the delta was made from", shown);
    return KEN_OK;
}

int ken_delta_check_base(const struct ken_delta *delta, const struct ken_checkpoint *base, struct ken_error *error)
{
    int code = KEN_OK;
    for (size_t i = 0; i < delta->tensor_count && !code; i++) code = ken_delta_check_tensor(delta, i, base, error);
    return code;
}
