/* SPDX-License-Identifier: Apache-2.0 */
/* The element functions of every kernel that this machine can run: the scalar ones against plain loops, all others against those. */
#include "elements/elements.h"
#include "error.h"
#include "selection/kernel.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 300, GUARD = 64, ROOM = LONGEST * 8 + 2 * GUARD + KEN_GATHER_SLACK };

static uint64_t state = 1;

static uint64_t random_bits(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

struct elements_case {
    size_t n, size, offset; /* offset: bytes off an aligned address */
    uint64_t first;         /* bit */
    unsigned char a[ROOM], b[ROOM], bits[LONGEST / 8 + 16];
    uint64_t mask[LONGEST / 64 + 1];
};

/* Half of b's elements are a's, some differ in one byte only. */
static void fill(struct elements_case *of, size_t n, size_t size)
{
    *of = (struct elements_case){.n = n, .size = size, .offset = random_bits() % 17, .first = random_bits() % 20};
    for (size_t i = 0; i < ROOM; i++) of->a[i] = of->b[i] = (unsigned char)random_bits();
    for (size_t i = 0; i < n; i++)
        if (random_bits() % 2) of->b[of->offset + i * size + random_bits() % size] ^= (unsigned char)(1 << random_bits() % 8);
    for (size_t i = 0; i < sizeof of->bits; i++) of->bits[i] = (unsigned char)(random_bits() & random_bits());
    for (size_t i = 0; i < LONGEST / 64 + 1; i++) of->mask[i] = random_bits();
}

static bool has_bit(const unsigned char *bits, uint64_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void check_case(const struct ken_elements *elements, const struct elements_case *of)
{
    const unsigned char *a = of->a + of->offset, *b = of->b + of->offset;
    unsigned char marked[sizeof of->bits], merged[ROOM], gathered[ROOM], bits[sizeof of->bits];
    size_t size = of->size, differing = 0, chosen = 0;
    memcpy(bits, of->bits, sizeof bits);
    memset(merged, 0xa5, sizeof merged);
    memset(gathered, 0xa5, sizeof gathered);
    memcpy(marked, bits, sizeof marked);
    elements->gather(a, bits, of->first, of->n, size, gathered);
    if (size > 1) elements->merge(a, b, of->mask, merged + GUARD, of->n, size);
    uint64_t found = elements->mark(a, b, of->n, size, marked, of->first);
    for (size_t i = 0; i < of->n; i++) {
        bool differs = memcmp(a + i * size, b + i * size, size) != 0, is_a = of->mask[i / 64] >> (i % 64) & 1;
        differing += differs;
        ck_assert(has_bit(marked, of->first + i) == (differs || has_bit(bits, of->first + i)));
        ck_assert(size == 1 || memcmp(merged + GUARD + i * size, (is_a ? a : b) + i * size, size) == 0);
        if (has_bit(bits, of->first + i)) ck_assert(memcmp(gathered + chosen++ * size, a + i * size, size) == 0);
    }
    for (uint64_t i = 0; i < sizeof bits * 8; i++)
        if (i < of->first || i >= of->first + of->n) ck_assert(has_bit(marked, i) == has_bit(bits, i));
    for (size_t i = 0; i < GUARD; i++) ck_assert(merged[i] == 0xa5 && merged[GUARD + of->n * size + i] == 0xa5);
    for (size_t i = chosen * size + KEN_GATHER_SLACK; i < sizeof gathered; i++) ck_assert(gathered[i] == 0xa5);
    ck_assert_uint_eq(found, differing);
    ck_assert_uint_eq(elements->count(a, b, of->n, size), differing);
    ck_assert_uint_eq(elements->gather(a, bits, of->first, of->n, size, gathered), chosen);
}

START_TEST(bits_of_every_length_and_size)
{
    static struct elements_case of;
    const struct ken_kernel *kernel;
    for (size_t n = 0; n <= LONGEST; n++)
        for (size_t size = 1; size <= 8; size *= 2) {
            fill(&of, n, size);
            for (size_t i = 0; (kernel = ken_kernel_at(i)); i++)
                if (kernel->is_usable()) check_case(kernel->elements, &of);
        }
}
END_TEST

/* ---- floats */

static const enum ken_dtype prunable[] = {KEN_F64, KEN_F32, KEN_F16, KEN_BF16};
enum { PRUNABLE = sizeof prunable / sizeof prunable[0] };

/* Finite values of all magnitudes, subnormals and both zeros among them. */
static void fill_finite(unsigned char *values, enum ken_dtype dtype, size_t n)
{
    size_t size = ken_dtype_size(dtype);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        do {
            bits = random_bits();
            if (i % 5 == 0) bits &= UINT64_C(0x800f800f800f800f); /* small, and with few bits */
            memcpy(values + i * size, &bits, size);
        } while (ken_first_non_finite(dtype, values + i * size, 1) == 0);
    }
}

static double squares_in_lanes(enum ken_dtype dtype, const unsigned char *a, const unsigned char *b, size_t n)
{
    double lanes[8] = {0};
    for (size_t i = 0; i < n; i++) {
        double difference = ken_load(dtype, a, i) - ken_load(dtype, b, i);
        lanes[i % 8] += difference * difference;
    }
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

START_TEST(sums_and_what_is_not_finite)
{
    static unsigned char a[ROOM], b[ROOM];
    const struct ken_kernel *kernel;
    for (size_t n = 0; n <= LONGEST; n++)
        for (size_t d = 0; d < PRUNABLE; d++) {
            size_t size = ken_dtype_size(prunable[d]), at = random_bits() % 9;
            fill_finite(a + at, prunable[d], n);
            fill_finite(b + at, prunable[d], n);
            double expected = squares_in_lanes(prunable[d], a + at, b + at, n);
            const double infinity = INFINITY, not_a_number = NAN;
            for (size_t i = 0; (kernel = ken_kernel_at(i)); i++) {
                if (!kernel->is_usable()) continue;
                double sum = kernel->elements->squares(prunable[d], a + at, b + at, n);
                ck_assert_msg(memcmp(&sum, &expected, sizeof sum) == 0, "%s, dtype %u, n %zu: %a, not %a", kernel->name, prunable[d], n,
                              sum, expected);
                ck_assert(!kernel->elements->any_non_finite(prunable[d], a + at, n));
                if (!n) continue;
                unsigned char value[8], *place = a + at + random_bits() % n * size;
                memcpy(value, place, size);
                ken_convert(KEN_F64, i % 2 ? &infinity : &not_a_number, prunable[d], place, 1);
                ck_assert(kernel->elements->any_non_finite(prunable[d], a + at, n));
                memcpy(place, value, size);
            }
        }
}
END_TEST

/* ---- cells */

enum { CELLS = LONGEST / 32 + 1 };

static double in_units(double value)
{
    value = value > KEN_CELL_LARGEST ? KEN_CELL_LARGEST : value < -KEN_CELL_LARGEST ? -KEN_CELL_LARGEST : value;
    return nearbyint(value / KEN_CELL_UNIT) * KEN_CELL_UNIT;
}

/* One element after the other. */
static void add_naively(const struct ken_cell_row *row, struct ken_cell *cells)
{
    size_t size = ken_dtype_size(row->dtype);
    for (size_t i = 0; i < row->n; i++) {
        struct ken_cell *cell = &cells[i / row->width];
        bool kept = has_bit(row->kept, row->first + i);
        cell->selected += row->mask ? (uint32_t)(row->mask[i / 64] >> (i % 64) & 1) : 1;
        cell->changed += memcmp(row->model + i * size, row->base + i * size, size) != 0;
        cell->stored += kept;
        cell->pairs += kept && i && has_bit(row->kept, row->first + i - 1);
        cell->pairs += kept && row->has_above && has_bit(row->kept, row->first + i - row->n);
        if (!row->finite) continue;
        cell->difference += fabs(in_units(ken_load(row->dtype, row->model, i) - ken_load(row->dtype, row->base, i)));
        if (!kept) continue;
        cell->value += in_units(ken_load(row->dtype, row->dense, i));
        cell->size += fabs(in_units(ken_load(row->dtype, row->dense, i)));
    }
}

/* Values of a matrix, or of all magnitudes. */
static void fill_values(unsigned char *values, enum ken_dtype dtype, size_t n, bool usual)
{
    if (!usual) {
        fill_finite(values, dtype, n);
        return;
    }
    for (size_t i = 0; i < n; i++) ken_store(dtype, values, i, ((double)(random_bits() % 2001) - 1000) / 5000);
}

static void check_cells(enum ken_dtype dtype, size_t n, size_t width, bool usual)
{
    static unsigned char model[ROOM], base[ROOM], kept[LONGEST / 4 + 32];
    static uint64_t mask[LONGEST / 64 + 1];
    struct ken_cell naive[CELLS] = {{0}}, found[CELLS];
    const struct ken_kernel *kernel;
    size_t at = random_bits() % 9, size = ken_dtype_size(dtype);
    fill_values(model + at, dtype, n, usual);
    fill_values(base + at, dtype, n, usual);
    for (size_t i = 0; i < sizeof kept; i++) kept[i] = (unsigned char)random_bits();
    for (size_t i = 0; i < LONGEST / 64 + 1; i++) mask[i] = random_bits();
    for (size_t i = 0; i < n; i += 3) memcpy(base + at + i * size, model + at + i * size, size);
    const struct ken_cell_row row = {.dtype = dtype,
                                     .finite = random_bits() % 8,
                                     .has_above = random_bits() % 2,
                                     .n = n,
                                     .width = width,
                                     .model = model + at,
                                     .base = base + at,
                                     .dense = random_bits() % 2 ? model + at : base + at,
                                     .mask = random_bits() % 4 ? mask : NULL,
                                     .kept = kept,
                                     .first = n + random_bits() % 30};
    for (unsigned twice = 0; twice < 2; twice++) add_naively(&row, naive);
    for (size_t i = 0; (kernel = ken_kernel_at(i)); i++) {
        if (!kernel->is_usable()) continue;
        memset(found, 0, sizeof found);
        for (unsigned twice = 0; twice < 2; twice++) kernel->elements->cells(&row, found);
        ck_assert_msg(memcmp(found, naive, sizeof found) == 0, "%s, dtype %u, n %zu, width %zu", kernel->name, dtype, n, width);
    }
}

START_TEST(cells_are_those_of_plain_sums)
{
    for (size_t n = 1; n <= LONGEST; n += n < 70 ? 1 : 7)
        for (size_t d = 0; d < PRUNABLE; d++)
            for (size_t width = 32; width <= 128; width *= 4)
                for (unsigned usual = 0; usual < 2; usual++) check_cells(prunable[d], n, width, usual);
}
END_TEST

UNIT_MAIN("elements", bits_of_every_length_and_size, sums_and_what_is_not_finite, cells_are_those_of_plain_sums)
