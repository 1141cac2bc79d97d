/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include "bits.h"
#include "checkpoint/shape.h"
#include "delta/packed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements of a piece: a multiple of 8, so that a piece of the mask is whole bytes. */
enum { PIECE = 1 << 16, WIDEST = 8, PIECE_BYTES = PIECE * WIDEST };
_Static_assert((int)PIECE_BYTES >= (int)KEN_PACKED_RAW, "what a block is decoded to is one piece");

/* Reads a range of a source from its beginning to its end, buffered. */
struct run {
    struct ken_source *source;
    uint64_t offset, left; /* of what is not in the buffer yet */
    unsigned char *buffer; /* [capacity + KEN_PACKED_SLACK] */
    size_t capacity, at, filled;
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
    unsigned char *piece;          /* [PIECE_BYTES] */
    struct ken_unpacker *unpacker; /* encoding packed: value_run is of blocks, place_run of their index */
    const char *misfit;            /* why a block does not go with the base; told only if the base turns out to be the right one */
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

/* What was not taken yet. */
static uint64_t run_left(const struct run *run)
{
    return run->left + (run->filled - run->at);
}

/* Makes *bytes the next `length` bytes, at most the run's capacity, which must be there. */
static int run_take(struct run *run, size_t length, const unsigned char **bytes, struct ken_error *error)
{
    size_t kept = run->filled - run->at;
    KEN_ASSERT(length <= run->capacity && length <= kept + run->left);
    if (length > kept) {
        memmove(run->buffer, run->buffer + run->at, kept);
        size_t more = run->capacity - kept;
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

static bool run_create(struct run *run, size_t capacity)
{
    run->capacity = capacity;
    run->buffer = malloc(capacity + KEN_PACKED_SLACK);
    if (run->buffer) memset(run->buffer + capacity, 0, KEN_PACKED_SLACK);
    return run->buffer;
}

int ken_delta_stream_create(struct ken_delta_stream **stream, const struct ken_delta *delta, const struct ken_checkpoint *base,
                            struct ken_error *error)
{
    struct ken_delta_stream *made = calloc(1, sizeof *made);
    *stream = made;
    bool packed = delta->encoding == KEN_ENCODING_PACKED, there = made;
    if (made) {
        made->delta = delta;
        made->base = base;
        made->piece = malloc(PIECE_BYTES);
        there = made->piece && run_create(&made->base_run, PIECE_BYTES) && run_create(&made->place_run, PIECE_BYTES) &&
                run_create(&made->value_run, packed ? KEN_PACKED_LONGEST : PIECE_BYTES);
    }
    if (there && packed) there = ken_unpacker_create(&made->unpacker, NULL) == KEN_OK;
    if (there) return KEN_OK;
    ken_delta_stream_free(stream);
    return ken_fail_no_memory(error, "a delta");
}

void ken_delta_stream_free(struct ken_delta_stream **stream)
{
    if (!*stream) return;
    ken_digest_free(&(*stream)->digest);
    ken_unpacker_free(&(*stream)->unpacker);
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

/* Parts the entry into the index and the blocks; it is as long as the index at least. */
static void begin_packed(struct ken_delta_stream *stream)
{
    struct run *blocks = &stream->value_run;
    uint64_t index = KEN_PACKED_INDEX_ENTRY * ken_packed_blocks(stream->count, stream->size);
    run_begin(&stream->place_run, blocks->source, blocks->offset, index);
    run_begin(blocks, blocks->source, blocks->offset + index, blocks->left - index);
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
    stream->misfit = NULL;
    if (stream->entries->values) run_entry(&stream->value_run, delta, stream->entries->values);
    if (stream->entries->values && stream->unpacker) begin_packed(stream);
    if (stream->entries->places) run_entry(&stream->place_run, delta, stream->entries->places);
    ken_digest_free(&stream->digest);
    int code = stream->from_base ? begin_base(stream, error) : KEN_OK;
    if (!code && stream->tensor->form == KEN_FORM_GAPS) code = read_gap(stream, error);
    return code;
}

/* Reads at most PIECE of the base's elements, and makes them those of the piece from `first` on unless everything is stored. */
static int take_base(struct ken_delta_stream *stream, size_t first, size_t count, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    unsigned char *piece = stream->piece + first * stream->size;
    const unsigned char *bytes;
    int code = run_take(&stream->base_run, count * stream->base_size, &bytes, error);
    if (code) return code;
    ken_digest_update(&stream->digest, bytes, count * stream->base_size);
    if (tensor->form == KEN_FORM_WHOLE) return KEN_OK;
    if (tensor->dtype == tensor->base_dtype)
        memcpy(piece, bytes, count * stream->size);
    else
        ken_convert(tensor->base_dtype, bytes, tensor->dtype, piece, count);
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

/* Reads the next block, checks it, and decodes it into the piece. */
static int apply_packed(struct ken_delta_stream *stream, size_t count, struct ken_error *error)
{
    const char *tensor = stream->tensor->name, *reason;
    uint64_t number = stream->done / ken_packed_elements(stream->size);
    struct ken_packed_entry entry;
    const unsigned char *bytes;
    unsigned char check[sizeof entry.check];
    int code = run_take(&stream->place_run, KEN_PACKED_INDEX_ENTRY, &bytes, error);
    if (code) return code;
    ken_packed_entry_read(&entry, bytes);
    if (entry.length > KEN_PACKED_LONGEST || entry.length > run_left(&stream->value_run))
        return ken_delta_fail(error, tensor, "block %" PRIu64 " is longer than a block can be or than what is there", number);
    code = run_take(&stream->value_run, entry.length, &bytes, error);
    if (!code) code = ken_packed_check(check, bytes, entry.length, error);
    if (code) return code;
    if (memcmp(check, entry.check, sizeof check) != 0)
        return ken_delta_fail(error, tensor, "block %" PRIu64 " is damaged: it has another SHA-256 than the index tells", number);
    if (stream->tensor->form == KEN_FORM_WHOLE) memset(stream->piece, 0, count * stream->size);
    enum ken_unpacked result =
        ken_unpacker_unpack(stream->unpacker, stream->tensor->dtype, stream->piece, count, entry.stored, bytes, entry.length, &reason);
    if (result == KEN_UNPACKED_BAD) return ken_delta_fail(error, tensor, "block %" PRIu64 ": %s", number, reason);
    if (result == KEN_UNPACKED_MISFIT) stream->misfit = reason;
    stream->stored += entry.stored;
    return KEN_OK;
}

static int finish_packed(const struct ken_delta_stream *stream, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    uint64_t stored = tensor->form == KEN_FORM_WHOLE ? stream->count : tensor->stored;
    if (tensor->form == KEN_FORM_SAME) return KEN_OK;
    if (stream->stored != stored)
        return ken_delta_fail(error, tensor->name, "its blocks store %" PRIu64 " elements, not %" PRIu64, stream->stored, stored);
    if (run_left(&stream->value_run))
        return ken_delta_fail(error, tensor->name, "%" PRIu64 " bytes behind its last block", run_left(&stream->value_run));
    return KEN_OK;
}

static int tell_misfit(const struct ken_delta_stream *stream, struct ken_error *error)
{
    return stream->misfit ? ken_delta_fail(error, stream->tensor->name, "a block: %s", stream->misfit) : KEN_OK;
}

/* All pieces were given: is the base the right one, and was everything used? */
static int finish(struct ken_delta_stream *stream, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = stream->tensor;
    unsigned char sha256[KEN_SHA256_SIZE];
    int code = stream->unpacker ? finish_packed(stream, error) : KEN_OK;
    if (code) return code;
    if (tensor->form == KEN_FORM_MASK && stream->stored != tensor->stored)
        return ken_delta_fail(error, tensor->name, "its mask has %" PRIu64 " bits, but %" PRIu64 " values are stored", stream->stored,
                              tensor->stored);
    if (!stream->from_base) return tell_misfit(stream, error);
    stream->from_base = false;
    code = ken_digest_final(&stream->digest, sha256, error);
    if (code) return code;
    if (memcmp(sha256, tensor->base_sha256, sizeof sha256) == 0) return tell_misfit(stream, error);
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
    size_t most = stream->unpacker ? (size_t)ken_packed_elements(stream->size) : PIECE;
    size_t count = left < most ? (size_t)left : most;
    int code = KEN_OK;
    *bytes = stream->piece;
    *length = count * stream->size;
    if (!count) return finish(stream, error);
    for (size_t first = 0; !code && stream->from_base && first < count; first += PIECE)
        code = take_base(stream, first, count - first < PIECE ? count - first : PIECE, error);
    if (!code && stream->tensor->form != KEN_FORM_SAME)
        code = (stream->unpacker ? apply_packed : appliers[stream->tensor->form])(stream, count, error);
    stream->done += count;
    return code;
}
