/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/packing.h"

#include "arena.h"
#include "bits.h"
#include "checkpoint/model_header.h"
#include "delta/delta.h"
#include "json_writer.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096, PIECE_BYTES = 8 * PIECE }; /* elements at a time, and their bytes at most */
enum { COPY_BYTES = 2 * KEN_OUTPUT_BUFFER };

/* One tensor of the delta file. */
enum kind { VALUES, MASK, GAPS, WHOLE, PACKED };
struct item {
    enum kind kind;
    size_t tensor;
    uint64_t shape; /* of all but WHOLE, which has the tensor's own */
};

struct writer {
    struct ken_prune *prune;
    size_t variant;
    struct ken_record *records;        /* [tensors] */
    enum ken_form *forms;              /* [tensors] */
    struct item *items;                /* [item_count], at most two for a tensor */
    struct ken_header_tensor *headers; /* [item_count] */
    size_t item_count;
    struct ken_arena names;
    struct ken_output_file output;
    unsigned char copy[COPY_BYTES], piece[PIECE_BYTES], raw[PIECE_BYTES], values[PIECE_BYTES], mask[PIECE / 8];
};

/* ---- what to write */

/* delta-format.md, "Forms". */
static enum ken_form choose_form(const struct ken_entry *entry, const struct ken_record *record)
{
    if (!entry->base) return KEN_FORM_WHOLE;
    if (!record->stored) return KEN_FORM_SAME;
    if (entry->packed) return KEN_FORM_WHOLE;
    uint64_t whole = entry->elements * entry->size, values = record->stored * entry->size;
    uint64_t mask = values + (entry->elements + 7) / 8;
    uint64_t gaps = values + record->stored * (record->largest_gap <= UINT16_MAX ? 2 : 4);
    if (record->largest_gap > UINT32_MAX) gaps = UINT64_MAX;
    if (whole <= mask && whole <= gaps) return KEN_FORM_WHOLE;
    return mask <= gaps ? KEN_FORM_MASK : KEN_FORM_GAPS;
}

static int add_item(struct writer *writer, size_t tensor, enum kind kind, enum ken_dtype dtype, uint64_t count, uint64_t length)
{
    static const char *const suffixes[] = {
        [VALUES] = ".values", [MASK] = ".mask", [GAPS] = ".gaps", [WHOLE] = ".whole", [PACKED] = ".packed"};
    const struct ken_tensor *model = writer->prune->plan->entries[tensor].model;
    size_t own = strlen(model->name), rest = strlen(suffixes[kind]) + 1;
    char *name = ken_arena_allocate(&writer->names, own + rest);
    if (!name) return KEN_ENOMEM;
    memcpy(name, model->name, own);
    memcpy(name + own, suffixes[kind], rest);
    struct item *item = &writer->items[writer->item_count];
    *item = (struct item){.kind = kind, .tensor = tensor, .shape = count};
    writer->headers[writer->item_count++] = (struct ken_header_tensor){
        .name = name,
        .dtype = dtype,
        .rank = kind == WHOLE ? model->rank : 1,
        .shape = kind == WHOLE ? model->shape : &item->shape,
        .length = length,
    };
    return KEN_OK;
}

/* Adds those entries of a tensor whose elements have so many bits. */
static int add_items(struct writer *writer, size_t tensor, unsigned bits)
{
    const struct ken_entry *entry = &writer->prune->plan->entries[tensor];
    const struct ken_record *record = &writer->records[tensor];
    enum ken_form form = writer->forms[tensor];
    enum ken_dtype dtype = entry->model->dtype, gap = record->largest_gap <= UINT16_MAX ? KEN_U16 : KEN_U32;
    int code = KEN_OK;
    if (form == KEN_FORM_SAME) return KEN_OK;
    if (ken_dtype_bits(dtype) == bits) {
        if (form == KEN_FORM_WHOLE) return add_item(writer, tensor, WHOLE, dtype, 0, entry->model->length);
        code = add_item(writer, tensor, VALUES, dtype, record->stored, record->stored * entry->size);
    }
    if (!code && form == KEN_FORM_MASK && ken_dtype_bits(KEN_U8) == bits) {
        uint64_t bytes = (entry->elements + 7) / 8;
        code = add_item(writer, tensor, MASK, KEN_U8, bytes, bytes);
    }
    if (!code && form == KEN_FORM_GAPS && ken_dtype_bits(gap) == bits)
        code = add_item(writer, tensor, GAPS, gap, record->stored, record->stored * ken_dtype_size(gap));
    return code;
}

static int list_packed(struct writer *writer)
{
    const struct ken_packing *packing = writer->prune->packing;
    int code = KEN_OK;
    for (size_t t = 0; !code && t < writer->prune->plan->model->tensor_count; t++) {
        const struct ken_entry *entry = &writer->prune->plan->entries[t];
        uint64_t length = ken_packing_length(packing, writer->variant, t);
        writer->forms[t] = KEN_FORM_SAME;
        if (entry->base && !writer->records[t].stored) continue;
        writer->forms[t] = entry->base && !entry->packed ? KEN_FORM_MASK : KEN_FORM_WHOLE;
        code = add_item(writer, t, PACKED, KEN_U8, length, length);
    }
    return code;
}

static int list_items(struct writer *writer, struct ken_error *error)
{
    static const unsigned descending[] = {64, 32, 16, 8, 6, 4};
    size_t tensors = writer->prune->plan->model->tensor_count;
    if (writer->prune->packing)
        return list_packed(writer) ? ken_fail(error, KEN_ENOMEM, "out of memory for the header of a delta") : KEN_OK;
    for (size_t t = 0; t < tensors; t++) writer->forms[t] = choose_form(&writer->prune->plan->entries[t], &writer->records[t]);
    for (size_t b = 0; b < sizeof descending / sizeof *descending; b++)
        for (size_t t = 0; t < tensors; t++)
            if (add_items(writer, t, descending[b])) return ken_fail(error, KEN_ENOMEM, "out of memory for the header of a delta");
    return KEN_OK;
}

/* ---- the header */

static void tell_model(const struct ken_plan *plan, struct ken_json_writer *json)
{
    const struct ken_checkpoint *model = plan->model;
    ken_json_begin_object(json);
    ken_json_key(json, "files");
    ken_json_begin_array(json);
    for (size_t f = 0; f < model->file_count; f++) {
        const struct ken_checkpoint_file *file = &model->files[f];
        char name[KEN_MODEL_NAME_SIZE];
        ken_model_file_name(name, f, model->file_count, model->has_index);
        ken_json_begin_object(json);
        ken_json_key(json, "name");
        ken_json_string(json, name);
        ken_json_key(json, "metadata");
        if (file->metadata_json)
            ken_json_raw(json, file->metadata_json, file->metadata_length);
        else
            ken_json_null(json);
        ken_json_key(json, "tensors");
        ken_json_begin_array(json);
        for (size_t t = 0; t < file->count; t++) ken_json_string(json, model->tensors[file->first + t].name);
        ken_json_end_array(json);
        ken_json_end_object(json);
    }
    ken_json_end_array(json);
    ken_json_key(json, "index");
    if (model->has_index)
        ken_json_string(json, KEN_MODEL_INDEX_NAME);
    else
        ken_json_null(json);
    ken_json_end_object(json);
}

static void tell_base(const struct writer *writer, size_t tensor, struct ken_json_writer *json)
{
    const struct ken_tensor *base = writer->prune->plan->entries[tensor].base;
    char hex[KEN_SHA256_HEX_SIZE];
    ken_json_key(json, "base");
    if (!base) {
        ken_json_null(json);
        return;
    }
    ken_json_begin_object(json);
    ken_json_key(json, "name");
    ken_json_string(json, base->name);
    ken_json_key(json, "dtype");
    ken_json_string(json, ken_dtype_name(base->dtype));
    ken_json_key(json, "sha256");
    ken_json_string(json, ken_hex_encode(hex, ken_inputs_base_tensor(writer->prune->inputs, tensor), KEN_SHA256_SIZE));
    ken_json_end_object(json);
}

static void tell_tensors(const struct writer *writer, struct ken_json_writer *json)
{
    const struct ken_plan *plan = writer->prune->plan;
    ken_json_begin_object(json);
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_tensor *model = plan->entries[t].model;
        ken_json_key(json, model->name);
        ken_json_begin_object(json);
        ken_json_key(json, "dtype");
        ken_json_string(json, ken_dtype_name(model->dtype));
        ken_json_key(json, "shape");
        ken_json_uints(json, model->shape, model->rank);
        tell_base(writer, t, json);
        ken_json_key(json, "form");
        ken_json_string(json, ken_form_name(writer->forms[t]));
        ken_json_key(json, "stored");
        ken_json_uint(json, writer->forms[t] == KEN_FORM_WHOLE ? ken_tensor_elements(model) : writer->records[t].stored);
        ken_json_end_object(json);
    }
    ken_json_end_object(json);
}

/* Adds a member whose value is a text that holds JSON. */
static int add_quoted(struct ken_json_writer *metadata, const char *key, struct ken_json_writer *inner)
{
    const char *text;
    size_t length;
    int code = ken_json_writer_finish(inner, &text, &length);
    if (!code) {
        ken_json_key(metadata, key);
        ken_json_string_bytes(metadata, text, length);
    }
    ken_json_writer_free(inner);
    return code;
}

static int make_metadata(const struct writer *writer, char **metadata)
{
    struct ken_json_writer json, inner;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    ken_json_key(&json, "format");
    ken_json_string(&json, KEN_DELTA_FORMAT);
    ken_json_key(&json, "version");
    ken_json_string(&json, KEN_DELTA_VERSION);
    ken_json_key(&json, "encoding");
    ken_json_string(&json, ken_encoding_name(writer->prune->plan->options->encoding));
    ken_json_writer_init(&inner);
    tell_model(writer->prune->plan, &inner);
    int code = add_quoted(&json, "model", &inner);
    if (!code) {
        ken_json_writer_init(&inner);
        tell_tensors(writer, &inner);
        code = add_quoted(&json, "tensors", &inner);
    }
    ken_json_end_object(&json);
    int ended = ken_json_writer_take(&json, metadata, NULL);
    if (!code) return ended;
    free(*metadata);
    *metadata = NULL;
    return code;
}

static int write_header(struct writer *writer, struct ken_error *error)
{
    char *metadata, *header;
    size_t length;
    if (make_metadata(writer, &metadata)) return ken_fail(error, KEN_ENOMEM, "out of memory for the header of a delta");
    int code = ken_model_header_make(&header, &length, metadata, writer->headers, writer->item_count, error);
    free(metadata);
    if (code) return code;
    code = ken_output_write(&writer->output, header, length, error);
    free(header);
    return code;
}

/* ---- the data */

static int cancelled(const struct writer *writer, struct ken_error *error)
{
    return ken_run_cancelled(writer->prune) ? ken_fail(error, KEN_ECANCELLED, "cancelled") : KEN_OK;
}

typedef int read_scratch(const struct ken_scratch *scratch, size_t variant, uint64_t offset, void *bytes, uint64_t length,
                         struct ken_error *error);

static int copy_scratch(struct writer *writer, read_scratch *read, uint64_t offset, uint64_t length, struct ken_error *error)
{
    for (uint64_t done = 0; done < length;) {
        uint64_t count = length - done < COPY_BYTES ? length - done : COPY_BYTES;
        int code = cancelled(writer, error);
        if (!code) code = read(writer->prune->scratch, writer->variant, offset + done, writer->copy, count, error);
        if (!code) code = ken_output_write(&writer->output, writer->copy, count, error);
        if (code) return code;
        done += count;
    }
    return KEN_OK;
}

static int copy_model(struct writer *writer, const struct ken_tensor *model, struct ken_error *error)
{
    struct ken_source *source = writer->prune->plan->model->files[model->file].source;
    for (uint64_t done = 0; done < model->length;) {
        uint64_t count = model->length - done < COPY_BYTES ? model->length - done : COPY_BYTES;
        int code = cancelled(writer, error);
        if (!code) code = ken_source_read(source, model->offset + done, writer->copy, count, error);
        if (!code) code = ken_output_write(&writer->output, writer->copy, count, error);
        if (code) return code;
        done += count;
    }
    return KEN_OK;
}

/* Reads the mask of up to PIECE elements from `first`, which is a multiple of 8. */
static int read_mask(struct writer *writer, size_t tensor, uint64_t first, uint64_t *count, struct ken_error *error)
{
    uint64_t elements = writer->prune->plan->entries[tensor].elements;
    *count = elements - first < PIECE ? elements - first : PIECE;
    int code = cancelled(writer, error);
    if (code) return code;
    return ken_scratch_mask(writer->prune->scratch, writer->variant, writer->records[tensor].mask + first / 8, writer->mask,
                            (*count + 7) / 8, error);
}

static int write_gaps(struct writer *writer, size_t tensor, size_t size, struct ken_error *error)
{
    uint64_t next = 0, count;
    for (uint64_t first = 0; first < writer->prune->plan->entries[tensor].elements; first += count) {
        int code = read_mask(writer, tensor, first, &count, error);
        size_t used = 0;
        for (uint64_t byte = 0; !code && byte * 8 < count; byte++)
            for (unsigned bits = writer->mask[byte]; bits; bits &= bits - 1) {
                uint64_t index = first + byte * 8 + (unsigned)__builtin_ctz(bits);
                uint64_t gap = index - next;
                memcpy(writer->piece + used, &gap, size); /* little-endian */
                used += size;
                next = index + 1;
            }
        if (!code) code = ken_output_write(&writer->output, writer->piece, used, error);
        if (code) return code;
    }
    return KEN_OK;
}

static int read_base_piece(struct writer *writer, const struct ken_entry *entry, uint64_t first, uint64_t count, struct ken_error *error)
{
    const struct ken_tensor *base = entry->base;
    struct ken_source *source = writer->prune->plan->base->files[base->file].source;
    size_t size = ken_dtype_size(base->dtype);
    bool same = base->dtype == entry->model->dtype;
    int code = ken_source_read(source, base->offset + first * size, same ? writer->piece : writer->raw, count * size, error);
    if (!code && !same) ken_convert(base->dtype, writer->raw, entry->model->dtype, writer->piece, count);
    return code;
}

/* The tensor as it was pruned: the base with the stored values in their places. */
static int write_whole(struct writer *writer, size_t tensor, struct ken_error *error)
{
    const struct ken_entry *entry = &writer->prune->plan->entries[tensor];
    uint64_t values = writer->records[tensor].values, count;
    for (uint64_t first = 0; first < entry->elements; first += count) {
        int code = read_mask(writer, tensor, first, &count, error);
        if (!code) code = read_base_piece(writer, entry, first, count, error);
        if (code) return code;
        uint64_t ones = ken_bits_ones(writer->mask, (count + 7) / 8), used = 0;
        code = ken_scratch_values(writer->prune->scratch, writer->variant, values, writer->values, ones * entry->size, error);
        if (code) return code;
        values += ones * entry->size;
        for (uint64_t byte = 0; byte * 8 < count; byte++)
            for (unsigned bits = writer->mask[byte]; bits; bits &= bits - 1, used += entry->size)
                memcpy(writer->piece + (byte * 8 + (unsigned)__builtin_ctz(bits)) * entry->size, writer->values + used, entry->size);
        code = ken_output_write(&writer->output, writer->piece, count * entry->size, error);
        if (code) return code;
    }
    return KEN_OK;
}

static int write_packed(struct writer *writer, size_t tensor, struct ken_error *error)
{
    const struct ken_packing *packing = writer->prune->packing;
    uint64_t blocks = ken_packing_blocks(packing, writer->variant, tensor);
    unsigned char entry[KEN_PACKED_INDEX_ENTRY], *bytes = malloc(KEN_PACKED_LONGEST);
    int code = bytes ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for writing a delta");
    for (uint64_t b = 0; !code && b < blocks; b++) {
        ken_packed_entry_write(entry, ken_packing_entry(packing, writer->variant, tensor, b));
        code = ken_output_write(&writer->output, entry, sizeof entry, error);
    }
    for (uint64_t b = 0; !code && b < blocks; b++) {
        code = cancelled(writer, error);
        if (!code) code = ken_packing_read(packing, writer->variant, tensor, b, bytes, error);
        if (!code) code = ken_output_write(&writer->output, bytes, ken_packing_entry(packing, writer->variant, tensor, b)->length, error);
    }
    free(bytes);
    return code;
}

static int write_item(struct writer *writer, size_t index, struct ken_error *error)
{
    const struct item *item = &writer->items[index];
    const struct ken_record *record = &writer->records[item->tensor];
    const struct ken_entry *entry = &writer->prune->plan->entries[item->tensor];
    uint64_t length = writer->headers[index].length;
    switch (item->kind) {
    case VALUES: return copy_scratch(writer, ken_scratch_values, record->values, length, error);
    case MASK: return copy_scratch(writer, ken_scratch_mask, record->mask, length, error);
    case GAPS: return write_gaps(writer, item->tensor, ken_dtype_size(writer->headers[index].dtype), error);
    case PACKED: return write_packed(writer, item->tensor, error);
    case WHOLE: break;
    }
    return entry->pruned ? write_whole(writer, item->tensor, error) : copy_model(writer, entry->model, error);
}

/* ---- what pictures are made of */

/* Tells where all is that was written behind a header of so many bytes. */
static int finish_cells(struct writer *writer, uint64_t header_bytes, struct ken_error *error)
{
    const struct ken_prune *prune = writer->prune;
    size_t count = prune->plan->model->tensor_count;
    struct ken_cells_tensor *tensors = calloc(count + 1, sizeof *tensors);
    if (!tensors) return ken_fail(error, KEN_ENOMEM, "out of memory for the cells beside a delta");
    for (size_t t = 0; t < count; t++) tensors[t].form = writer->forms[t];
    for (size_t i = 0, offset = header_bytes; i < writer->item_count; offset += writer->headers[i++].length) {
        const enum kind kind = writer->items[i].kind;
        struct ken_cells_tensor *tensor = &tensors[writer->items[i].tensor];
        if (kind == MASK || kind == GAPS) {
            tensor->places = offset;
            tensor->gap = kind == GAPS ? (uint32_t)ken_dtype_size(writer->headers[i].dtype) : 0;
        } else {
            tensor->values = offset;
            tensor->values_length = writer->headers[i].length;
            tensor->packed = kind == PACKED;
        }
    }
    int code = ken_cells_writer_finish(prune->cells, prune->scratch, writer->variant, writer->output.size, tensors, error);
    free(tensors);
    return code;
}

/* ---- */

static int write_all(struct writer *writer, struct ken_error *error)
{
    size_t tensors = writer->prune->plan->model->tensor_count;
    int code = ken_scratch_records(writer->prune->scratch, writer->variant, 0, writer->records, tensors, error);
    if (!code) code = list_items(writer, error);
    if (!code) code = write_header(writer, error);
    const uint64_t header_bytes = writer->output.size;
    for (size_t i = 0; !code && i < writer->item_count; i++) code = write_item(writer, i, error);
    return code ? code : finish_cells(writer, header_bytes, error);
}

int ken_delta_write(struct ken_prune *prune, size_t variant, struct ken_follow *follow, uint64_t *size, struct ken_error *error)
{
    size_t tensors = prune->plan->model->tensor_count;
    char path[KEN_PATH_SIZE];
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer) return ken_fail(error, KEN_ENOMEM, "out of memory for a delta");
    writer->prune = prune;
    writer->variant = variant;
    writer->records = calloc(tensors + 1, sizeof *writer->records);
    writer->forms = calloc(tensors + 1, sizeof *writer->forms);
    writer->items = calloc(2 * tensors + 1, sizeof *writer->items);
    writer->headers = calloc(2 * tensors + 1, sizeof *writer->headers);
    bool there = writer->records && writer->forms && writer->items && writer->headers;
    int code = there ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a delta of %zu tensors", tensors);
    ken_run_path(path, prune->plan, variant, KEN_DELTA_FILE_NAME);
    if (!code) code = ken_output_create(&writer->output, prune->env.directory, path, follow, error);
    if (!code) code = write_all(writer, error);
    *size = writer->output.size;
    if (!code) code = ken_output_close(&writer->output, prune->env.durable, NULL, error);
    ken_output_abandon(&writer->output);
    ken_arena_free(&writer->names);
    free(writer->headers);
    free(writer->items);
    free(writer->forms);
    free(writer->records);
    free(writer);
    return code;
}
