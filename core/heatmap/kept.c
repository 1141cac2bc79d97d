/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/kept.h"

#include "bits.h"
#include "delta/packed.h"
#include "folder.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16, MASK_BYTES = KEN_PACKED_RAW / 8, GAPS = 4096, NARROW_GAP = 2, WIDEST_GAP = 4, INDEX_ENTRIES = 4096 };

struct ken_kept {
    const struct ken_cells *cells;
    const struct ken_cells_tensor *told;
    const struct ken_cells_found *tensor;
    int delta;
    uint64_t elements, next; /* of the tensor; the next one that is taken */
    uint64_t first, count;   /* the piece in `mask`; first is a multiple of 8 */
    uint64_t ones;           /* stored before `next`, where it counts them */
    bool counts;
    uint64_t gaps_read, next_stored; /* form gaps: next_stored is behind the last one that was read */
    size_t gap, gap_count;           /* in `gaps` */
    uint64_t block, blocks_before;   /* encoding packed: where the next one lies, and which it is; block is 0: none was looked for */
    struct ken_packed_entry packed;  /* what the index tells of the one in `bytes` */
    struct ken_unpacker *unpacker;
    unsigned char *bytes;                            /* a block, or an index, or gaps */
    unsigned char mask[MASK_BYTES + KEN_BITS_SLACK]; /* of the piece */
};

static int bad(struct ken_error *error, const char *reason)
{
    return ken_fail(error, KEN_EBAD_DELTA, "the delta: %s", reason);
}

static int read_delta(const struct ken_kept *kept, uint64_t offset, void *bytes, uint64_t length, struct ken_error *error)
{
    return ken_file_read(kept->delta, offset, bytes, length, "the delta", error);
}

int ken_kept_create(struct ken_kept **kept, const struct ken_cells *cells, const struct ken_cells_found *tensor, int delta,
                    struct ken_error *error)
{
    struct ken_kept *made = calloc(1, sizeof *made);
    *kept = made;
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    made->cells = cells;
    made->tensor = tensor;
    made->told = &tensor->on_disk;
    made->delta = delta;
    made->elements = tensor->shape.rows * tensor->shape.n;
    made->bytes = calloc(1, tensor->on_disk.packed ? KEN_PACKED_LONGEST + KEN_PACKED_SLACK : GAPS * (size_t)WIDEST_GAP);
    int code = made->bytes ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    if (!code && tensor->on_disk.packed) code = ken_unpacker_create(&made->unpacker, error);
    if (code) ken_kept_free(kept);
    return code;
}

void ken_kept_free(struct ken_kept **kept)
{
    if (!*kept) return;
    ken_unpacker_free(&(*kept)->unpacker);
    free((*kept)->bytes);
    free(*kept);
    *kept = NULL;
}

static bool has_blocks(const struct ken_kept *kept)
{
    return kept->told->packed && kept->told->form != KEN_FORM_SAME;
}

/* ---- pieces, by form */

static int read_gap(struct ken_kept *kept, uint64_t *element, struct ken_error *error)
{
    const size_t size = kept->told->gap;
    const uint64_t left = kept->told->stored - kept->gaps_read;
    uint64_t gap = 0;
    *element = kept->elements;
    if (!left) return KEN_OK;
    if (kept->gap == kept->gap_count) {
        kept->gap = 0;
        kept->gap_count = left < GAPS ? (size_t)left : GAPS;
        int code = read_delta(kept, kept->told->places + kept->gaps_read * size, kept->bytes, kept->gap_count * size, error);
        if (code) return code;
    }
    if (size == NARROW_GAP) /* little-endian; a length that is known makes it twice as fast */
        memcpy(&gap, kept->bytes + kept->gap * NARROW_GAP, NARROW_GAP);
    else
        memcpy(&gap, kept->bytes + kept->gap * WIDEST_GAP, WIDEST_GAP);
    if (kept->next_stored > kept->elements || gap >= kept->elements - kept->next_stored) return bad(error, "a gap leads beyond its tensor");
    *element = kept->next_stored + gap;
    return KEN_OK;
}

static int load_gaps(struct ken_kept *kept, struct ken_error *error)
{
    ken_bits_fill(kept->mask, 0, kept->count);
    for (;;) {
        uint64_t element;
        int code = read_gap(kept, &element, error);
        if (code || element >= kept->first + kept->count) return code;
        kept->gap++;
        kept->gaps_read++;
        kept->next_stored = element + 1;
        if (element < kept->first) continue;
        kept->mask[(element - kept->first) / 8] |= (unsigned char)(1U << (element - kept->first) % 8);
    }
}

static int load_packed(struct ken_kept *kept, struct ken_error *error)
{
    const struct ken_cells_tensor *told = kept->told;
    const uint64_t number = kept->first / ken_packed_elements(kept->tensor->size);
    unsigned char entry[KEN_PACKED_INDEX_ENTRY], check[8];
    struct ken_packed_entry block;
    const char *reason;
    int code = read_delta(kept, told->values + number * sizeof entry, entry, sizeof entry, error);
    if (code) return code;
    ken_packed_entry_read(&block, entry);
    if (block.length > KEN_PACKED_LONGEST || kept->block > told->values_length || block.length > told->values_length - kept->block)
        return bad(error, "a block is longer than it can be");
    code = read_delta(kept, told->values + kept->block, kept->bytes, block.length, error);
    if (!code) code = ken_packed_check(check, kept->bytes, block.length, error);
    if (code) return code;
    kept->block += block.length;
    kept->blocks_before++;
    if (memcmp(check, block.check, sizeof check) != 0) return bad(error, "a block is damaged");
    kept->packed = block;
    return ken_unpacker_mask(kept->unpacker, kept->tensor->dtype, kept->mask, kept->count, block.stored, kept->bytes, block.length, &reason)
               ? KEN_OK
               : bad(error, reason);
}

/* Makes `mask` that of the piece behind the one that is there. */
static int load(struct ken_kept *kept, struct ken_error *error)
{
    const struct ken_cells_tensor *told = kept->told;
    const uint64_t most = has_blocks(kept) ? ken_packed_elements(kept->tensor->size) : PIECE;
    kept->first += kept->count;
    kept->count = kept->elements - kept->first < most ? kept->elements - kept->first : most;
    const uint64_t length = (kept->count + 7) / 8;
    if (has_blocks(kept)) return load_packed(kept, error);
    switch (told->form) {
    case KEN_FORM_GAPS: return load_gaps(kept, error);
    case KEN_FORM_MASK: return read_delta(kept, told->places + kept->first / 8, kept->mask, length, error);
    case KEN_FORM_WHOLE: return ken_cells_read(kept->cells, told->mask + kept->first / 8, kept->mask, length, error);
    default: ken_bits_fill(kept->mask, 0, kept->count); return KEN_OK;
    }
}

/* ---- seeking */

/* Finds a block of encoding packed: those before it tell their lengths in the index, which is read on from where it was left. */
static int find_block(struct ken_kept *kept, uint64_t number, struct ken_error *error)
{
    if (!kept->block || number < kept->blocks_before) {
        kept->block = ken_packed_blocks(kept->elements, kept->tensor->size) * KEN_PACKED_INDEX_ENTRY;
        kept->blocks_before = 0;
    }
    while (kept->blocks_before < number) {
        const uint64_t left = number - kept->blocks_before, count = left < INDEX_ENTRIES ? left : INDEX_ENTRIES;
        int code = read_delta(kept, kept->told->values + kept->blocks_before * KEN_PACKED_INDEX_ENTRY, kept->bytes,
                              count * KEN_PACKED_INDEX_ENTRY, error);
        if (code) return code;
        for (uint64_t i = 0; i < count; i++) {
            struct ken_packed_entry entry;
            ken_packed_entry_read(&entry, kept->bytes + i * KEN_PACKED_INDEX_ENTRY);
            kept->block += entry.length;
        }
        kept->blocks_before += count;
    }
    return KEN_OK;
}

/* Goes to the band of an element, and makes the next piece that is loaded one in front of it, or the one that it is in. */
static int seek_band(struct ken_kept *kept, uint64_t band, uint64_t element, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &kept->tensor->shape;
    const struct ken_cells_tensor *told = kept->told;
    const uint64_t first = band * shape->height * shape->n;
    struct ken_cells_band begin;
    int code = ken_cells_read(kept->cells, told->bands + band * shape->band_bytes, &begin, sizeof begin, error);
    if (code) return code;
    if (begin.values > told->stored || begin.next > first) return bad(error, "a band begins where it cannot");
    kept->next = element;
    kept->ones = begin.values;
    kept->first = (told->form == KEN_FORM_GAPS ? first : element) / 8 * 8;
    kept->count = kept->gap = kept->gap_count = 0;
    kept->gaps_read = begin.values;
    kept->next_stored = begin.next;
    if (!has_blocks(kept)) return KEN_OK;
    const uint64_t elements = ken_packed_elements(kept->tensor->size);
    kept->first = element / elements * elements;
    return find_block(kept, element / elements, error);
}

int ken_kept_seek(struct ken_kept *kept, uint64_t row, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &kept->tensor->shape;
    const uint64_t band = row / shape->height;
    kept->counts = true;
    int code = seek_band(kept, band, band * shape->height * shape->n, error);
    return code ? code : ken_kept_take(kept, (row - band * shape->height) * shape->n, NULL, NULL, error);
}

/* Whether an element is reached faster from where we are than from the beginning of its band or block. */
static bool is_near(const struct ken_kept *kept, uint64_t element)
{
    const struct ken_cells_shape *shape = &kept->tensor->shape;
    const uint64_t known = kept->first + kept->count, band = element / shape->n / shape->height;
    if (kept->counts || !kept->count || element < kept->next) return false;
    if (has_blocks(kept)) return element < known;
    return kept->told->form == KEN_FORM_GAPS ? band * shape->height * shape->n <= known : element - kept->next <= PIECE;
}

int ken_kept_jump(struct ken_kept *kept, uint64_t element, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &kept->tensor->shape;
    const bool near = is_near(kept, element);
    kept->counts = false;
    if (!near) return seek_band(kept, element / shape->n / shape->height, element, error);
    kept->next = element;
    if (kept->told->form != KEN_FORM_GAPS || element < kept->first + kept->count) return KEN_OK;
    kept->first = element / 8 * 8; /* gaps that lead to there are read, but nothing is made of them */
    kept->count = 0;
    return KEN_OK;
}

/* ---- taking */

/* Copies bits [count] to the bits at `to`, if these are not NULL; returns how many are set. */
static uint64_t copy_bits(unsigned char *bits, uint64_t to, const unsigned char *mask, uint64_t from, uint64_t count)
{
    enum { STEP = 32 };
    uint64_t ones = 0;
    for (uint64_t i = 0; i < count; i += STEP) {
        uint64_t word, before;
        memcpy(&word, mask + (from + i) / 8, sizeof word);
        word = word >> (from + i) % 8 & UINT32_MAX;
        if (count - i < STEP) word &= (UINT64_C(1) << (count - i)) - 1;
        ones += (uint64_t)__builtin_popcountll(word);
        if (!bits) continue;
        memcpy(&before, bits + (to + i) / 8, sizeof before);
        before |= word << (to + i) % 8;
        memcpy(bits + (to + i) / 8, &before, sizeof before);
    }
    return ones;
}

/* The same without counting: whole bytes where both begin with one. */
static void copy_uncounted(unsigned char *bits, uint64_t to, const unsigned char *mask, uint64_t from, uint64_t count)
{
    const uint64_t whole = from % 8 || to % 8 ? 0 : count / 8;
    if (!bits) return;
    memcpy(bits + to / 8, mask + from / 8, whole);
    copy_bits(bits, to + 8 * whole, mask, from + 8 * whole, count - 8 * whole);
}

int ken_kept_take(struct ken_kept *kept, uint64_t count, unsigned char *bits, uint64_t *ones, struct ken_error *error)
{
    if (ones) *ones = kept->ones;
    for (uint64_t done = 0; done < count;) {
        while (kept->next >= kept->first + kept->count) {
            if (kept->first + kept->count >= kept->elements) return bad(error, "rows end before they should");
            int code = load(kept, error);
            if (code) return code;
        }
        const uint64_t from = kept->next - kept->first, left = kept->count - from, now = left < count - done ? left : count - done;
        if (kept->counts)
            kept->ones += copy_bits(bits, done, kept->mask, from, now);
        else
            copy_uncounted(bits, done, kept->mask, from, now);
        kept->next += now;
        done += now;
    }
    return KEN_OK;
}

int ken_kept_unpack(struct ken_kept *kept, void *elements, struct ken_error *error)
{
    const struct ken_packed_entry *block = &kept->packed;
    const char *reason;
    switch (ken_unpacker_unpack(kept->unpacker, kept->tensor->dtype, elements, (size_t)kept->count, block->stored, kept->bytes,
                                block->length, &reason)) {
    case KEN_UNPACKED: return KEN_OK;
    case KEN_UNPACKED_BAD: return bad(error, reason);
    default: return ken_fail(error, KEN_EDIGEST, "the delta was made from another base: %s", reason);
    }
}
