/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/packed_internal.h"

#include "digest.h"

#include <stdlib.h>
#include <zstd.h>

enum {
    EXPONENTS = 2048,
    LEVEL_BITS = 6 /* nine in ten numbers of a class have so many bits above its shift at most */
};

struct ken_packer {
    ZSTD_CCtx *zstd;
    uint32_t exponents[EXPONENTS];
    uint32_t bits[KEN_PACKED_CLASSES][65]; /* how many numbers of each class have so many bits */
    uint32_t symbols[KEN_PACKED_CLASSES];  /* of each class */
    unsigned shift[KEN_PACKED_CLASSES];
    unsigned top, classes;
    unsigned char number[KEN_PACKED_RAW];  /* [stored] of the element's size */
    unsigned char symbol[KEN_PACKED_MOST]; /* class by class */
    unsigned char of[KEN_PACKED_MOST];     /* [stored] class */
    unsigned char low[KEN_PACKED_RAW + 16];
    unsigned char block[KEN_PACKED_LONGEST];
};

size_t ken_packed_size(enum ken_dtype dtype)
{
    size_t size = ken_dtype_size(dtype);
    return size ? size : 1;
}

uint64_t ken_packed_elements(size_t size)
{
    return KEN_PACKED_RAW / size;
}

uint64_t ken_packed_blocks(uint64_t elements, size_t size)
{
    uint64_t most = ken_packed_elements(size);
    return elements / most + (elements % most != 0);
}

void ken_packed_entry_write(unsigned char bytes[KEN_PACKED_INDEX_ENTRY], const struct ken_packed_entry *entry)
{
    memcpy(bytes, &entry->length, 4);
    memcpy(bytes + 4, &entry->stored, 4);
    memcpy(bytes + 8, entry->check, sizeof entry->check);
}

void ken_packed_entry_read(struct ken_packed_entry *entry, const unsigned char bytes[KEN_PACKED_INDEX_ENTRY])
{
    memcpy(&entry->length, bytes, 4);
    memcpy(&entry->stored, bytes + 4, 4);
    memcpy(entry->check, bytes + 8, sizeof entry->check);
}

int ken_packed_check(unsigned char check[8], const void *bytes, size_t length, struct ken_error *error)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    int code = ken_sha256(bytes, length, sha256, error);
    if (!code) memcpy(check, sha256, 8);
    return code;
}

/* What is coded is near to noise: few matches are looked for, and entropy coding does the work. */
static bool set_up(ZSTD_CCtx *zstd)
{
    static const struct {
        ZSTD_cParameter parameter;
        int value;
    } settings[] = {
        {ZSTD_c_compressionLevel, 1}, {ZSTD_c_windowLog, 20}, {ZSTD_c_hashLog, 6}, {ZSTD_c_minMatch, 7}, {ZSTD_c_strategy, ZSTD_fast}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (ZSTD_isError(ZSTD_CCtx_setParameter(zstd, settings[i].parameter, settings[i].value))) return false;
    return true;
}

int ken_packer_create(struct ken_packer **packer, struct ken_error *error)
{
    *packer = malloc(sizeof **packer);
    if (*packer) (*packer)->zstd = ZSTD_createCCtx();
    if (*packer && (*packer)->zstd && set_up((*packer)->zstd)) return KEN_OK;
    ken_packer_free(packer);
    return ken_fail(error, KEN_ENOMEM, "out of memory for packing a delta");
}

void ken_packer_free(struct ken_packer **packer)
{
    if (!*packer) return;
    ZSTD_freeCCtx((*packer)->zstd);
    free(*packer);
    *packer = NULL;
}

/* ---- numbers and their classes */

/* Exponents from the top down to where few are left are classes of their own: delta-format.md leaves the choice to the writer. */
static void choose_classes(struct ken_packer *packer, uint64_t exponents, size_t stored)
{
    size_t few = stored / 64 > 256 ? stored / 64 : 256, above = 0;
    unsigned exponent = (unsigned)exponents;
    while (exponent && (above += packer->exponents[exponent]) < few) exponent--;
    packer->top = exponent;
    packer->classes = 1;
    while (exponent && stored - above >= 2 * few && packer->classes < KEN_PACKED_CLASSES) {
        above += packer->exponents[--exponent];
        packer->classes++;
    }
}

/* A shift that leaves some LEVEL_BITS bits of most numbers as symbols: those below are near to noise. */
static unsigned choose_shift(const uint32_t bits[65], uint32_t count, size_t size)
{
    unsigned width = 0, most = 8 * (unsigned)size - 8;
    uint64_t seen = bits[0];
    while (width < 64 && seen * 10 < (uint64_t)count * 9) seen += bits[++width];
    unsigned shift = width > LEVEL_BITS ? width - LEVEL_BITS : 0;
    return shift < most ? shift : most;
}

static inline __attribute__((always_inline)) void make_numbers(struct ken_packer *packer, struct ken_packed_kind kind,
                                                               const struct ken_packed_input *input)
{
    const unsigned char *values = input->values, *bases = input->base;
    memset(packer->exponents, 0, (kind.exponents + 1) * sizeof *packer->exponents);
    for (size_t i = 0; i < input->stored; i++) {
        uint64_t base = bases ? ken_packed_load(bases + i * kind.size, kind.size) : 0;
        uint64_t value = ken_packed_load(values + i * kind.size, kind.size);
        uint64_t number = ken_packed_fold(kind, ken_packed_order(kind, value) - ken_packed_order(kind, base));
        memcpy(packer->number + i * kind.size, &number, kind.size);
        packer->exponents[(base >> kind.fraction) & kind.exponents]++;
    }
    choose_classes(packer, kind.exponents, input->stored);
    memset(packer->bits, 0, sizeof packer->bits);
    for (size_t i = 0; i < input->stored; i++) {
        uint64_t base = bases ? ken_packed_load(bases + i * kind.size, kind.size) : 0;
        uint64_t number = ken_packed_load(packer->number + i * kind.size, kind.size);
        unsigned class = ken_packed_class(kind, base, packer->top, packer->classes);
        packer->of[i] = (unsigned char)class;
        packer->bits[class][number ? 64 - __builtin_clzll(number) : 0]++;
    }
    for (unsigned c = 0; c < packer->classes; c++) {
        packer->symbols[c] = 0;
        for (unsigned b = 0; b <= 64; b++) packer->symbols[c] += packer->bits[c][b];
        packer->shift[c] = choose_shift(packer->bits[c], packer->symbols[c], kind.size);
    }
}

/* ---- symbols and low bits */

/* A stream of bits, the lowest first. */
struct bits {
    unsigned char *next;
    uint64_t pending;
    unsigned count; /* of pending, less than 8 */
};

/* width: at most 56. */
static inline void put(struct bits *bits, uint64_t value, unsigned width)
{
    bits->pending |= value << bits->count;
    bits->count += width;
    memcpy(bits->next, &bits->pending, sizeof bits->pending);
    bits->next += bits->count / 8;
    bits->pending = bits->count / 8 == 8 ? 0 : bits->pending >> (bits->count & ~7U);
    bits->count &= 7;
}

/* Returns the bytes of low bits. */
static inline __attribute__((always_inline)) size_t split_numbers(struct ken_packer *packer, struct ken_packed_kind kind, size_t stored)
{
    unsigned char *next[KEN_PACKED_CLASSES];
    struct bits bits = {.next = packer->low};
    next[0] = packer->symbol;
    for (unsigned c = 1; c < packer->classes; c++) next[c] = next[c - 1] + packer->symbols[c - 1];
    for (size_t i = 0; i < stored; i++) {
        uint64_t number = ken_packed_load(packer->number + i * kind.size, kind.size);
        unsigned class = packer->of[i], width = packer->shift[class];
        uint64_t symbol = number >> width;
        if (symbol >= KEN_PACKED_DIRECT) {
            width = 63 - (unsigned)__builtin_clzll(number);
            symbol = KEN_PACKED_WIDE + width + 1 - packer->shift[class];
        }
        *next[class]++ = (unsigned char)symbol;
        uint64_t low = number & ((UINT64_C(1) << width) - 1);
        if (kind.size == 8 && width > 56) {
            put(&bits, low & 0xffffffff, 32);
            low >>= 32;
            width -= 32;
        }
        put(&bits, low, width);
    }
    return (size_t)(bits.next - packer->low) + (bits.count > 0);
}

typedef size_t split(struct ken_packer *packer, const struct ken_packed_input *input);
#define SPLIT(name, kind)                                                                       \
    static size_t split_##name(struct ken_packer *packer, const struct ken_packed_input *input) \
    {                                                                                           \
        make_numbers(packer, kind, input);                                                      \
        return split_numbers(packer, kind, input->stored);                                      \
    }
SPLIT(f64, KEN_PACKED_F64)
SPLIT(f32, KEN_PACKED_F32)
SPLIT(f16, KEN_PACKED_F16)
SPLIT(bf16, KEN_PACKED_BF16)
SPLIT(8, KEN_PACKED_INTEGER(8))
SPLIT(4, KEN_PACKED_INTEGER(4))
SPLIT(2, KEN_PACKED_INTEGER(2))
SPLIT(1, KEN_PACKED_INTEGER(1))

static split *choose_split(enum ken_dtype dtype)
{
    switch (dtype) {
    case KEN_F64: return split_f64;
    case KEN_F32: return split_f32;
    case KEN_F16: return split_f16;
    case KEN_BF16: return split_bf16;
    default: break;
    }
    switch (ken_packed_size(dtype)) {
    case 8: return split_8;
    case 4: return split_4;
    case 2: return split_2;
    default: return split_1;
    }
}

/* ---- the block */

/* Appends bytes [length], coded if that is shorter: *coded tells. Returns how many were written. */
static size_t append(struct ken_packer *packer, size_t at, const unsigned char *bytes, size_t length, bool *coded)
{
    *coded = false;
    if (!length) return 0;
    size_t written = ZSTD_compress2(packer->zstd, packer->block + at, length, bytes, length);
    *coded = !ZSTD_isError(written) && written < length;
    if (*coded) return written;
    memcpy(packer->block + at, bytes, length);
    return length;
}

static void put32(unsigned char *bytes, size_t value)
{
    uint32_t word = (uint32_t)value;
    memcpy(bytes, &word, sizeof word);
}

static size_t lay_out(struct ken_packer *packer, const struct ken_packed_input *input, size_t low)
{
    unsigned char *block = packer->block, *class = block + KEN_PACKED_HEAD;
    size_t at = KEN_PACKED_HEAD + packer->classes * (size_t)KEN_PACKED_CLASS, symbols = 0, written = 0;
    bool coded = false;
    memset(block, 0, at);
    if (input->stored < input->count) {
        written = append(packer, at, input->mask, (input->count + 7) / 8, &coded);
        block[0] = coded ? KEN_PACKED_MASK_ZSTD : KEN_PACKED_MASK_RAW;
    }
    block[1] = (unsigned char)packer->classes;
    block[2] = (unsigned char)packer->top;
    block[3] = (unsigned char)(packer->top >> 8);
    put32(block + 4, written);
    at += written;
    for (unsigned c = 0; c < packer->classes; c++, class += KEN_PACKED_CLASS) {
        written = append(packer, at, packer->symbol + symbols, packer->symbols[c], &coded);
        class[0] = (unsigned char)packer->shift[c];
        class[1] = coded;
        put32(class + 4, packer->symbols[c]);
        put32(class + 8, written);
        symbols += packer->symbols[c];
        at += written;
    }
    memcpy(block + at, packer->low, low);
    return at + low;
}

int ken_packer_pack(struct ken_packer *packer, const struct ken_packed_input *input, const unsigned char **bytes,
                    struct ken_packed_entry *entry, struct ken_error *error)
{
    KEN_ASSERT(input->stored <= input->count && input->count <= ken_packed_elements(ken_packed_size(input->dtype)));
    size_t length = 0;
    if (input->stored) length = lay_out(packer, input, choose_split(input->dtype)(packer, input));
    *bytes = packer->block;
    entry->length = (uint32_t)length;
    entry->stored = (uint32_t)input->stored;
    return ken_packed_check(entry->check, packer->block, length, error);
}
