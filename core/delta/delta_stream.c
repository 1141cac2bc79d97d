/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include "bits.h"
#include "checkpoint/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements of a piece: a multiple of 8, so that a piece of the mask is whole bytes. */
enum { PIECE = 1 << 16, WIDEST = 8 };

/* Reads a range of a source from its beginning to its end, buffered. */
struct run {
    struct ken_source *source;
    uint64_t offset, left; /* of what is not in the buffer yet */
    unsigned char *buffer; /* [PIECE * WIDEST] */
    size_t at, filled;
};

struct ken_delta_stream {
    const struct ken_delta *delta;
    const struct ken_checkpoint *base;
    const struct ken_delta_tensor *tensor;
    const struct ken_delta_entries *entries;
    bool from_base;         /* the tensor has a base */
    size_t size, base_size; /* bytes of an element; 1 where elements are packed: then only bytes are copied */
    uint64_t count, done;   /* elements in all, and given so far */
    uint64_t stored;        /* values taken so far */
    uint64_t next;          /* form `gaps`: element of the next value, count when there is none */
    struct run base_run, value_run, place_run;
    struct ken_digest digest;
    unsigned char *piece; /* [PIECE * WIDEST] */
};

static void run_begin(struct run *run, struct ken_source *source, uint64_t offset, uint64_t length)
{
    run->source = source;
    run->offset = offset;
    run->left = length;
    run->at = run->filled = 0;
}

static void run_entry(struct run *run, const struct ken_delta *delta, const struct ken_tensor *entry)
{
    run_begin(run, delta->checkpoint->files[entry->file].source, entry->offset, entry->length);
}

/* Makes *bytes the next `length` bytes, at most PIECE * WIDEST, which must be there. */
static int run_take(struct run *run, size_t length, const unsigned char **bytes, struct ken_error *error)
{
    size_t kept = run->filled - run->at;
    KEN_ASSERT(length <= (size_t)PIECE * WIDEST && length <= kept + run->left);
    if (length > kept) {
        memmove(run->buffer, run->buffer + run->at, kept);
        size_t more = (size_t)PIECE * WIDEST - kept;
        if (more > run->left) more = (size_t)run->left;
        int code = ken_source_wait(run->source, run->offset, more, error);
        if (!code) code = ken_source_read(run->source, run->offset, run->buffer + kept, more, error);
        if (code) return code;
        run->offset += more;
        run->left -= more;
        run->at = 0;
        run->filled = kept + more;
    }
    *bytes = run->buffer + run->at;
    run->at += length;
    return KEN_OK;
}

int ken_delta_stream_create(struct ken_delta_stream **stream, const struct ken_delta *delta, const struct ken_checkpoint *base,
                            struct ken_error *error)
{
    struct ken_delta_stream *made = calloc(1, sizeof *made);
    *stream = made;
    if (made) {
        made->delta = delta;
        made->base = base;
        made->piece = malloc((size_t)PIECE * WIDEST);
        made->base_run.buffer = malloc((size_t)PIECE * WIDEST);
        made->value_run.buffer = malloc((size_t)PIECE * WIDEST);
        made->place_run.buffer = malloc((size_t)PIECE * WIDEST);
    }
    if (made && made->piece && made->base_run.buffer && made->value_run.buffer && made->place_run.buffer) return KEN_OK;
    ken_delta_stream_free(stream);
    return ken_fail(error, KEN_ENOMEM, "out of memory for reading a delta");
}

void ken_delta_stream_free(struct ken_delta_stream **stream)
{
    if (!*stream) return;
    ken_digest_free(&(*stream)->digest);
    free((*stream)->place_run.buffer);
    free((*stream)->value_run.buffer);
    free((*stream)->base_run.buffer);
    free((*stream)->piece);
    free(*stream);
    *stream = NULL;
}

static int begin_base(struct ken_delta_stream *stream, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    const struct ken_tensor *base = ken_checkpoint_find(stream->base, tensor->base_name);
    char shown[KEN_DELTA_LABEL_SIZE];
    ken_printable(shown, sizeof shown, tensor->base_name, strlen(tensor->base_name));
    if (!base)
        return ken_fail(error, KEN_EMISMATCH, "the base has no tensor \"%s\": it is not the one that the delta was made from", shown);
    if (base->dtype != tensor->base_dtype)
        return ken_fail(error, KEN_EMISMATCH, "base tensor \"%s\" is %s, the delta was made from %s", shown, ken_dtype_name(base->dtype),
                        ken_dtype_name(tensor->base_dtype));
    if (!ken_shape_is(base->shape, base->rank, tensor->shape, tensor->rank))
        return ken_fail(error, KEN_EMISMATCH, "base tensor \"%s\" has another shape than the delta was made from", shown);
    run_begin(&stream->base_run, stream->base->files[base->file].source, base->offset, base->length);
    return ken_digest_init(&stream->digest, error);
}

/* Form `gaps`: finds the element of the next value. */
static int read_gap(struct ken_delta_stream *stream, struct ken_error *error)
{
    size_t size = ken_dtype_size(stream->entries->places->dtype);
    const unsigned char *bytes;
    uint64_t gap = 0, next = stream->stored ? stream->next + 1 : 0;
    if (stream->stored == stream->tensor->stored) {
        stream->next = stream->count;
        return KEN_OK;
    }
    int code = run_take(&stream->place_run, size, &bytes, error);
    if (code) return code;
    for (size_t i = 0; i < size; i++) gap |= (uint64_t)bytes[i] << (8 * i);
    if (gap >= stream->count || next >= stream->count - gap)
        return ken_delta_fail(error, stream->tensor->name, "gap %" PRIu64 " leads beyond its %" PRIu64 " elements", stream->stored,
                              stream->count);
    stream->next = next + gap;
    return KEN_OK;
}

int ken_delta_stream_begin(struct ken_delta_stream *stream, size_t tensor, struct ken_error *error)
{
    const struct ken_delta *delta = stream->delta;
    stream->tensor = &delta->tensors[tensor];
    stream->entries = &delta->entries[tensor];
    stream->from_base = stream->tensor->has_base;
    stream->size = ken_dtype_size(stream->tensor->dtype);
    stream->base_size = stream->from_base ? ken_dtype_size(stream->tensor->base_dtype) : 0;
    stream->count = stream->entries->elements;
    if (!stream->size) {
        stream->size = stream->base_size = 1;
        stream->count = stream->entries->length;
    }
    stream->done = stream->stored = stream->next = 0;
    if (stream->entries->values) run_entry(&stream->value_run, delta, stream->entries->values);
    if (stream->entries->places) run_entry(&stream->place_run, delta, stream->entries->places);
    ken_digest_free(&stream->digest);
    int code = stream->from_base ? begin_base(stream, error) : KEN_OK;
    if (!code && stream->tensor->form == KEN_FORM_GAPS) code = read_gap(stream, error);
    return code;
}

/* Reads the base's elements, and makes them the piece unless everything is stored. */
static int take_base(struct ken_delta_stream *stream, size_t count, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    const unsigned char *bytes;
    int code = run_take(&stream->base_run, count * stream->base_size, &bytes, error);
    if (code) return code;
    ken_digest_update(&stream->digest, bytes, count * stream->base_size);
    if (tensor->form == KEN_FORM_WHOLE) return KEN_OK;
    if (tensor->dtype == tensor->base_dtype)
        memcpy(stream->piece, bytes, count * stream->size);
    else
        ken_convert(tensor->base_dtype, bytes, tensor->dtype, stream->piece, count);
    return KEN_OK;
}

static int apply_whole(struct ken_delta_stream *stream, size_t count, struct ken_error *error)
{
    const unsigned char *bytes;
    int code = run_take(&stream->value_run, count * stream->size, &bytes, error);
    if (!code) memcpy(stream->piece, bytes, count * stream->size);
    return code;
}

static void scatter(unsigned char *piece, size_t size, const unsigned char *mask, size_t mask_length, const unsigned char *values)
{
    for (size_t i = 0; i < mask_length; i++)
        for (unsigned bits = mask[i]; bits; bits &= bits - 1) {
            memcpy(piece + (8 * i + (size_t)__builtin_ctz(bits)) * size, values, size);
            values += size;
        }
}

static int apply_mask(struct ken_delta_stream *stream, size_t count, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    const unsigned char *mask, *values;
    size_t length = (count + 7) / 8;
    int code = run_take(&stream->place_run, length, &mask, error);
    if (code) return code;
    if (count % 8 && mask[length - 1] >> count % 8) return ken_delta_fail(error, tensor->name, "its mask has bits behind its last element");
    uint64_t ones = ken_bits_ones(mask, length);
    if (ones > tensor->stored - stream->stored)
        return ken_delta_fail(error, tensor->name, "its mask has more bits than the %" PRIu64 " values that are stored", tensor->stored);
    code = run_take(&stream->value_run, ones * stream->size, &values, error);
    if (code) return code;
    scatter(stream->piece, stream->size, mask, length, values);
    stream->stored += ones;
    return KEN_OK;
}

static int apply_gaps(struct ken_delta_stream *stream, size_t count, struct ken_error *error)
{
    const unsigned char *value;
    while (stream->next < stream->done + count) {
        int code = run_take(&stream->value_run, stream->size, &value, error);
        if (code) return code;
        memcpy(stream->piece + (stream->next - stream->done) * stream->size, value, stream->size);
        stream->stored++;
        code = read_gap(stream, error);
        if (code) return code;
    }
    return KEN_OK;
}

/* All pieces were given: is the base the right one, and was everything used? */
static int finish(struct ken_delta_stream *stream, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    unsigned char sha256[KEN_SHA256_SIZE];
    if (tensor->form == KEN_FORM_MASK && stream->stored != tensor->stored)
        return ken_delta_fail(error, tensor->name, "its mask has %" PRIu64 " bits, but %" PRIu64 " values are stored", stream->stored,
                              tensor->stored);
    if (!stream->from_base) return KEN_OK;
    stream->from_base = false;
    int code = ken_digest_final(&stream->digest, sha256, error);
    if (code || memcmp(sha256, tensor->base_sha256, sizeof sha256) == 0) return code;
    char shown[KEN_DELTA_LABEL_SIZE], found[KEN_SHA256_HEX_SIZE], wanted[KEN_SHA256_HEX_SIZE];
    return ken_fail(error, KEN_EDIGEST, "base tensor \"%s\" has SHA-256 %s, the delta was made from %s: this is another base",
                    ken_printable(shown, sizeof shown, tensor->base_name, strlen(tensor->base_name)),
                    ken_hex_encode(found, sha256, sizeof sha256), ken_hex_encode(wanted, tensor->base_sha256, sizeof sha256));
}

int ken_delta_stream_next(struct ken_delta_stream *stream, const void **bytes, size_t *length, struct ken_error *error)
{
    static int (*const appliers[])(struct ken_delta_stream *, size_t, struct ken_error *) = {
        [KEN_FORM_WHOLE] = apply_whole, [KEN_FORM_MASK] = apply_mask, [KEN_FORM_GAPS] = apply_gaps};
    uint64_t left = stream->count - stream->done;
    size_t count = left < PIECE ? (size_t)left : PIECE;
    int code = KEN_OK;
    *bytes = stream->piece;
    *length = count * stream->size;
    if (!count) return finish(stream, error);
    if (stream->from_base) code = take_base(stream, count, error);
    if (!code && stream->tensor->form != KEN_FORM_SAME) code = appliers[stream->tensor->form](stream, count, error);
    stream->done += count;
    return code;
}
