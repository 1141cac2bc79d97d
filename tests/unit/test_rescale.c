/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/select.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

static struct ken_row row_of(enum ken_dtype dtype, const void *model, const void *base, size_t n)
{
    return (struct ken_row){.n = n, .dtype = dtype, .model = model, .base = base};
}

START_TEST(kept_updates_are_stretched_to_the_norm_of_the_row)
{
    static const float model[] = {3, 1, -2, 5}, base[] = {1, 0, 0, 5}; /* D = 2 1 -2 0 */
    float out[4];
    struct ken_row row = row_of(KEN_F32, model, base, 4);
    ken_rescale_l1(&row, &(uint64_t){0x9}, out); /* columns 0 and 3: s = 5 / 2 */
    ck_assert(out[0] == 1 + 2.5F * 2 && out[1] == 0 && out[2] == 0 && out[3] == 5);
    ken_rescale_l1(&row, &(uint64_t){0x6}, out); /* columns 1 and 2: s = 5 / 3, rounded once from float64 */
    ck_assert(out[0] == 1 && out[1] == (float)(5.0 / 3) && out[2] == (float)(-2 * (5.0 / 3)) && out[3] == 5);
}
END_TEST

START_TEST(nothing_kept_that_moved_means_no_stretching)
{
    static const float model[] = {3, 1, -2, 5}, base[] = {1, 0, 0, 5};
    float out[4];
    struct ken_row row = row_of(KEN_F32, model, base, 4);
    ken_rescale_l1(&row, &(uint64_t){0x8}, out);
    ck_assert_mem_eq(out, base, sizeof base);
}
END_TEST

START_TEST(a_row_kept_whole_is_left_alone)
{
    /* base + (model - base) would lose the 1 in float64. */
    static const double model[] = {1, 1}, base[] = {0x1p60, 3};
    double out[2];
    struct ken_row row = row_of(KEN_F64, model, base, 2);
    ken_rescale_l1(&row, &(uint64_t){3}, out);
    ck_assert_mem_eq(out, model, sizeof model);
}
END_TEST

START_TEST(columns_whose_bits_equal_the_bases_stay)
{
    /* -0 and 0 differ in bits only: kept, moved by nothing, stored as base + s * 0 = 0. A negative zero in both stays. */
    static const float model[] = {-0.0F, -0.0F, 2}, base[] = {-0.0F, 0.0F, 1};
    float out[3];
    struct ken_row row = row_of(KEN_F32, model, base, 3);
    ken_rescale_l1(&row, &(uint64_t){3}, out);
    ck_assert(out[0] == 0 && signbit(out[0]) && out[1] == 0 && !signbit(out[1]) && out[2] == 1);
}
END_TEST

START_TEST(results_are_clamped_and_rounded_once_to_the_dtype)
{
    uint16_t model[3], base[3] = {0, 0, 0}, out[3];
    ken_store(KEN_F16, model, 0, 60000);
    ken_store(KEN_F16, model, 1, -60000);
    ken_store(KEN_F16, model, 2, 30000);
    struct ken_row row = row_of(KEN_F16, model, base, 3);
    ken_rescale_l1(&row, &(uint64_t){3}, out); /* s = 1.25 */
    ck_assert(ken_load(KEN_F16, out, 0) == 65504 && ken_load(KEN_F16, out, 1) == -65504 && out[2] == 0);
    ken_store(KEN_BF16, model, 0, 1);
    ken_store(KEN_BF16, model, 1, 0x1p-8);
    ken_store(KEN_BF16, model, 2, 0x1p-9);
    row = row_of(KEN_BF16, model, base, 3);
    ken_rescale_l1(&row, &(uint64_t){1}, out); /* s = 1 + 2^-8 + 2^-9: above the tie between 1 and 1 + 2^-7 */
    ck_assert(ken_load(KEN_BF16, out, 0) == 1 + 0x1p-7);
}
END_TEST

START_TEST(differences_beyond_float64_leave_the_kept_values_alone)
{
    static const double model[] = {DBL_MAX, 1}, base[] = {-DBL_MAX, 2};
    double out[2];
    struct ken_row row = row_of(KEN_F64, model, base, 2);
    ken_rescale_l1(&row, &(uint64_t){2}, out);
    ck_assert(out[0] == -DBL_MAX && out[1] == 1);
    ken_rescale_l1(&row, &(uint64_t){1}, out);
    ck_assert(out[0] == DBL_MAX && out[1] == 2);
}
END_TEST

START_TEST(the_result_may_go_where_the_model_is)
{
    enum { N = 200 };
    float model[N], base[N], out[N];
    uint64_t mask[(N + 63) / 64] = {0};
    for (size_t i = 0; i < N; i++) {
        model[i] = (float)sin((double)i), base[i] = (float)cos((double)(i * i));
        if (i % 3 == 0) mask[i / 64] |= UINT64_C(1) << (i % 64);
    }
    struct ken_row row = row_of(KEN_F32, model, base, N);
    ken_rescale_l1(&row, mask, out);
    ken_rescale_l1(&row, mask, model);
    ck_assert_mem_eq(out, model, sizeof out);
}
END_TEST

UNIT_MAIN("rescale", kept_updates_are_stretched_to_the_norm_of_the_row, nothing_kept_that_moved_means_no_stretching,
          a_row_kept_whole_is_left_alone, columns_whose_bits_equal_the_bases_stay, results_are_clamped_and_rounded_once_to_the_dtype,
          differences_beyond_float64_leave_the_kept_values_alone, the_result_may_go_where_the_model_is)
