/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"
#include "checkpoint/shape.h"
#include "fuzz.h"
#include "memory_source.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { READ_MAX = 1 << 20, PIECE = 61 };

#define TEN "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x"
const char fuzz_label[] =
    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN;
bool fuzz_accepted;
const struct ken_checkpoint_limits fuzz_limits = {.max_header_bytes = 1 << 16, .max_tensors = 64, .max_name_bytes = 256};

void fuzz_check_error(int code, const struct ken_error *error)
{
    size_t length = strnlen(error->message, sizeof error->message), sequence;
    uint32_t point = 0;
    KEN_ASSERT(code < 0 && code >= KEN_EBUSY && code == error->code);
    KEN_ASSERT(length && length < sizeof error->message);
    for (size_t i = 0; i < length; i += sequence) {
        sequence = ken_utf8_sequence(error->message + i, length - i, &point);
        KEN_ASSERT(sequence && ken_utf8_is_plain(point));
    }
}

/* ---- what a header says */

static void check_tensor(const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor)
{
    uint64_t elements = 1, bits;
    size_t length = strlen(tensor->name);
    KEN_ASSERT(tensor->file < checkpoint->file_count && tensor->rank <= KEN_RANK_MAX);
    KEN_ASSERT(length && ken_utf8_valid(tensor->name, length) == length);
    KEN_ASSERT(ken_checkpoint_find(checkpoint, tensor->name) == tensor); /* hence unique */
    for (uint32_t i = tensor->rank; i-- > 0;) KEN_ASSERT(!__builtin_mul_overflow(elements, tensor->shape[i], &elements));
    KEN_ASSERT(ken_tensor_elements(tensor) == elements);
    KEN_ASSERT(!__builtin_mul_overflow(elements, ken_dtype_bits(tensor->dtype), &bits) && bits % 8 == 0);
    KEN_ASSERT(tensor->length == bits / 8);
}

static void check_places(const struct ken_checkpoint *checkpoint, size_t number)
{
    const struct ken_checkpoint_file *file = &checkpoint->files[number];
    uint64_t at = file->data_offset;
    KEN_ASSERT(file->first + file->count <= checkpoint->tensor_count && at <= file->source->size);
    for (size_t i = file->first; i < file->first + file->count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        KEN_ASSERT(tensor->file == number && tensor->offset == at);
        KEN_ASSERT(!__builtin_add_overflow(at, tensor->length, &at));
    }
    KEN_ASSERT(at == file->source->size);
}

static void check_ties(const struct ken_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->tie_count; i++) {
        const struct ken_tensor *of = ken_checkpoint_find(checkpoint, checkpoint->ties[i].of);
        KEN_ASSERT(of && of->file == checkpoint->ties[i].file);
        KEN_ASSERT(!ken_checkpoint_find(checkpoint, checkpoint->ties[i].name));
    }
}

/* ---- reading */

static void read_bytes(struct ken_source *source, uint64_t offset, void *buffer, size_t length)
{
    struct ken_error error = {0};
    KEN_ASSERT(!ken_source_wait(source, offset, length, &error));
    KEN_ASSERT(!ken_source_read(source, offset, buffer, length, &error));
}

/* All bytes of a file, read at once, and once more in pieces that begin and end anywhere. */
static unsigned char *read_file_twice(const struct ken_checkpoint_file *file)
{
    size_t size = (size_t)file->source->size;
    unsigned char *bytes = malloc(size + 1), piece[PIECE];
    KEN_ASSERT(bytes);
    read_bytes(file->source, 0, bytes, size);
    for (size_t at = 0, length; at < size && at < 4096; at += length) {
        length = size - at < PIECE ? size - at : PIECE;
        read_bytes(file->source, at, piece, length);
        KEN_ASSERT(memcmp(piece, bytes + at, length) == 0);
    }
    return bytes;
}

/* ---- written again */

static void check_same(const struct ken_checkpoint *checkpoint, const struct ken_checkpoint_file *file, const struct ken_checkpoint *other)
{
    const struct ken_checkpoint_file *written = &other->files[0];
    KEN_ASSERT(other->file_count == 1 && other->tensor_count == file->count && !other->has_index);
    KEN_ASSERT(!file->metadata_json == !written->metadata_json && file->metadata_length == written->metadata_length);
    if (file->metadata_json) KEN_ASSERT(memcmp(file->metadata_json, written->metadata_json, file->metadata_length) == 0);
    for (size_t i = 0; i < file->count; i++) {
        const struct ken_tensor *a = &checkpoint->tensors[file->first + i], *b = &other->tensors[i];
        KEN_ASSERT(strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && ken_tensor_same_shape(a, b));
        KEN_ASSERT(a->rows == b->rows && a->n == b->n && a->length == b->length);
    }
}

/* Writes a safetensors file of what was read of one, or of a torch file, whose view must be just that. */
static void check_written_again(const struct ken_checkpoint *checkpoint, const struct ken_checkpoint_file *file, const unsigned char *bytes)
{
    struct ken_header_tensor tensors[64 + 1];
    struct ken_checkpoint *other;
    struct ken_error error = {0};
    size_t length = 0, data = (size_t)(file->source->size - file->data_offset);
    char *header;
    KEN_ASSERT(file->count <= fuzz_limits.max_tensors);
    for (size_t i = 0; i < file->count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[file->first + i];
        tensors[i] = (struct ken_header_tensor){tensor->name, tensor->dtype, tensor->rank, tensor->shape, tensor->length};
    }
    KEN_ASSERT(!ken_model_header_make(&header, &length, file->metadata_json, tensors, file->count, &error));
    if (file->stored != file->source) KEN_ASSERT(length == file->data_offset && memcmp(header, bytes, length) == 0);
    header = realloc(header, length + data + 1);
    KEN_ASSERT(header);
    memcpy(header + length, bytes + file->data_offset, data);
    KEN_ASSERT(!open_memory(&other, header, length + data, NULL, &error));
    check_same(checkpoint, file, other);
    ken_checkpoint_close(&other);
    free(header);
}

/* ---- the whole */

void fuzz_check_checkpoint(const struct ken_checkpoint *checkpoint)
{
    KEN_ASSERT(checkpoint->file_count && (checkpoint->has_index || checkpoint->file_count == 1));
    for (size_t i = 0; i < checkpoint->tensor_count; i++) check_tensor(checkpoint, &checkpoint->tensors[i]);
    check_ties(checkpoint);
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        const struct ken_checkpoint_file *file = &checkpoint->files[i];
        KEN_ASSERT(!i || strcmp(checkpoint->files[i - 1].name, file->name) < 0);
        check_places(checkpoint, i);
        if (file->source->size > READ_MAX) continue;
        unsigned char *bytes = read_file_twice(file);
        check_written_again(checkpoint, file, bytes);
        free(bytes);
    }
}

struct ken_checkpoint *fuzz_open(const void *bytes, size_t length)
{
    struct ken_checkpoint *checkpoint;
    struct ken_error error = {0};
    int code = open_memory(&checkpoint, bytes, length, &fuzz_limits, &error);
    fuzz_accepted = !code;
    KEN_ASSERT(!code == !!checkpoint);
    if (code)
        fuzz_check_error(code, &error);
    else
        fuzz_check_checkpoint(checkpoint);
    return checkpoint;
}
