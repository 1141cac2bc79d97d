/* SPDX-License-Identifier: Apache-2.0 */
#include "dtype.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const enum ken_dtype prunable[] = {KEN_F64, KEN_F32, KEN_F16, KEN_BF16};

START_TEST(names_bits_and_sizes_are_those_of_the_table)
{
    enum ken_dtype found;
#define X(name, bits, prunable)                               \
    ck_assert_str_eq(ken_dtype_name(KEN_##name), #name);      \
    ck_assert_uint_eq(ken_dtype_bits(KEN_##name), bits);      \
    ck_assert_uint_eq(ken_dtype_size(KEN_##name), bits / 8);  \
    ck_assert(ken_dtype_is_prunable(KEN_##name) == prunable); \
    ck_assert(ken_dtype_parse(#name "xyz", strlen(#name), &found) && found == KEN_##name);
    KEN_DTYPE_MAP(X)
#undef X
    ck_assert(!ken_dtype_parse("F3", 2, &found));
    ck_assert(!ken_dtype_parse("F322", 4, &found));
    ck_assert(!ken_dtype_parse("f32", 3, &found));
    ck_assert(!ken_dtype_parse("", 0, &found));
}
END_TEST

/* The value of 16 bits from the definition of the format. */
static double value_of(uint16_t bits, int mantissa_bits, int exponent_bits)
{
    int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1), bias = (1 << (exponent_bits - 1)) - 1;
    int mantissa = bits & ((1 << mantissa_bits) - 1);
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

static double value_of_dtype(enum ken_dtype dtype, uint16_t bits)
{
    return dtype == KEN_F16 ? value_of(bits, 10, 5) : value_of(bits, 7, 8);
}

static void assert_same_number(double value, double expected)
{
    ck_assert_msg(memcmp(&value, &expected, sizeof value) == 0 || (isnan(value) && isnan(expected)), "%a, expected %a", value, expected);
}

START_TEST(all_16_bit_values_widen_exactly_and_narrow_back)
{
    static uint16_t in[65536], back[65536];
    static float wide[65536];
    for (size_t type = 2; type < 4; type++) {
        enum ken_dtype dtype = prunable[type];
        for (size_t i = 0; i < 65536; i++) in[i] = (uint16_t)i;
        ken_widen(dtype, in, wide, 65536);
        ken_convert(KEN_F32, wide, dtype, back, 65536);
        for (size_t i = 0; i < 65536; i++) {
            double expected = value_of_dtype(dtype, (uint16_t)i);
            assert_same_number((double)wide[i], expected);
            assert_same_number(ken_load(dtype, in, i), expected);
            if (isnan(expected))
                ck_assert(isnan(ken_load(dtype, back, i)) && (back[i] & 0x8000) == (i & 0x8000));
            else
                ck_assert_uint_eq(back[i], i);
            ck_assert(ken_first_non_finite(dtype, in + i, 1) == (isfinite(expected) ? 1 : 0));
        }
    }
}
END_TEST

static uint16_t stored(enum ken_dtype dtype, double value)
{
    uint16_t bits = 0;
    ken_store(dtype, &bits, 0, value);
    return bits;
}

/* Between all neighbours: the midpoint goes to the even one, what is just beside it to the nearer one. */
START_TEST(narrowing_rounds_to_nearest_even)
{
    for (size_t type = 2; type < 4; type++) {
        enum ken_dtype dtype = prunable[type];
        uint16_t infinity = dtype == KEN_F16 ? 0x7c00 : 0x7f80;
        for (uint16_t bits = 0; bits + 1 < infinity; bits++) {
            double low = value_of_dtype(dtype, bits), high = value_of_dtype(dtype, (uint16_t)(bits + 1)), middle = (low + high) / 2;
            uint16_t even = bits & 1 ? (uint16_t)(bits + 1) : bits;
            ck_assert_uint_eq(stored(dtype, middle), even);
            ck_assert_uint_eq(stored(dtype, -middle), even | 0x8000);
            ck_assert_uint_eq(stored(dtype, nextafter(middle, 0)), bits);
            ck_assert_uint_eq(stored(dtype, nextafter(middle, 1e300)), bits + 1);
        }
    }
}
END_TEST

START_TEST(storing_clamps_and_converting_overflows)
{
    static const struct {
        enum ken_dtype dtype;
        double largest, beyond; /* beyond: the least that rounds to infinity */
        uint16_t bits;
    } limits[] = {{KEN_F16, 65504, 65520, 0x7bff}, {KEN_BF16, 0x1.fep127, 0x1.ffp127, 0x7f7f}};
    for (size_t i = 0; i < 2; i++) {
        enum ken_dtype dtype = limits[i].dtype;
        double values[] = {limits[i].largest, nextafter(limits[i].beyond, 0), limits[i].beyond, -DBL_MAX, INFINITY};
        uint16_t converted[5];
        ken_convert(KEN_F64, values, dtype, converted, 5);
        uint16_t infinity = (uint16_t)(limits[i].bits + 1),
                 expected[] = {limits[i].bits, limits[i].bits, infinity, infinity | 0x8000, infinity};
        for (size_t j = 0; j < 5; j++) {
            ck_assert_uint_eq(converted[j], expected[j]);
            ck_assert_uint_eq(stored(dtype, values[j]), limits[i].bits | (values[j] < 0 ? 0x8000 : 0));
        }
    }
    float narrow;
    ken_store(KEN_F32, &narrow, 0, 1e39);
    ck_assert(narrow == FLT_MAX);
    ken_store(KEN_F32, &narrow, 0, -INFINITY);
    ck_assert(narrow == -FLT_MAX);
    ken_convert(KEN_F64, &(double){1e39}, KEN_F32, &narrow, 1);
    ck_assert(isinf(narrow));
    double wide;
    ken_store(KEN_F64, &wide, 0, -INFINITY);
    ck_assert(wide == -DBL_MAX);
}
END_TEST

START_TEST(the_smallest_numbers_round_to_zero_or_to_the_smallest_subnormal)
{
    ck_assert_uint_eq(stored(KEN_F16, 0x1p-25), 0);
    ck_assert_uint_eq(stored(KEN_F16, nextafter(0x1p-25, 1)), 1);
    ck_assert_uint_eq(stored(KEN_F16, -0x1p-26), 0x8000);
    ck_assert_uint_eq(stored(KEN_F16, 0x1p-24), 1);
    ck_assert_uint_eq(stored(KEN_BF16, 0x1p-134), 0);
    ck_assert_uint_eq(stored(KEN_BF16, nextafter(0x1p-134, 1)), 1);
    ck_assert_uint_eq(stored(KEN_BF16, 4.9e-324), 0);
    ck_assert_uint_eq(stored(KEN_BF16, -0.0), 0x8000);
    /* Rounded once: by way of float32 this would become the even neighbour of a tie that it is not. */
    ck_assert_uint_eq(stored(KEN_BF16, 1 + 0x1p-8 + 0x1p-40), 0x3f81);
    ck_assert_uint_eq(stored(KEN_F16, 1 + 0x1p-11 + 0x1p-40), 0x3c01);
}
END_TEST

START_TEST(float64_widens_rounded_and_clamped)
{
    double in[] = {1e39, -1e39, INFINITY, NAN, 1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-50, 1e-50, -0.0};
    float out[8];
    ken_widen(KEN_F64, in, out, 8);
    ck_assert(out[0] == FLT_MAX && out[1] == -FLT_MAX && isinf(out[2]) && isnan(out[3]));
    ck_assert(out[4] == 1 && out[5] == 1 + 0x1p-23F && out[6] == 0 && signbit(out[7]));
}
END_TEST

START_TEST(the_same_dtype_is_copied_bit_by_bit)
{
    uint32_t in[] = {0x7f800001, 0xffffffff, 0x80000000, 1}, out[4];
    ken_convert(KEN_F32, in, KEN_F32, out, 4);
    ck_assert_mem_eq(in, out, sizeof in);
    float wide[4];
    ken_widen(KEN_F32, in, wide, 4);
    ck_assert_mem_eq(in, wide, sizeof in);
}
END_TEST

START_TEST(any_alignment_will_do)
{
    unsigned char in[8 * 9 + 1], out[8 * 9 + 1];
    for (size_t from = 0; from < 4; from++) {
        for (size_t to = 0; to < 4; to++) {
            for (size_t i = 0; i < 9; i++) ken_store(prunable[from], in + 1, i, (double)i - 4);
            ken_convert(prunable[from], in + 1, prunable[to], out + 1, 9);
            for (size_t i = 0; i < 9; i++) ck_assert(ken_load(prunable[to], out + 1, i) == (double)i - 4);
            ck_assert_uint_eq(ken_first_non_finite(prunable[to], out + 1, 9), 9);
        }
    }
}
END_TEST

START_TEST(the_first_non_finite_value_is_found_wherever_it_is)
{
    static double values[700];
    static unsigned char in[700 * 8];
    for (size_t type = 0; type < 4; type++) {
        enum ken_dtype dtype = prunable[type];
        for (size_t at = 0; at < 700; at += 13) {
            memset(values, 0, sizeof values);
            values[at] = at % 2 ? NAN : -INFINITY;
            values[699] = INFINITY;
            ken_convert(KEN_F64, values, dtype, in, 700);
            ck_assert_uint_eq(ken_first_non_finite(dtype, in, 700), at);
            ck_assert_uint_eq(ken_first_non_finite(dtype, in, at), at);
        }
    }
}
END_TEST

UNIT_MAIN("dtype", names_bits_and_sizes_are_those_of_the_table, all_16_bit_values_widen_exactly_and_narrow_back,
          narrowing_rounds_to_nearest_even, storing_clamps_and_converting_overflows,
          the_smallest_numbers_round_to_zero_or_to_the_smallest_subnormal, float64_widens_rounded_and_clamped,
          the_same_dtype_is_copied_bit_by_bit, any_alignment_will_do, the_first_non_finite_value_is_found_wherever_it_is)
