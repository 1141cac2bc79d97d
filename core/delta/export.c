/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/export.h"

#include "checkpoint/model_header.h"
#include "delta/delta_internal.h"
#include "delta/packed.h"
#include "delta/places.h"
#include "folder.h"
#include "json_writer.h"
#include "staging.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Indices are of 32 bits with a sign. */
#define MOST_ELEMENTS (UINT64_C(1) << 31)
enum { INDEX_BITS = 32, INDEX_SIZE = 4, WIDEST_BITS = 64, NARROWEST_BITS = 8, PIECE_ELEMENTS = KEN_PACKED_RAW };

/* What is written of a tensor: two entries. */
struct part {
    size_t tensor;
    uint64_t count;           /* values */
    uint64_t indices, values; /* where they begin in the file, then where the next one goes */
};

struct exporter {
    const struct ken_delta *delta;
    const struct ken_inject_options *options; /* or NULL */
    struct ken_export *written;
    struct part *parts; /* [part_count], in the model's order */
    size_t part_count;
    struct ken_arena arena; /* names of entries */
    struct ken_places *places;
    int32_t *indices; /* [PIECE_ELEMENTS] of a piece */
    int file;
    uint64_t done, total; /* bytes of entries */
    struct ken_error *error;
};

/* ---- what there is to write */

static int add_part(struct exporter *exporter, size_t index)
{
    const struct ken_delta_tensor *tensor = &exporter->delta->tensors[index];
    uint64_t elements = exporter->delta->entries[index].elements;
    uint64_t count = tensor->form == KEN_FORM_WHOLE ? elements : tensor->stored;
    char shown[KEN_DELTA_LABEL_SIZE];
    exporter->written->elements += elements;
    if (!count) return KEN_OK;
    ken_printable(shown, sizeof shown, tensor->name, strlen(tensor->name));
    if (!ken_dtype_size(tensor->dtype))
        return ken_fail(exporter->error, KEN_EUNSUPPORTED, "tensor \"%s\": %s has no elements of whole bytes, which an index could tell",
                        shown, ken_dtype_name(tensor->dtype));
    if (elements > MOST_ELEMENTS)
        return ken_fail(exporter->error, KEN_ETOO_LARGE,
                        "tensor \"%s\" has %" PRIu64 " elements; the indices of this format, of 32 bits, reach %" PRIu64, shown, elements,
                        MOST_ELEMENTS);
    exporter->parts[exporter->part_count++] = (struct part){.tensor = index, .count = count};
    exporter->written->values += count;
    exporter->written->added += !tensor->has_base;
    exporter->written->renamed += tensor->has_base && strcmp(tensor->name, tensor->base_name) != 0;
    exporter->total += count * (INDEX_SIZE + ken_dtype_size(tensor->dtype));
    return KEN_OK;
}

static const char *entry_name(struct exporter *exporter, const struct part *part, const char *suffix)
{
    const char *name = exporter->delta->tensors[part->tensor].name;
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *made = ken_arena_allocate(&exporter->arena, size);
    if (made) snprintf(made, size, "%s%s", name, suffix);
    return made;
}

/* ---- TRL's: NAME.indices and NAME.values of every tensor, and metadata of strings as Python's str() writes them */

static void tell_number(struct ken_json_writer *json, const char *key, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    ken_json_key(json, key);
    ken_json_string(json, text);
}

/* A string that is what `inner` has written; ends it. */
static void tell_text(struct ken_json_writer *json, const char *key, struct ken_json_writer *inner)
{
    const char *text = "";
    size_t length = 0;
    int code = ken_json_writer_finish(inner, &text, &length);
    ken_json_key(json, key);
    ken_json_string_bytes(json, text ? text : "", length);
    if (code && !json->code) json->code = code;
    ken_json_writer_free(inner);
}

static void tell_sparsity(struct ken_json_writer *json, const struct ken_export *written)
{
    struct ken_json_writer inner;
    ken_json_writer_init(&inner);
    ken_json_double(&inner, 1.0 - (double)written->values / (double)(written->elements ? written->elements : 1));
    tell_text(json, "sparsity", &inner);
}

static void tell_names(struct ken_json_writer *json, const struct exporter *exporter)
{
    struct ken_json_writer inner;
    ken_json_writer_init(&inner);
    ken_json_begin_array(&inner);
    for (size_t i = 0; i < exporter->part_count; i++) ken_json_string(&inner, exporter->delta->tensors[exporter->parts[i].tensor].name);
    ken_json_end_array(&inner);
    tell_text(json, "changed_params", &inner);
}

static int make_metadata(const struct exporter *exporter, char **text)
{
    static const char *const fixed[][2] = {{"format", "sparse_weight_patch"}, {"version", "1"}, {"sparse", "True"}, {"model_version", "0"}};
    struct ken_json_writer json;
    size_t length;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        ken_json_key(&json, fixed[i][0]);
        ken_json_string(&json, fixed[i][1]);
    }
    tell_number(&json, "num_changed_params", exporter->part_count);
    tell_number(&json, "total_changed_elements", exporter->written->values);
    tell_number(&json, "total_elements", exporter->written->elements);
    tell_sparsity(&json, exporter->written);
    tell_names(&json, exporter);
    ken_json_end_object(&json);
    int code = ken_json_writer_take(&json, text, &length);
    return code ? ken_fail(exporter->error, code, "writing metadata: %s", ken_error_text(code)) : KEN_OK;
}

/* Adds an entry of a part behind the others, and tells where it begins, counted from the end of the header. */
static bool add_entry(struct exporter *exporter, struct ken_header_tensor *entry, const struct part *part, const char *suffix,
                      enum ken_dtype dtype, uint64_t *end, uint64_t *begin)
{
    *entry = (struct ken_header_tensor){.name = entry_name(exporter, part, suffix),
                                        .dtype = dtype,
                                        .rank = 1,
                                        .shape = &part->count,
                                        .length = part->count * ken_dtype_size(dtype)};
    *begin = *end;
    *end += entry->length;
    return entry->name;
}

/* Entries [2 * part_count] by the bits of their dtype, most first: readers take views of the file, which must be aligned. */
static bool lay_out(struct exporter *exporter, struct ken_header_tensor *entries)
{
    uint64_t end = 0;
    size_t count = 0;
    bool good = true;
    for (unsigned bits = WIDEST_BITS; bits >= NARROWEST_BITS; bits /= 2)
        for (size_t i = 0; i < exporter->part_count; i++) {
            struct part *part = &exporter->parts[i];
            enum ken_dtype dtype = exporter->delta->tensors[part->tensor].dtype;
            if (bits == INDEX_BITS) good &= add_entry(exporter, &entries[count++], part, ".indices", KEN_I32, &end, &part->indices);
            if (bits == ken_dtype_bits(dtype)) good &= add_entry(exporter, &entries[count++], part, ".values", dtype, &end, &part->values);
        }
    return good;
}

static int write_header(struct exporter *exporter)
{
    struct ken_header_tensor *entries = calloc(2 * exporter->part_count + 1, sizeof *entries);
    char *metadata = NULL, *bytes = NULL;
    size_t length = 0;
    int code = entries && lay_out(exporter, entries) ? KEN_OK : ken_fail_no_memory(exporter->error, "exporting a delta");
    if (!code) code = make_metadata(exporter, &metadata);
    if (!code) code = ken_model_header_make(&bytes, &length, metadata, entries, 2 * exporter->part_count, exporter->error);
    if (!code) code = ken_file_write(exporter->file, 0, bytes, length, "the export", exporter->error);
    for (size_t i = 0; i < exporter->part_count; i++) {
        exporter->parts[i].indices += length;
        exporter->parts[i].values += length;
    }
    exporter->written->bytes = length + exporter->total;
    free(bytes);
    free(metadata);
    free(entries);
    return code;
}

static void list_indices(int32_t *indices, const struct ken_places_piece *piece)
{
    for (size_t i = 0; i < (piece->count + 7) / 8; i++)
        for (unsigned bits = piece->mask[i]; bits; bits &= bits - 1)
            *indices++ = (int32_t)(piece->first + 8 * i + (unsigned)__builtin_ctz(bits));
}

static int write_piece(struct exporter *exporter, struct part *part, const struct ken_places_piece *piece)
{
    size_t size = ken_dtype_size(exporter->delta->tensors[part->tensor].dtype);
    uint64_t index_length = piece->stored * (uint64_t)INDEX_SIZE, value_length = piece->stored * (uint64_t)size;
    if (!piece->stored) return KEN_OK;
    list_indices(exporter->indices, piece);
    int code = ken_file_write(exporter->file, part->indices, exporter->indices, index_length, "the export", exporter->error);
    if (!code) code = ken_file_write(exporter->file, part->values, piece->values, value_length, "the export", exporter->error);
    part->indices += index_length;
    part->values += value_length;
    exporter->done += index_length + value_length;
    return code;
}

static int write_part(struct exporter *exporter, struct part *part)
{
    struct ken_places_piece piece;
    int code = ken_places_begin(exporter->places, part->tensor, exporter->error);
    while (!code) {
        code = ken_places_next(exporter->places, &piece, exporter->error);
        if (code || !piece.count) break;
        code = write_piece(exporter, part, &piece);
        if (!code) code = ken_delta_go_on(exporter->options, exporter->done, exporter->total, exporter->error);
    }
    return code;
}

static int write_trl(struct exporter *exporter)
{
    int code = KEN_OK;
    for (size_t i = 0; i < exporter->delta->tensor_count && !code; i++) code = add_part(exporter, i);
    exporter->written->tensors = exporter->part_count;
    if (!code) code = write_header(exporter);
    for (size_t i = 0; i < exporter->part_count && !code; i++) code = write_part(exporter, &exporter->parts[i]);
    return code;
}

/* ---- all formats */

static const struct {
    const char *name;
    int (*write)(struct exporter *exporter);
} formats[KEN_EXPORT_COUNT] = {
#define X(symbol, name, writer) {name, writer},
    KEN_EXPORT_MAP(X)
#undef X
};

int ken_export_find(enum ken_export_format *format, const char *name, struct ken_error *error)
{
#define X(symbol, name, writer) " " name
    static const char names[] = KEN_EXPORT_MAP(X);
#undef X
    char shown[64];
    for (unsigned i = 0; i < KEN_EXPORT_COUNT; i++)
        if (strcmp(formats[i].name, name) == 0) {
            *format = (enum ken_export_format)i;
            return KEN_OK;
        }
    return ken_fail(error, KEN_EINVALID, "there is no format \"%s\" to export to: there is%s",
                    ken_printable(shown, sizeof shown, name, strlen(name)), names);
}

static int write_file(struct exporter *exporter, enum ken_export_format format, const char *path)
{
    exporter->parts = calloc(exporter->delta->tensor_count + 1, sizeof *exporter->parts);
    exporter->indices = malloc(PIECE_ELEMENTS * sizeof *exporter->indices);
    int code = exporter->parts && exporter->indices ? KEN_OK : ken_fail_no_memory(exporter->error, "exporting a delta");
    if (!code) code = ken_file_open(&exporter->file, AT_FDCWD, path, true, exporter->error);
    if (!code) code = formats[format].write(exporter);
    if (exporter->file >= 0 && close(exporter->file) != 0 && !code) code = ken_fail_errno(exporter->error, errno, "writing the export");
    free(exporter->indices);
    free(exporter->parts);
    ken_arena_free(&exporter->arena);
    return code;
}

/* Whether what was read is still what it was. */
static int check_sources(const struct ken_delta *delta, const struct ken_checkpoint *base, struct ken_error *error)
{
    int code = ken_source_check(delta->checkpoint->files[0].source, error);
    for (size_t i = 0; base && i < base->file_count && !code; i++) code = ken_source_check(base->files[i].source, error);
    return code;
}

int ken_delta_export(struct ken_export *written, const struct ken_delta *delta, const struct ken_checkpoint *base,
                     enum ken_export_format format, const char *output, const struct ken_inject_options *options, struct ken_error *error)
{
    struct exporter exporter = {.delta = delta, .options = options, .written = written, .file = -1, .error = error};
    struct ken_staging *staging = NULL;
    *written = (struct ken_export){0};
    if (!base && ken_delta_needs_base(delta))
        return ken_fail(error, KEN_EINVALID, "a packed delta tells its values as differences to the base: they cannot be had without it");
    int code = ken_places_create(&exporter.places, delta, base, error);
    if (!code) code = ken_staging_open(&staging, output, false, error);
    if (!code) code = write_file(&exporter, format, ken_staging_path(staging));
    if (!code) code = check_sources(delta, base, error);
    ken_places_free(&exporter.places);
    if (!code) return ken_staging_commit(&staging, error);
    ken_staging_abandon(&staging);
    return code;
}
