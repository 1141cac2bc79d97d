/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/places.h"

#include "bits.h"
#include "delta/delta_internal.h"
#include "delta/packed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { GAPS = 1 << 14, WIDEST_GAP = 4, MASK_BYTES = KEN_PACKED_RAW / 8 };

struct ken_places {
    const struct ken_delta *delta;
    const struct ken_delta_tensor *tensor;
    const struct ken_delta_entries *entries;
    struct ken_delta_stream *stream; /* NULL: without base */
    struct ken_unpacker *unpacker;   /* encoding packed */
    size_t size;                     /* bytes of an element */
    uint64_t count, done, stored;    /* elements in all, and what was given so far */
    uint64_t value_offset;           /* of the next value, or of the next block, in the delta's file */
    uint64_t next, gaps_read;        /* form `gaps`: element of the next value, count when there is none; gaps that were read */
    size_t gap, gap_count;           /* in `gaps`: the next one, and how many there are */
    unsigned char *gaps;             /* [GAPS * WIDEST_GAP] */
    unsigned char *mask;             /* [MASK_BYTES] */
    unsigned char *values;           /* [KEN_PACKED_RAW] of a piece, in the order of their elements */
    unsigned char *dense;            /* [KEN_PACKED_RAW] all elements of a piece, with a base */
    unsigned char *block;            /* [KEN_PACKED_LONGEST + KEN_PACKED_SLACK] */
};

bool ken_delta_needs_base(const struct ken_delta *delta)
{
    bool needs = false;
    for (size_t i = 0; i < delta->tensor_count; i++) needs |= delta->tensors[i].form == KEN_FORM_MASK;
    return needs && delta->encoding == KEN_ENCODING_PACKED;
}

int ken_places_create(struct ken_places **places, const struct ken_delta *delta, const struct ken_checkpoint *base, struct ken_error *error)
{
    struct ken_places *made = calloc(1, sizeof *made);
    bool packed = delta->encoding == KEN_ENCODING_PACKED, there = made;
    *places = made;
    if (made) {
        made->delta = delta;
        made->mask = malloc(MASK_BYTES);
        made->values = malloc(KEN_PACKED_RAW);
        made->gaps = malloc(GAPS * (size_t)WIDEST_GAP);
        made->dense = base ? malloc(KEN_PACKED_RAW) : NULL;
        made->block = packed ? calloc(1, KEN_PACKED_LONGEST + KEN_PACKED_SLACK) : NULL;
        there = made->mask && made->values && made->gaps && (made->dense || !base) && (made->block || !packed);
    }
    int code = there ? KEN_OK : ken_fail_no_memory(error, "reading a delta");
    if (!code && packed) code = ken_unpacker_create(&made->unpacker, error);
    if (!code && base) code = ken_delta_stream_create(&made->stream, delta, base, error);
    if (code) ken_places_free(places);
    return code;
}

void ken_places_free(struct ken_places **places)
{
    if (!*places) return;
    ken_delta_stream_free(&(*places)->stream);
    ken_unpacker_free(&(*places)->unpacker);
    free((*places)->block);
    free((*places)->dense);
    free((*places)->gaps);
    free((*places)->values);
    free((*places)->mask);
    free(*places);
    *places = NULL;
}

static int read_at(const struct ken_places *places, uint64_t offset, void *bytes, size_t length, struct ken_error *error)
{
    struct ken_source *source = places->delta->checkpoint->files[0].source;
    if (!length) return KEN_OK;
    int code = ken_source_wait(source, offset, length, error);
    return code ? code : ken_source_read(source, offset, bytes, length, error);
}

/* ---- encoding plain */

/* The piece's values as they are stored; with a base, the stream reads them. */
static int read_values(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    size_t length = piece->stored * places->size;
    int code = places->stream ? KEN_OK : read_at(places, places->value_offset, places->values, length, error);
    places->value_offset += length;
    piece->values = places->values;
    return code;
}

static int read_whole(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    ken_bits_fill(places->mask, piece->count, piece->count);
    piece->stored = piece->count;
    return read_values(places, piece, error);
}

static int read_mask(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = places->tensor;
    size_t length = (piece->count + 7) / 8;
    int code = read_at(places, places->entries->places->offset + piece->first / 8, places->mask, length, error);
    if (code) return code;
    if (piece->count % 8 && places->mask[length - 1] >> piece->count % 8)
        return ken_delta_fail(error, tensor->name, "its mask has bits behind its last element");
    uint64_t ones = ken_bits_ones(places->mask, length);
    if (ones > tensor->stored - places->stored)
        return ken_delta_fail(error, tensor->name, "its mask has more bits than the %" PRIu64 " values that are stored", tensor->stored);
    piece->stored = (size_t)ones;
    return read_values(places, piece, error);
}

/* Finds the element of the next value. */
static int read_gap(struct ken_places *places, struct ken_error *error)
{
    const struct ken_tensor *entry = places->entries->places;
    size_t size = ken_dtype_size(entry->dtype);
    uint64_t left = places->tensor->stored - places->gaps_read, next = places->gaps_read ? places->next + 1 : 0;
    uint32_t gap = 0;
    places->next = places->count;
    if (!left) return KEN_OK;
    if (places->gap == places->gap_count) {
        places->gap = 0;
        places->gap_count = left < GAPS ? (size_t)left : GAPS;
        int code = read_at(places, entry->offset + places->gaps_read * size, places->gaps, places->gap_count * size, error);
        if (code) return code;
    }
    memcpy(&gap, places->gaps + size * places->gap++, size); /* little-endian */
    if (gap >= places->count || next >= places->count - gap)
        return ken_delta_fail(error, places->tensor->name, "gap %" PRIu64 " leads beyond its %" PRIu64 " elements", places->gaps_read,
                              places->count);
    places->gaps_read++;
    places->next = next + gap;
    return KEN_OK;
}

static int read_gaps(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    ken_bits_fill(places->mask, 0, piece->count);
    while (places->next < piece->first + piece->count) {
        uint64_t at = places->next - piece->first;
        places->mask[at / 8] |= (unsigned char)(1U << at % 8);
        piece->stored++;
        int code = read_gap(places, error);
        if (code) return code;
    }
    return read_values(places, piece, error);
}

/* ---- encoding packed */

static int read_block(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    const struct ken_tensor *entry = places->entries->values;
    const char *tensor = places->tensor->name;
    uint64_t number = piece->first / ken_packed_elements(places->size);
    unsigned char index[KEN_PACKED_INDEX_ENTRY], check[8];
    struct ken_packed_entry told;
    int code = read_at(places, entry->offset + number * KEN_PACKED_INDEX_ENTRY, index, sizeof index, error);
    if (code) return code;
    ken_packed_entry_read(&told, index);
    if (told.length > KEN_PACKED_LONGEST || told.length > entry->offset + entry->length - places->value_offset)
        return ken_delta_fail(error, tensor, "block %" PRIu64 " is longer than a block can be or than what is there", number);
    code = read_at(places, places->value_offset, places->block, told.length, error);
    if (!code) code = ken_packed_check(check, places->block, told.length, error);
    if (code) return code;
    if (memcmp(check, told.check, sizeof check) != 0)
        return ken_delta_fail(error, tensor, "block %" PRIu64 " is damaged: it has another SHA-256 than the index tells", number);
    places->value_offset += told.length;
    if (places->tensor->form == KEN_FORM_MASK && told.stored > places->tensor->stored - places->stored)
        return ken_delta_fail(error, tensor, "its blocks store more elements than the %" PRIu64 " of its header", places->tensor->stored);
    piece->stored = told.stored;
    piece->block = places->block;
    piece->block_length = told.length;
    return KEN_OK;
}

static int read_packed(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    enum ken_dtype dtype = places->tensor->dtype;
    const char *reason;
    int code = read_block(places, piece, error);
    if (code) return code;
    bool good =
        ken_unpacker_mask(places->unpacker, dtype, places->mask, piece->count, piece->stored, piece->block, piece->block_length, &reason);
    if (good && places->tensor->form == KEN_FORM_WHOLE && !places->stream) {
        piece->values = memset(places->values, 0, piece->count * places->size);
        good = ken_unpacker_unpack(places->unpacker, dtype, places->values, piece->count, piece->stored, piece->block, piece->block_length,
                                   &reason) == KEN_UNPACKED;
    }
    if (good && piece->stored != piece->count && places->tensor->form == KEN_FORM_WHOLE) {
        good = false;
        reason = "it does not store all its elements";
    }
    return good ? KEN_OK : ken_delta_fail(error, places->tensor->name, "a block: %s", reason);
}

/* ---- with a base */

static int read_dense(struct ken_places *places, size_t length, struct ken_error *error)
{
    const void *bytes;
    size_t more;
    for (size_t filled = 0; filled < length; filled += more) {
        int code = ken_delta_stream_next(places->stream, &bytes, &more, error);
        if (code) return code;
        KEN_ASSERT(more && more <= length - filled);
        memcpy(places->dense + filled, bytes, more);
    }
    return KEN_OK;
}

static void gather(struct ken_places *places, size_t count)
{
    unsigned char *values = places->values;
    for (size_t i = 0; i < (count + 7) / 8; i++)
        for (unsigned bits = places->mask[i]; bits; bits &= bits - 1, values += places->size)
            memcpy(values, places->dense + (8 * i + (size_t)__builtin_ctz(bits)) * places->size, places->size);
}

/* Takes the values from what the stream makes of base and delta. */
static int take_values(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    int code = read_dense(places, piece->count * places->size, error);
    if (code) return code;
    piece->values = piece->stored == piece->count ? places->dense : places->values;
    if (piece->values == places->values) gather(places, piece->count);
    return KEN_OK;
}

/* ---- all of them */

int ken_places_begin(struct ken_places *places, size_t tensor, struct ken_error *error)
{
    const struct ken_delta *delta = places->delta;
    const struct ken_delta_entries *entries = &delta->entries[tensor];
    places->tensor = &delta->tensors[tensor];
    places->entries = entries;
    places->size = ken_packed_size(places->tensor->dtype);
    places->count = entries->length / places->size;
    places->done = places->stored = places->next = places->gaps_read = 0;
    places->gap = places->gap_count = 0;
    places->value_offset = entries->values ? entries->values->offset : 0;
    if (places->unpacker) places->value_offset += KEN_PACKED_INDEX_ENTRY * ken_packed_blocks(places->count, places->size);
    if (places->tensor->form == KEN_FORM_SAME) return KEN_OK;
    int code = places->stream ? ken_delta_stream_begin(places->stream, tensor, error) : KEN_OK;
    return !code && places->tensor->form == KEN_FORM_GAPS ? read_gap(places, error) : code;
}

/* All pieces were given: was everything used, and is the base the right one? */
static int finish(struct ken_places *places, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = places->tensor;
    const struct ken_tensor *entry = places->entries->values;
    const void *bytes;
    size_t length;
    if (tensor->form == KEN_FORM_SAME) return KEN_OK;
    if (tensor->form == KEN_FORM_MASK && places->stored != tensor->stored)
        return ken_delta_fail(error, tensor->name, "%" PRIu64 " elements are marked, but %" PRIu64 " values are stored", places->stored,
                              tensor->stored);
    if (places->value_offset != entry->offset + entry->length)
        return ken_delta_fail(error, tensor->name, "there are bytes behind its last block");
    return places->stream ? ken_delta_stream_next(places->stream, &bytes, &length, error) : KEN_OK;
}

int ken_places_next(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error)
{
    static int (*const readers[])(struct ken_places *, struct ken_places_piece *, struct ken_error *) = {
        [KEN_FORM_WHOLE] = read_whole, [KEN_FORM_MASK] = read_mask, [KEN_FORM_GAPS] = read_gaps};
    uint64_t left = places->count - places->done, most = ken_packed_elements(places->size);
    enum ken_form form = places->tensor->form;
    *piece = (struct ken_places_piece){
        .first = places->done, .count = (size_t)(left < most ? left : most), .mask = places->mask, .values = places->values};
    if (!piece->count) return finish(places, error);
    places->done += piece->count;
    if (form == KEN_FORM_SAME) {
        ken_bits_fill(places->mask, 0, piece->count);
        return KEN_OK;
    }
    if (places->unpacker) piece->values = NULL;
    int code = (places->unpacker ? read_packed : readers[form])(places, piece, error);
    places->stored += piece->stored;
    return !code && places->stream ? take_values(places, piece, error) : code;
}
