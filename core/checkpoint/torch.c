/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/torch.h"

#include "checkpoint/metadata.h"
#include "checkpoint/model_header.h"
#include "checkpoint/pickle.h"
#include "checkpoint/shape.h"
#include "checkpoint/torch_view.h"
#include "checkpoint/zip.h"
#include "json_writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 160, ENTRY_NAME_MAX = 4096 };

/* A tensor on its way from the pickle to the store. */
struct found {
    const struct ken_pickle_tensor *tensor;
    const char *name;
    size_t order;             /* in the state dict */
    uint64_t begin;           /* its first byte in the file; of one without elements, its storage's */
    const struct found *kept; /* the first one of the same elements; itself where it is that */
    struct ken_extent extent;
};

struct reading {
    struct ken_header_store *store;
    struct ken_checkpoint_file *file;
    const char *label;
    uint32_t number;
    struct ken_zip zip;
    struct ken_pickle pickle;
    unsigned char *text;         /* data.pkl */
    char prefix[ENTRY_NAME_MAX]; /* "NAME/", which the names of entries begin with */
    struct found *found;         /* [count] */
    size_t count;
    struct ken_torch_part *parts; /* [part_count] */
    size_t part_count;
    struct ken_arena arena; /* of the parts */
    struct ken_error *error;
};

__attribute__((format(printf, 3, 4))) static int bad_file(const struct reading *reading, int code, const char *format, ...)
{
    char reason[KEN_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return ken_fail(reading->error, code, "%s: torch file: %s", reading->label, reason);
}

/* ---- the archive */

/* Finds NAME/data.pkl, which tells what all other names begin with. */
static int find_pickle(struct reading *reading, const struct ken_zip_entry **pickle)
{
    static const char last[] = "/data.pkl";
    *pickle = NULL;
    for (size_t i = 0; i < reading->zip.count; i++) {
        const struct ken_zip_entry *entry = &reading->zip.entries[i];
        const char *slash = strchr(entry->name, '/');
        if (!slash || strcmp(slash, last) != 0) continue;
        if (*pickle) return bad_file(reading, KEN_EBAD_CHECKPOINT, "more than one data.pkl");
        if (entry->name_size >= sizeof reading->prefix)
            return bad_file(reading, KEN_EBAD_CHECKPOINT, "the name of its data.pkl is too long");
        *pickle = entry;
        snprintf(reading->prefix, sizeof reading->prefix, "%.*s", (int)(slash - entry->name) + 1, entry->name);
    }
    return *pickle ? KEN_OK : bad_file(reading, KEN_EUNSUPPORTED, "no data.pkl in it: another kind of zip");
}

static int read_entry(const struct reading *reading, const struct ken_zip_entry *entry, void *bytes)
{
    struct ken_source *source = reading->file->source;
    int code = ken_source_wait(source, entry->offset, entry->size, reading->error);
    return code ? code : ken_source_read(source, entry->offset, bytes, entry->size, reading->error);
}

/* The entry of that name behind the prefix, or NULL. */
static const struct ken_zip_entry *find_entry(const struct reading *reading, const char *folder, const char *name, size_t length)
{
    char whole[ENTRY_NAME_MAX];
    if (length > sizeof whole || memchr(name, '\0', length)) return NULL;
    int written = snprintf(whole, sizeof whole, "%s%s%.*s", reading->prefix, folder, (int)length, name);
    return written >= 0 && (size_t)written < sizeof whole ? ken_zip_find(&reading->zip, whole) : NULL;
}

/* Files without the entry are of the time when all were little-endian. */
static int check_byte_order(const struct reading *reading)
{
    static const char little[] = {'l', 'i', 't', 't', 'l', 'e'};
    char order[16], shown[SHOWN];
    const struct ken_zip_entry *entry = find_entry(reading, "", "byteorder", strlen("byteorder"));
    if (!entry) return KEN_OK;
    size_t length = entry->size;
    if (length > sizeof order) return bad_file(reading, KEN_EBAD_CHECKPOINT, "its byteorder is of %" PRIu64 " bytes", entry->size);
    int code = read_entry(reading, entry, order);
    if (code || (length == sizeof little && memcmp(order, little, sizeof little) == 0)) return code;
    return bad_file(reading, KEN_EUNSUPPORTED, "its byte order is \"%s\", not \"little\"",
                    ken_printable(shown, sizeof shown, order, length));
}

static int read_pickle(struct reading *reading)
{
    const struct ken_zip_entry *entry;
    uint64_t limit = reading->store->limits.max_header_bytes;
    int code = find_pickle(reading, &entry);
    if (!code) code = check_byte_order(reading);
    if (code || !entry) return code;
    if (entry->size > limit)
        return bad_file(reading, KEN_ETOO_LARGE, "a data.pkl of %" PRIu64 " bytes is over the limit of %" PRIu64, entry->size, limit);
    reading->text = malloc(entry->size + 1);
    if (!reading->text) return ken_fail_no_memory(reading->error, reading->label);
    code = read_entry(reading, entry, reading->text);
    if (code) return code;
    return ken_pickle_read(&reading->pickle, reading->text, entry->size, reading->label, limit - entry->size,
                           reading->store->limits.max_tensors, reading->error);
}

/* ---- tensors */

/* Copies the name, if there can be a tensor of it. */
static int take_name(const struct reading *reading, const struct ken_pickle_item *item, struct found *found)
{
    char buffer[SHOWN];
    const char *refused = ken_header_store_refuses(reading->store, item->name, item->name_length, buffer, sizeof buffer);
    if (refused) return bad_file(reading, KEN_EBAD_CHECKPOINT, "%s", refused);
    found->name = ken_arena_copy(&reading->store->arena, item->name, item->name_length);
    if (!found->name) return ken_fail_no_memory(reading->error, reading->label);
    bool taken = strcmp(found->name, "__metadata__") == 0; /* in a safetensors file */
    return taken ? bad_file(reading, KEN_EUNSUPPORTED, "a tensor of the name \"%s\"", found->name) : KEN_OK;
}

/* Finds where in the file the tensor begins, and sees that all of it is in its storage. */
static int place(const struct reading *reading, struct found *found)
{
    const struct ken_pickle_tensor *tensor = found->tensor;
    const struct ken_pickle_storage *storage = tensor->storage;
    char shown[64];
    const struct ken_zip_entry *entry = find_entry(reading, "data/", storage->key, storage->key_length);
    if (!entry)
        return ken_header_bad_tensor(reading->label, reading->error, found->name, "its storage \"%s\" is not in the file",
                                     ken_printable(shown, sizeof shown, storage->key, storage->key_length));
    if (entry->size != storage->bytes)
        return ken_header_bad_tensor(reading->label, reading->error, found->name, "its storage has %" PRIu64 " bytes, not %" PRIu64,
                                     entry->size, storage->bytes);
    const char *reason = ken_shape_measure(tensor->shape, tensor->rank, tensor->dtype, &found->extent);
    if (reason) return ken_header_bad_tensor(reading->label, reading->error, found->name, "%s", reason);
    uint64_t before, room[2 * KEN_RANK_MAX], size = ken_dtype_size(tensor->dtype);
    struct ken_strided elements;
    found->begin = entry->offset;
    if (!found->extent.elements) return KEN_OK;
    if (__builtin_mul_overflow(tensor->offset, size, &before) || before > entry->size ||
        !ken_strided_init(&elements, before, (uint32_t)size, tensor->shape, tensor->strides, tensor->rank, room) ||
        elements.span > entry->size - before)
        return ken_header_bad_tensor(reading->label, reading->error, found->name,
                                     "it reaches beyond the end of its storage of %" PRIu64 " bytes", entry->size);
    found->begin += before;
    return KEN_OK;
}

static int find_tensors(struct reading *reading)
{
    uint64_t bytes = 0, size = reading->file->source->size;
    int code = KEN_OK;
    reading->found = calloc(reading->pickle.count + 1, sizeof *reading->found);
    if (!reading->found) return ken_fail_no_memory(reading->error, reading->label);
    for (; !code && reading->count < reading->pickle.count; reading->count++) {
        const struct ken_pickle_item *item = &reading->pickle.items[reading->count];
        struct found *found = &reading->found[reading->count];
        *found = (struct found){.tensor = item->tensor, .order = reading->count};
        code = take_name(reading, item, found);
        if (!code) code = place(reading, found);
        if (code) break;
        bytes += found->extent.bytes;
        if (found->extent.bytes / KEN_TORCH_SPREAD > size || bytes / KEN_TORCH_SPREAD > size)
            return ken_fail(reading->error, KEN_ETOO_LARGE, "%s: torch file: its tensors are more than %" PRIu64 " times its size",
                            reading->label, KEN_TORCH_SPREAD);
    }
    return code ? code : ken_header_store_check(reading->store, reading->label, reading->error);
}

static int check_names(const struct reading *reading)
{
    const char **names = malloc((reading->count + 1) * sizeof *names);
    if (!names) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < reading->count; i++) names[i] = reading->found[i].name;
    const char *twice = ken_find_twice(names, reading->count);
    free(names);
    return twice ? ken_header_bad_tensor(reading->label, reading->error, twice, "the name appears twice") : KEN_OK;
}

/* ---- ties and order */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* 0 for the same elements as the same tensor. */
static int compare_elements(const struct found *left, const struct found *right)
{
    const struct ken_pickle_tensor *a = left->tensor, *b = right->tensor;
    int order = compare_numbers(left->begin, right->begin);
    if (!order) order = compare_numbers(a->dtype, b->dtype);
    if (!order) order = compare_numbers(a->rank, b->rank);
    for (uint32_t i = 0; i < a->rank && !order; i++) order = compare_numbers(a->shape[i], b->shape[i]);
    for (uint32_t i = 0; i < a->rank && !order; i++) order = compare_numbers(a->strides[i], b->strides[i]);
    return order;
}

static int compare_tied(const void *a, const void *b)
{
    const struct found *left = *(struct found *const *)a, *right = *(struct found *const *)b;
    int order = compare_elements(left, right);
    return order ? order : compare_numbers(left->order, right->order);
}

static int compare_places(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    int order = compare_numbers(left->begin, right->begin);
    return order ? order : strcmp(left->name, right->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

static int find_ties(const struct reading *reading)
{
    struct found **sorted = malloc((reading->count + 1) * sizeof(struct found *));
    if (!sorted) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < reading->count; i++) sorted[i] = &reading->found[i];
    if (reading->count) qsort(sorted, reading->count, sizeof(struct found *), compare_tied);
    for (size_t i = 0; i < reading->count; i++) {
        bool tied = i && compare_elements(sorted[i - 1], sorted[i]) == 0;
        sorted[i]->kept = tied ? sorted[i - 1]->kept : sorted[i];
    }
    free(sorted);
    return KEN_OK;
}

/* Tells of the ties in the store and in the metadata, in the dict's order. */
static int take_ties(const struct reading *reading)
{
    struct ken_checkpoint_file *file = reading->file;
    struct ken_header_store *store = reading->store;
    struct ken_json_writer json;
    char *text = NULL;
    int code = KEN_OK;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    ken_json_key(&json, "format");
    ken_json_string(&json, "pt");
    for (size_t i = 0; i < reading->count && !code; i++) {
        const struct found *found = &reading->found[i];
        if (found->kept == found) continue;
        if (strcmp(found->name, "format") == 0) code = bad_file(reading, KEN_EUNSUPPORTED, "a tied tensor of the name \"%s\"", found->name);
        ken_json_key(&json, found->name);
        ken_json_string(&json, found->kept->name);
        if (!code) code = ken_header_store_grow_ties(store, reading->label, reading->error);
        if (!code) store->ties[store->tie_count++] = (struct ken_tie){found->name, found->kept->name, reading->number};
    }
    ken_json_end_object(&json);
    if (!code && ken_json_writer_take(&json, &text, &file->metadata_length)) code = ken_fail_no_memory(reading->error, reading->label);
    ken_json_writer_free(&json);
    if (code) return code;
    file->metadata_json = text;
    store->metadata_bytes += file->metadata_length;
    return ken_header_store_check(store, reading->label, reading->error);
}

/* Leaves those that are kept, by where they begin. Empty ones in a row will be at one place in the view: by name, as it would be read. */
static void sort_kept(struct reading *reading)
{
    size_t kept = 0, empty = 0;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->found[i].kept == &reading->found[i]) reading->found[kept++] = reading->found[i]; /* kept is not looked at any more */
    reading->count = kept;
    if (kept) qsort(reading->found, kept, sizeof *reading->found, compare_places);
    for (size_t i = 0; i <= kept; i++) {
        if (i < kept && !reading->found[i].extent.elements) {
            empty++;
            continue;
        }
        if (empty > 1) qsort(&reading->found[i - empty], empty, sizeof *reading->found, compare_names);
        empty = 0;
    }
}

/* ---- the view */

static int add_tensor(const struct reading *reading, const struct found *found)
{
    const struct ken_pickle_tensor *tensor = found->tensor;
    struct ken_header_store *store = reading->store;
    uint64_t *shape = ken_arena_allocate(&store->arena, tensor->rank * sizeof *shape);
    if (!shape) return ken_fail_no_memory(reading->error, reading->label);
    if (tensor->rank) memcpy(shape, tensor->shape, tensor->rank * sizeof *shape);
    int code = ken_header_store_grow(store, reading->label, reading->error);
    if (code) return code;
    store->tensors[store->count++] = (struct ken_tensor){
        .name = found->name,
        .dtype = tensor->dtype,
        .file = reading->number,
        .rank = tensor->rank,
        .shape = shape,
        .rows = found->extent.rows,
        .n = found->extent.n,
        .length = found->extent.bytes,
    };
    return ken_header_store_check(store, reading->label, reading->error);
}

/* The header that a safetensors file of these tensors would have: the view begins with it. */
static int make_header(const struct reading *reading, char **header, size_t *length)
{
    const struct ken_tensor *tensors = reading->store->tensors + reading->file->first;
    struct ken_header_tensor *described = calloc(reading->count + 1, sizeof *described);
    if (!described) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < reading->count; i++)
        described[i] = (struct ken_header_tensor){tensors[i].name, tensors[i].dtype, tensors[i].rank, tensors[i].shape, tensors[i].length};
    int code = ken_model_header_make(header, length, reading->file->metadata_json, described, reading->count, reading->error);
    free(described);
    return code;
}

/* Gives every tensor its place in the view, and makes the parts that are read there. */
static int lay_out(struct reading *reading, uint64_t at)
{
    struct ken_tensor *tensors = reading->store->tensors + reading->file->first;
    reading->parts = calloc(reading->count + 1, sizeof *reading->parts);
    if (!reading->parts) return ken_fail_no_memory(reading->error, reading->label);
    for (size_t i = 0; i < reading->count; i++) {
        const struct ken_pickle_tensor *tensor = reading->found[i].tensor;
        tensors[i].offset = at;
        if (!tensors[i].length) continue;
        uint64_t *room = ken_arena_allocate(&reading->arena, 2 * (size_t)tensor->rank * sizeof *room);
        if (!room) return ken_fail_no_memory(reading->error, reading->label);
        struct ken_torch_part *part = &reading->parts[reading->part_count++];
        part->offset = at;
        part->length = tensors[i].length;
        bool fits = ken_strided_init(&part->elements, reading->found[i].begin, (uint32_t)ken_dtype_size(tensor->dtype), tensor->shape,
                                     tensor->strides, tensor->rank, room);
        KEN_ASSERT(fits && !__builtin_add_overflow(at, part->length, &at)); /* `place` and `find_tensors` have seen to it */
    }
    return KEN_OK;
}

static int make_view(struct reading *reading)
{
    struct ken_checkpoint_file *file = reading->file;
    char *header = NULL;
    size_t length = 0;
    int code = make_header(reading, &header, &length);
    if (!code) code = lay_out(reading, length);
    if (!code)
        code = ken_torch_view_create(&file->source, file->stored, header, length, reading->parts, reading->part_count, &reading->arena,
                                     reading->error);
    if (code) {
        free(header);
        return code;
    }
    reading->parts = NULL;
    file->data_offset = length;
    reading->store->metadata_bytes += length;
    return ken_header_store_check(reading->store, reading->label, reading->error);
}

static int read_all(struct reading *reading)
{
    const struct ken_checkpoint_limits *limits = &reading->store->limits;
    struct ken_checkpoint_file *file = reading->file;
    int code = ken_zip_read(&reading->zip, file->source, reading->label, limits->max_header_bytes / 2, reading->error);
    if (!code) code = read_pickle(reading);
    if (!code) code = find_tensors(reading);
    if (!code) code = check_names(reading);
    if (!code) code = find_ties(reading);
    if (!code) code = take_ties(reading);
    if (code) return code;
    sort_kept(reading);
    file->first = reading->store->count;
    for (size_t i = 0; i < reading->count && !code; i++) code = add_tensor(reading, &reading->found[i]);
    file->count = reading->store->count - file->first;
    return code ? code : make_view(reading);
}

int ken_torch_read(struct ken_header_store *store, struct ken_checkpoint_file *file, uint32_t number, const char *label,
                   struct ken_error *error)
{
    struct reading *reading = malloc(sizeof *reading);
    if (!reading) return ken_fail_no_memory(error, label);
    *reading = (struct reading){.store = store, .file = file, .label = label, .number = number, .error = error};
    int code = read_all(reading);
    ken_zip_free(&reading->zip);
    ken_pickle_free(&reading->pickle);
    ken_arena_free(&reading->arena);
    free(reading->text);
    free(reading->found);
    free(reading->parts);
    free(reading);
    return code;
}
