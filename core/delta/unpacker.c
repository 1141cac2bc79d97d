/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/packed_internal.h"

#include "bits.h"

#include <stdlib.h>
#include <zstd.h>

struct ken_unpacker {
    ZSTD_DCtx *zstd;
    /* Twice as long as there are symbols: who follows another base than the right one takes a class's symbols for longer than they last. */
    unsigned char symbol[2 * KEN_PACKED_MOST + 8];
    unsigned char mask[KEN_PACKED_MOST / 8 + 8];
};

/* A block that is being read. */
struct block {
    const unsigned char *bytes; /* [length] */
    size_t length, at;
    size_t count, stored, size;
    unsigned top, classes;
    unsigned shift[KEN_PACKED_CLASSES];
    unsigned char *symbols[KEN_PACKED_CLASSES + 1]; /* where those of each class begin */
    const unsigned char *mask;                      /* NULL: all are stored */
    const unsigned char *low;
    uint64_t low_bits;
};

int ken_unpacker_create(struct ken_unpacker **unpacker, struct ken_error *error)
{
    *unpacker = calloc(1, sizeof **unpacker);
    if (*unpacker) (*unpacker)->zstd = ZSTD_createDCtx();
    if (*unpacker && (*unpacker)->zstd) return KEN_OK;
    ken_unpacker_free(unpacker);
    return ken_fail(error, KEN_ENOMEM, "out of memory for unpacking a delta");
}

void ken_unpacker_free(struct ken_unpacker **unpacker)
{
    if (!*unpacker) return;
    ZSTD_freeDCtx((*unpacker)->zstd);
    free(*unpacker);
    *unpacker = NULL;
}

static size_t get32(const unsigned char *bytes)
{
    return (size_t)ken_packed_load(bytes, 4);
}

/* Takes the next bytes [length] of the block as bytes [raw], coded or not. */
static const char *take(struct ken_unpacker *unpacker, struct block *block, size_t length, bool coded, unsigned char *raw,
                        size_t raw_length)
{
    const unsigned char *bytes = block->bytes + block->at;
    if (length > block->length - block->at) return "a part is longer than the block";
    block->at += length;
    if (!coded) {
        if (length != raw_length) return "a part that is not coded has the wrong length";
        memcpy(raw, bytes, length);
        return NULL;
    }
    if (ZSTD_getFrameContentSize(bytes, length) != raw_length) return "a coded part does not tell the length that it must have";
    if (ZSTD_findFrameCompressedSize(bytes, length) != length) return "a coded part is not one whole zstd frame";
    if (ZSTD_decompressDCtx(unpacker->zstd, raw, raw_length, bytes, length) != raw_length) return "a coded part cannot be decoded";
    return NULL;
}

static const char *take_mask(struct ken_unpacker *unpacker, struct block *block, unsigned kind, size_t length)
{
    size_t raw = (block->count + 7) / 8;
    if (kind > KEN_PACKED_MASK_ZSTD) return "unknown kind of mask";
    if (kind == KEN_PACKED_MASK_ALL) {
        if (length) return "it has a mask, but all elements are stored";
        return block->stored == block->count ? NULL : "it has no mask, but not all elements are stored";
    }
    const char *reason = take(unpacker, block, length, kind == KEN_PACKED_MASK_ZSTD, unpacker->mask, raw);
    if (reason) return reason;
    memset(unpacker->mask + raw, 0, 8);
    if (block->count % 8 && unpacker->mask[raw - 1] >> block->count % 8) return "its mask has bits behind its last element";
    if (ken_bits_ones(unpacker->mask, raw) != block->stored) return "its mask has another number of bits than are stored";
    block->mask = unpacker->mask;
    return NULL;
}

/* Bits that follow symbols from the low ones, or UINT64_MAX. */
static uint64_t count_low(const unsigned char *symbols, size_t count, unsigned shift, unsigned width)
{
    uint64_t wide = 0;
    unsigned most = KEN_PACKED_WIDE + width - shift, largest = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 8 < count ? i + 8 : count;
        uint64_t eight = ken_packed_load(symbols + i, 8); /* there is room behind the last one, see struct ken_unpacker */
        /* Few are wide: eight at a time are passed over where none has both upper bits. */
        if (end - i == 8 && !(eight & eight << 1 & UINT64_C(0x8080808080808080))) i = end;
        for (; i < end; i++) {
            if (symbols[i] < KEN_PACKED_DIRECT) continue;
            largest = symbols[i] > largest ? symbols[i] : largest;
            wide += symbols[i] - KEN_PACKED_WIDE - 1U;
        }
    }
    if (largest >= KEN_PACKED_DIRECT && largest > most) return UINT64_MAX;
    return wide + (uint64_t)count * shift;
}

static const char *take_classes(struct ken_unpacker *unpacker, struct block *block, const unsigned char *head)
{
    unsigned width = 8 * (unsigned)block->size;
    size_t total = 0;
    block->symbols[0] = unpacker->symbol;
    for (unsigned c = 0; c < block->classes; c++, head += KEN_PACKED_CLASS) {
        size_t count = get32(head + 4);
        block->shift[c] = head[0];
        if (head[0] > width - 8) return "a class has a shift that is too large";
        if (head[1] > 1 || head[2] || head[3]) return "a class of an unknown kind";
        if (count > block->stored - total) return "its classes have more symbols than are stored";
        const char *reason = take(unpacker, block, get32(head + 8), head[1], block->symbols[c], count);
        if (reason) return reason;
        uint64_t bits = count_low(block->symbols[c], count, head[0], width);
        if (bits == UINT64_MAX) return "a symbol that is too large";
        block->low_bits += bits;
        total += count;
        block->symbols[c + 1] = unpacker->symbol + total;
    }
    return total == block->stored ? NULL : "its classes have fewer symbols than are stored";
}

static const char *take_low(struct block *block)
{
    size_t length = (size_t)(block->low_bits + 7) / 8;
    if (block->length - block->at != length) return "its low bits have the wrong length";
    block->low = block->bytes + block->at;
    if (block->low_bits % 8 && block->low[length - 1] >> block->low_bits % 8) return "it has bits behind its last element's";
    return NULL;
}

/* Up to the mask. */
static const char *parse_mask(struct ken_unpacker *unpacker, struct block *block, struct ken_packed_kind kind)
{
    const unsigned char *head = block->bytes;
    if (block->length < KEN_PACKED_HEAD) return "it is too short";
    block->classes = head[1];
    block->top = head[2] | (unsigned)head[3] << 8;
    if (!block->classes || block->classes > KEN_PACKED_CLASSES) return "it has 0 or more than 16 classes";
    if (!kind.exponents && block->classes > 1) return "it has several classes, but its elements have no exponents";
    if (block->top > kind.exponents) return "its top exponent is too large";
    block->at = KEN_PACKED_HEAD + block->classes * (size_t)KEN_PACKED_CLASS;
    if (block->at > block->length) return "it is too short";
    return take_mask(unpacker, block, head[0], get32(head + 4));
}

static const char *parse(struct ken_unpacker *unpacker, struct block *block, struct ken_packed_kind kind)
{
    const char *reason = parse_mask(unpacker, block, kind);
    if (!reason) reason = take_classes(unpacker, block, block->bytes + KEN_PACKED_HEAD);
    return reason ? reason : take_low(block);
}

/* ---- the elements */

/* What restoring needs at hand. */
struct cursor {
    const unsigned char *next[KEN_PACKED_CLASSES]; /* symbols */
    uint64_t ones[KEN_PACKED_CLASSES];             /* as many as the class's shift */
    unsigned char shift[KEN_PACKED_CLASSES];
    const unsigned char *low;
    uint64_t at; /* in the low bits */
};

enum { STRIDE = 64 }; /* elements between looking whether there are low bits left, of which each takes less than 64 */
_Static_assert((int)KEN_PACKED_SLACK >= STRIDE * 64 / 8 + 16, "what the elements of a stride take can be read");

/* 64 bits from a place of the low bits, behind which there are 15 bytes to read; if not `wide`, the lower 57 are enough. */
static inline uint64_t get(const unsigned char *low, uint64_t at, bool wide)
{
    uint64_t bits = ken_packed_load(low + at / 8, 8) >> at % 8;
    return wide ? bits | (ken_packed_load(low + at / 8 + 7, 8) >> at % 8) << 56 : bits;
}

/* The number of the next element, which is of that class. */
static inline __attribute__((always_inline)) uint64_t take_number(struct cursor *cursor, unsigned class, bool wide)
{
    uint64_t symbol = *cursor->next[class]++, bits = get(cursor->low, cursor->at, wide);
    unsigned width = cursor->shift[class];
    if (__builtin_expect(symbol >= KEN_PACKED_DIRECT, 0)) {
        width = (width + (unsigned)symbol - KEN_PACKED_WIDE - 1) & 63; /* more only if the base is another one */
        cursor->at += width;
        return UINT64_C(1) << width | (bits & ((UINT64_C(1) << width) - 1));
    }
    cursor->at += width;
    return symbol << width | (bits & cursor->ones[class]);
}

static struct cursor begin(const struct block *block)
{
    struct cursor cursor = {.low = block->low};
    for (unsigned c = 0; c < block->classes; c++) {
        cursor.next[c] = block->symbols[c];
        cursor.shift[c] = (unsigned char)block->shift[c];
        cursor.ones[c] = (UINT64_C(1) << block->shift[c]) - 1;
    }
    return cursor;
}

/* False: the base has other classes than the block was made for. */
static bool is_used_up(const struct block *block, const struct cursor *cursor)
{
    for (unsigned c = 0; c < block->classes; c++)
        if (cursor->next[c] != block->symbols[c + 1]) return false;
    return true;
}

/* Copies `length` bytes; `most` are all that it can be, and nearly always are. */
static inline __attribute__((always_inline)) void copy(void *to, const void *from, size_t length, size_t most)
{
    if (__builtin_expect(length == most, 1))
        memcpy(to, from, most);
    else
        memcpy(to, from, length);
}

/*
 * Restores a block's elements, words of w bits. What can be done with each word for itself is done with all of a stride at once, which
 * compilers make vectors of; numbers are taken one by one in between. An element that is not stored has the number 0 and stays.
 */
typedef bool restorer(const struct block *block, unsigned char *elements);
#define RESTORE(name, w, kind)                                                                                      \
    static inline int##w##_t order_##name(int##w##_t word)                                                          \
    {                                                                                                               \
        return (int##w##_t)(kind.floating ? word ^ ((word >> (w - 1)) & INT##w##_MAX) : word);                      \
    }                                                                                                               \
    static bool restore_##name(const struct block *block, unsigned char *elements)                                  \
    {                                                                                                               \
        struct cursor cursor = begin(block);                                                                        \
        const int16_t top = (int16_t)block->top, last = (int16_t)(block->classes - 1);                              \
        uint##w##_t words[STRIDE] = {0}, numbers[STRIDE] = {0};                                                     \
        int16_t classes[STRIDE] = {0};                                                                              \
        for (size_t first = 0; first < block->count; first += STRIDE, elements += STRIDE * (w / 8)) {               \
            const size_t left = block->count - first, count = left < STRIDE ? left : STRIDE;                        \
            if (cursor.at > block->low_bits) return false;                                                          \
            copy(words, elements, count *(w / 8), sizeof words);                                                    \
            for (size_t i = 0; kind.exponents && i < STRIDE; i++) {                                                 \
                uint##w##_t exponent = (uint##w##_t)(words[i] >> kind.fraction) & (uint##w##_t)kind.exponents;      \
                int16_t below = (int16_t)(top - (int16_t)exponent);                                                 \
                below = below > 0 ? below : 0;                                                                      \
                classes[i] = below < last ? below : last;                                                           \
            }                                                                                                       \
            uint64_t bits = block->mask ? ken_packed_load(block->mask + first / 8, 8) : UINT64_MAX >> (64 - count); \
            for (; bits; bits &= bits - 1) {                                                                        \
                unsigned i = (unsigned)__builtin_ctzll(bits);                                                       \
                numbers[i] = (uint##w##_t)take_number(&cursor, (unsigned)classes[i], w == 64);                      \
            }                                                                                                       \
            for (size_t i = 0; i < STRIDE; i++) {                                                                   \
                uint##w##_t change = (uint##w##_t)(numbers[i] >> 1 ^ (uint##w##_t) - (numbers[i] & 1));             \
                uint##w##_t ordered = (uint##w##_t)order_##name((int##w##_t)words[i]);                              \
                words[i] = (uint##w##_t)order_##name((int##w##_t)(uint##w##_t)(ordered + change));                  \
                numbers[i] = 0;                                                                                     \
            }                                                                                                       \
            copy(elements, words, count *(w / 8), sizeof words);                                                    \
        }                                                                                                           \
        return is_used_up(block, &cursor);                                                                          \
    }
RESTORE(f64, 64, KEN_PACKED_F64)
RESTORE(f32, 32, KEN_PACKED_F32)
RESTORE(f16, 16, KEN_PACKED_F16)
RESTORE(bf16, 16, KEN_PACKED_BF16)
RESTORE(8, 64, KEN_PACKED_INTEGER(8))
RESTORE(4, 32, KEN_PACKED_INTEGER(4))
RESTORE(2, 16, KEN_PACKED_INTEGER(2))
RESTORE(1, 8, KEN_PACKED_INTEGER(1))

static restorer *choose(enum ken_dtype dtype, struct ken_packed_kind *kind)
{
    *kind = KEN_PACKED_INTEGER(ken_packed_size(dtype));
    switch (dtype) {
    case KEN_F64: *kind = KEN_PACKED_F64; return restore_f64;
    case KEN_F32: *kind = KEN_PACKED_F32; return restore_f32;
    case KEN_F16: *kind = KEN_PACKED_F16; return restore_f16;
    case KEN_BF16: *kind = KEN_PACKED_BF16; return restore_bf16;
    default: break;
    }
    switch (kind->size) {
    case 8: return restore_8;
    case 4: return restore_4;
    case 2: return restore_2;
    default: return restore_1;
    }
}

/* Parses the block by `parser`; what is wrong with it, or NULL. */
static const char *check(struct ken_unpacker *unpacker, struct block *block, struct ken_packed_kind kind,
                         const char *(*parser)(struct ken_unpacker *, struct block *, struct ken_packed_kind))
{
    KEN_ASSERT(block->count <= ken_packed_elements(kind.size));
    if (block->stored > block->count) return "more elements are stored than it has";
    if (!block->stored) return block->length ? "nothing is stored, but it is not empty" : NULL;
    return parser(unpacker, block, kind);
}

enum ken_unpacked ken_unpacker_unpack(struct ken_unpacker *unpacker, enum ken_dtype dtype, void *elements, size_t count, size_t stored,
                                      const unsigned char *bytes, size_t length, const char **reason)
{
    struct ken_packed_kind kind;
    restorer *restore_elements = choose(dtype, &kind);
    struct block block = {.bytes = bytes, .length = length, .count = count, .stored = stored, .size = kind.size};
    *reason = check(unpacker, &block, kind, parse);
    if (*reason) return KEN_UNPACKED_BAD;
    if (!stored || restore_elements(&block, elements)) return KEN_UNPACKED;
    *reason = "it was made for a base with other exponents";
    return KEN_UNPACKED_MISFIT;
}

bool ken_unpacker_mask(struct ken_unpacker *unpacker, enum ken_dtype dtype, unsigned char *mask, size_t count, size_t stored,
                       const unsigned char *bytes, size_t length, const char **reason)
{
    struct ken_packed_kind kind;
    choose(dtype, &kind);
    struct block block = {.bytes = bytes, .length = length, .count = count, .stored = stored, .size = kind.size};
    *reason = check(unpacker, &block, kind, parse_mask);
    if (*reason) return false;
    if (block.mask)
        memcpy(mask, block.mask, (count + 7) / 8);
    else
        ken_bits_fill(mask, stored ? count : 0, count);
    return true;
}
