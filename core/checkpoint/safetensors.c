/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/safetensors.h"
#include "checkpoint/index.h"
#include "checkpoint/metadata.h"
#include "checkpoint/shape.h"
#include "json_reader.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8, SHOWN = 160 };

/* The reading of one header. */
struct reading {
    struct ken_header_store *store;
    struct ken_checkpoint_file *file;
    struct ken_json_reader json;
    const char *label;
    uint32_t number;
    uint64_t header_length, data_length; /* header without its length, tensors' bytes as the file's size has it */
    struct ken_error *error;
};

/* ---- __metadata__ */

static int read_metadata(struct reading *reading)
{
    struct ken_checkpoint_file *file = reading->file;
    char *text = NULL;
    if (file->metadata_json) return ken_json_fail(&reading->json, reading->error, "__metadata__ appears twice");
    int code = ken_json_expect(&reading->json, KEN_JSON_OBJECT, "__metadata__ to be an object", reading->error);
    if (!code) code = ken_metadata_read(&reading->json, reading->store->limits.max_tensors, &text, &file->metadata_length, reading->error);
    if (code) return code;
    file->metadata_json = text;
    reading->store->metadata_bytes += file->metadata_length;
    return ken_header_store_check(reading->store, reading->label, reading->error);
}

/* ---- one tensor */

#define FIELD_MAP(X) X(DTYPE, "dtype") X(SHAPE, "shape") X(OFFSETS, "data_offsets")
#define X(symbol, name) FIELD_##symbol,
enum field { FIELD_MAP(X) FIELD_COUNT };
#undef X
static const char *const field_names[] = {
#define X(symbol, name) name,
    FIELD_MAP(X)
#undef X
};

static int read_dtype(struct reading *reading, struct ken_tensor *tensor)
{
    struct ken_json_reader *json = &reading->json;
    char shown[SHOWN], name[SHOWN];
    int code = ken_json_expect(json, KEN_JSON_STRING, "dtype to be a string", reading->error);
    if (code || ken_dtype_parse(json->text, json->length, &tensor->dtype)) return code;
    return ken_fail(reading->error, KEN_EUNSUPPORTED, "%s: tensor \"%s\": unknown dtype \"%s\"", reading->label,
                    ken_printable(name, sizeof name, tensor->name, strlen(tensor->name)),
                    ken_printable(shown, sizeof shown, json->text, json->length));
}

static int read_shape(struct reading *reading, struct ken_tensor *tensor)
{
    const char *reason;
    int code = ken_shape_read(&reading->json, &reading->store->arena, &tensor->shape, &tensor->rank, &reason, reading->error);
    return reason ? ken_header_bad_tensor(reading->label, reading->error, tensor->name, "%s", reason) : code;
}

/* Leaves the tensor's offsets in offset (begin) and length (end). */
static int read_offsets(struct reading *reading, struct ken_tensor *tensor)
{
    struct ken_json_reader *json = &reading->json;
    uint64_t *values[] = {&tensor->offset, &tensor->length};
    int code = ken_json_expect(json, KEN_JSON_ARRAY, "data_offsets to be an array", reading->error);
    for (size_t i = 0; i < 2 && !code; i++) {
        if ((code = ken_json_next(json, reading->error))) return code;
        if (!ken_json_uint64(json, values[i]))
            return ken_header_bad_tensor(reading->label, reading->error, tensor->name,
                                         "data_offsets are not two integers from 0 to 2^64-1");
    }
    if (!code) code = ken_json_next(json, reading->error);
    if (code || json->token == KEN_JSON_ARRAY_END) return code;
    return ken_header_bad_tensor(reading->label, reading->error, tensor->name, "data_offsets are not two integers from 0 to 2^64-1");
}

static int read_field(struct reading *reading, struct ken_tensor *tensor, unsigned *seen)
{
    static int (*const readers[])(struct reading *, struct ken_tensor *) = {read_dtype, read_shape, read_offsets};
    char shown[64];
    unsigned field = 0;
    while (field < FIELD_COUNT && !ken_json_text_is(&reading->json, field_names[field])) field++;
    if (field == FIELD_COUNT)
        return ken_header_bad_tensor(reading->label, reading->error, tensor->name, "unknown field \"%s\"",
                                     ken_printable(shown, sizeof shown, reading->json.text, reading->json.length));
    if (*seen & 1U << field)
        return ken_header_bad_tensor(reading->label, reading->error, tensor->name, "field \"%s\" appears twice", field_names[field]);
    *seen |= 1U << field;
    return readers[field](reading, tensor);
}

/* Works out rows, n, offset and length, and holds them against each other and the file. */
static int measure(struct reading *reading, struct ken_tensor *tensor)
{
    uint64_t begin = tensor->offset, end = tensor->length;
    struct ken_extent extent;
    const char *reason = ken_shape_measure(tensor->shape, tensor->rank, tensor->dtype, &extent);
    if (reason) return ken_header_bad_tensor(reading->label, reading->error, tensor->name, "%s", reason);
    if (begin > end)
        return ken_header_bad_tensor(reading->label, reading->error, tensor->name,
                                     "data_offsets begin at %" PRIu64 ", after their end at %" PRIu64, begin, end);
    if (end > reading->data_length)
        return ken_header_bad_tensor(reading->label, reading->error, tensor->name,
                                     "data_offsets end at %" PRIu64 ", but the file has only %" PRIu64 " bytes of data", end,
                                     reading->data_length);
    if (end - begin != extent.bytes)
        return ken_header_bad_tensor(reading->label, reading->error, tensor->name,
                                     "data_offsets span %" PRIu64 " bytes, dtype and shape need %" PRIu64, end - begin, extent.bytes);
    tensor->rows = extent.rows;
    tensor->n = extent.n;
    tensor->offset = LENGTH_SIZE + reading->header_length + begin;
    tensor->length = end - begin;
    return KEN_OK;
}

/* A tensor, of which the name was read. */
static int read_tensor(struct reading *reading)
{
    struct ken_json_reader *json = &reading->json;
    struct ken_tensor tensor = {.file = reading->number};
    unsigned seen = 0;
    char reason[80];
    const char *refused = ken_header_store_refuses(reading->store, json->text, json->length, reason, sizeof reason);
    if (refused) return ken_json_fail(json, reading->error, refused);
    int code = ken_header_store_grow(reading->store, reading->label, reading->error);
    if (code) return code;
    tensor.name = ken_arena_copy(&reading->store->arena, json->text, json->length);
    if (!tensor.name) return ken_fail_no_memory(reading->error, reading->label);
    if ((code = ken_json_next(json, reading->error))) return code;
    if (json->token != KEN_JSON_OBJECT)
        return ken_header_bad_tensor(reading->label, reading->error, tensor.name, "expected an object with dtype, shape and data_offsets");
    while (!(code = ken_json_next(json, reading->error)) && json->token == KEN_JSON_KEY)
        if ((code = read_field(reading, &tensor, &seen))) break;
    if (code) return code;
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (!(seen & 1U << field))
            return ken_header_bad_tensor(reading->label, reading->error, tensor.name, "field \"%s\" is missing", field_names[field]);
    if ((code = measure(reading, &tensor))) return code;
    reading->store->tensors[reading->store->count++] = tensor;
    return ken_header_store_check(reading->store, reading->label, reading->error);
}

/* ---- the header as a whole */

static int read_entries(struct reading *reading)
{
    struct ken_json_reader *json = &reading->json;
    int code = ken_json_expect(json, KEN_JSON_OBJECT, "an object", reading->error);
    if (!code && json->position != LENGTH_SIZE) return ken_json_fail(json, reading->error, "white space before the header");
    while (!code && !(code = ken_json_next(json, reading->error)) && json->token == KEN_JSON_KEY)
        code = ken_json_text_is(json, "__metadata__") ? read_metadata(reading) : read_tensor(reading);
    return code ? code : ken_json_expect(json, KEN_JSON_END, "the end", reading->error);
}

static int check_names(struct reading *reading)
{
    size_t count = reading->file->count;
    const char **names = malloc((count + 1) * sizeof *names);
    if (!names) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < count; i++) names[i] = reading->store->tensors[reading->file->first + i].name;
    const char *twice = ken_find_twice(names, count);
    free(names);
    return twice ? ken_header_bad_tensor(reading->label, reading->error, twice, "the name appears twice") : KEN_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct ken_tensor *left = a, *right = b;
    if (left->offset != right->offset) return left->offset < right->offset ? -1 : 1;
    if (left->length != right->length) return left->length < right->length ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* Sorts the tensors and sees that they fill the rest of the file. */
static int check_places(struct reading *reading)
{
    size_t count = reading->file->count;
    struct ken_tensor *tensors = count ? reading->store->tensors + reading->file->first : NULL;
    uint64_t at = reading->file->data_offset;
    char shown[64];
    if (count) qsort(tensors, count, sizeof *tensors, compare_places);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].offset > at)
            return ken_header_bad_tensor(reading->label, reading->error, tensors[i].name,
                                         "%" PRIu64 " bytes before its data belong to no tensor", tensors[i].offset - at);
        if (tensors[i].offset < at)
            return ken_header_bad_tensor(reading->label, reading->error, tensors[i].name, "its data overlap those of \"%s\"",
                                         ken_printable(shown, sizeof shown, tensors[i - 1].name, strlen(tensors[i - 1].name)));
        at += tensors[i].length;
    }
    uint64_t rest = reading->file->source->size - at;
    if (!rest) return KEN_OK;
    return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: the last %" PRIu64 " bytes of the file belong to no tensor", reading->label,
                    rest);
}

/* Reads the header's length and holds it against the limit and the file. */
static int read_length(struct reading *reading)
{
    unsigned char bytes[LENGTH_SIZE];
    struct ken_source *source = reading->file->source;
    if (source->size < LENGTH_SIZE)
        return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: %" PRIu64 " bytes are too few for a safetensors file", reading->label,
                        source->size);
    int code = ken_source_wait(source, 0, sizeof bytes, reading->error);
    if (!code) code = ken_source_read(source, 0, bytes, sizeof bytes, reading->error);
    if (code) return code;
    uint64_t length = 0;
    for (unsigned i = 0; i < LENGTH_SIZE; i++) length |= (uint64_t)bytes[i] << (8 * i);
    if (length > reading->store->limits.max_header_bytes)
        return ken_fail(reading->error, KEN_ETOO_LARGE, "%s: a header of %" PRIu64 " bytes is over the limit of %" PRIu64, reading->label,
                        length, reading->store->limits.max_header_bytes);
    if (length > source->size - LENGTH_SIZE)
        return ken_fail(reading->error, KEN_EBAD_CHECKPOINT,
                        "%s: a header of %" PRIu64 " bytes reaches beyond the end of the file of %" PRIu64, reading->label, length,
                        source->size);
    reading->header_length = length;
    reading->data_length = source->size - LENGTH_SIZE - length;
    return KEN_OK;
}

int ken_safetensors_read(struct ken_header_store *store, struct ken_checkpoint_file *file, uint32_t number, const char *label,
                         struct ken_error *error)
{
    struct reading reading = {.store = store, .file = file, .label = label, .number = number, .error = error};
    int code = read_length(&reading);
    if (code) return code;
    file->data_offset = LENGTH_SIZE + reading.header_length;
    file->first = store->count;
    code = ken_json_reader_open(&reading.json, file->source, LENGTH_SIZE, reading.header_length, label, KEN_EBAD_CHECKPOINT, error);
    if (!code) code = read_entries(&reading);
    ken_json_reader_free(&reading.json);
    if (code) return code;
    file->count = store->count - file->first;
    code = check_names(&reading);
    return code ? code : check_places(&reading);
}
