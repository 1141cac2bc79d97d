/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding a row to its cells, 32 columns at a time. Sums are of multiples of one unit and exact, so that neither the order of the terms nor
 * the width of a vector tells in them.
 */
#ifndef KEN_ELEMENTS_CELLS_H
#define KEN_ELEMENTS_CELLS_H

/*
 * As many doubles as a register of the instruction set holds: of wider vectors, compilers keep sums in memory. Eight are loaded as for all
 * else.
 */
#ifndef CELL_LANES
#define CELL_LANES 2
#endif
enum { GROUP = 32, CHUNK = 1024 };

typedef double doubles __attribute__((vector_size(8 * CELL_LANES)));
typedef int64_t longs __attribute__((vector_size(8 * CELL_LANES)));
#if CELL_LANES < 8
typedef float floats __attribute__((vector_size(4 * CELL_LANES)));
typedef uint32_t uints __attribute__((vector_size(4 * CELL_LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * CELL_LANES)));

static inline doubles cell_f64(const unsigned char *at)
{
    doubles values;
    memcpy(&values, at, sizeof values);
    return values;
}

static inline doubles cell_f32(const unsigned char *at)
{
    floats values;
    memcpy(&values, at, sizeof values);
    return __builtin_convertvector(values, doubles);
}

static inline uints cell_halves(const unsigned char *at)
{
    halves values;
    memcpy(&values, at, sizeof values);
    return __builtin_convertvector(values, uints);
}

static inline doubles cell_bf16(const unsigned char *at)
{
    return __builtin_convertvector((floats)(cell_halves(at) << 16), doubles);
}

/* As load_f16. */
static inline doubles cell_f16(const unsigned char *at)
{
    const uints bits = cell_halves(at);
    const floats magnitude = (floats)((bits & 0x7fff) << 13) * 0x1p112F;
    return __builtin_convertvector((floats)((uints)magnitude | (bits & 0x8000) << 16), doubles);
}
#else
#define cell_f64 load_f64
#define cell_f32 load_f32
#define cell_f16 load_f16
#define cell_bf16 load_bf16
#endif

/* A part of a row, and what the instruction set's own functions have made of it. */
struct chunk {
    enum ken_dtype dtype;
    const unsigned char *model, *base;                                     /* [n] */
    unsigned char chosen[CHUNK * 8];                                       /* [n] the result where it is kept, else zeros */
    uint64_t changed[CHUNK / 64], kept[CHUNK / 64 + 1], above[CHUNK / 64]; /* bits [n]; kept[0] is that of the column before */
};

static uint64_t mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first);
static void merge(const void *a, const void *b, const uint64_t *mask, void *out, size_t n, size_t size);

/* As a vector rounds a value, by adding what has the unit as its last bit; the largest stands for all that are larger. */
#define ROUNDING (KEN_CELL_UNIT * 0x1.8p52)
static inline double round_value(double value)
{
    value = value > KEN_CELL_LARGEST ? KEN_CELL_LARGEST : value;
    value = value < -KEN_CELL_LARGEST ? -KEN_CELL_LARGEST : value;
    return (value + ROUNDING) - ROUNDING;
}

/* Adds any values that are finite. */
static void add_any(const struct chunk *chunk, size_t first, size_t count, struct ken_cell *cell)
{
    for (size_t i = first; i < first + count; i++) {
        const double moved = round_value(ken_load(chunk->dtype, chunk->model, i) - ken_load(chunk->dtype, chunk->base, i));
        const double value = round_value(ken_load(chunk->dtype, chunk->chosen, i));
        cell->difference += moved < 0 ? -moved : moved;
        cell->value += value;
        cell->size += value < 0 ? -value : value;
    }
}

static inline double add_lanes(const doubles *sums)
{
    double sum = 0;
    for (size_t i = 0; i < CELL_LANES; i++) sum += (*sums)[i];
    return sum;
}

/* Adds whole groups. Where a value is too large to be rounded so, the sums are large, too, and are made otherwise. */
#define ADD_GROUPS(load, element)                                                                                 \
    static void add_##load(const struct chunk *chunk, size_t n, struct ken_cell *cell, size_t groups_of_cell)     \
    {                                                                                                             \
        const doubles shift = (doubles){0} + ROUNDING;                                                            \
        for (size_t first = 0; first < n; first += GROUP) {                                                       \
            struct ken_cell *of = &cell[first / GROUP >> groups_of_cell];                                         \
            doubles difference = {0}, value = {0}, size = {0};                                                    \
            for (size_t at = first * (element); at < (first + GROUP) * (element); at += CELL_LANES * (element)) { \
                const doubles moved = load(chunk->model + at) - load(chunk->base + at);                           \
                const doubles rounded = (load(chunk->chosen + at) + shift) - shift;                               \
                difference += ((doubles)((longs)moved & INT64_MAX) + shift) - shift;                              \
                value += rounded;                                                                                 \
                size += (doubles)((longs)rounded & INT64_MAX);                                                    \
            }                                                                                                     \
            const double moved = add_lanes(&difference), values = add_lanes(&value), sizes = add_lanes(&size);    \
            if (__builtin_expect(!(moved < KEN_CELL_LARGEST && sizes < KEN_CELL_LARGEST), 0)) {                   \
                add_any(chunk, first, GROUP, of);                                                                 \
                continue;                                                                                         \
            }                                                                                                     \
            of->difference += moved;                                                                              \
            of->value += values;                                                                                  \
            of->size += sizes;                                                                                    \
        }                                                                                                         \
    }
ADD_GROUPS(cell_f64, 8)
ADD_GROUPS(cell_f32, 4)
ADD_GROUPS(cell_f16, 2)
ADD_GROUPS(cell_bf16, 2)
#undef ADD_GROUPS

static void add_values(const struct chunk *chunk, size_t n, struct ken_cell *cells, size_t groups_of_cell)
{
    const size_t whole = n / GROUP * GROUP;
    switch (chunk->dtype) {
    case KEN_F64: add_cell_f64(chunk, whole, cells, groups_of_cell); break;
    case KEN_F32: add_cell_f32(chunk, whole, cells, groups_of_cell); break;
    case KEN_F16: add_cell_f16(chunk, whole, cells, groups_of_cell); break;
    default: KEN_ASSERT(chunk->dtype == KEN_BF16); add_cell_bf16(chunk, whole, cells, groups_of_cell);
    }
    if (whole < n) add_any(chunk, whole, n - whole, &cells[whole / GROUP >> groups_of_cell]);
}

/* Bits [n] from the given one on, zeros behind them. */
static void copy_bits(uint64_t *to, const unsigned char *bits, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        uint64_t word;
        memcpy(&word, bits + (first + i) / 8, sizeof word);
        word >>= (first + i) % 8;
        if (n - i > 56) word |= (uint64_t)bits[(first + i) / 8 + 8] << 1 << (63 - (first + i) % 8);
        to[i / 64] = n - i < 64 ? word & ((UINT64_C(1) << (n - i)) - 1) : word;
    }
}

static inline uint32_t ones(uint64_t bits)
{
    return (uint32_t)__builtin_popcountll(bits);
}

static void add_counts(const struct chunk *chunk, const uint64_t *mask, size_t n, struct ken_cell *cells, size_t groups_of_cell)
{
    for (size_t first = 0; first < n; first += GROUP) {
        const size_t word = first / 64, shift = first % 64;
        const uint64_t valid = n - first < GROUP ? (UINT64_C(1) << (n - first)) - 1 : UINT32_MAX;
        const uint64_t kept = chunk->kept[word + 1] >> shift & UINT32_MAX, above = chunk->above[word] >> shift;
        const uint64_t left = shift ? chunk->kept[word + 1] >> (shift - 1) : kept << 1 | chunk->kept[word] >> 63;
        struct ken_cell *cell = &cells[first / GROUP >> groups_of_cell];
        cell->selected += ones(mask ? mask[word] >> shift & valid : valid);
        cell->changed += ones(chunk->changed[word] >> shift & UINT32_MAX);
        cell->stored += ones(kept);
        cell->pairs += ones((kept & left) | (kept & above) << 32);
    }
}

static void cells(const struct ken_cell_row *row, struct ken_cell *of)
{
    static const unsigned char zeros[CHUNK * 8];
    const size_t size = ken_dtype_size(row->dtype), groups_of_cell = (size_t)__builtin_ctzll(row->width / GROUP);
    struct chunk chunk;
    chunk.dtype = row->dtype;
    chunk.kept[CHUNK / 64] = 0;
    memset(chunk.above, 0, sizeof chunk.above);
    for (size_t first = 0; first < row->n; first += CHUNK) {
        const size_t n = row->n - first < CHUNK ? row->n - first : CHUNK;
        struct ken_cell *begin = &of[first / row->width];
        chunk.model = row->model + first * size;
        chunk.base = row->base + first * size;
        chunk.kept[0] = chunk.kept[CHUNK / 64];
        memset(chunk.changed, 0, sizeof chunk.changed);
        copy_bits(chunk.kept + 1, row->kept, row->first + first, n);
        if (row->has_above) copy_bits(chunk.above, row->kept, row->first + first - row->n, n);
        mark(chunk.model, chunk.base, n, size, (unsigned char *)chunk.changed, 0);
        add_counts(&chunk, row->mask ? row->mask + first / 64 : NULL, n, begin, groups_of_cell);
        if (!row->finite) continue;
        merge(row->dense + first * size, zeros, chunk.kept + 1, chunk.chosen, n, size);
        add_values(&chunk, n, begin, groups_of_cell);
    }
}

#endif
