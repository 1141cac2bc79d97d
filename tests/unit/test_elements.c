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

UNIT_MAIN("elements", bits_of_every_length_and_size, sums_and_what_is_not_finite)
