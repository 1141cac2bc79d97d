/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing two sides: every result, dtypes, what is not finite, rows longer than a piece, faults of reading. */
#include "compare/compare.h"
#include "compare/overlap.h"
#include "make_checkpoint.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Two checkpoints in memory as sides. */
struct sides {
    struct made_file file_a, file_b;
    struct ken_checkpoint *a, *b;
    struct ken_side side_a, side_b;
};

static void open_sides(struct sides *sides, const struct make_tensor *a, size_t count_a, const struct make_tensor *b, size_t count_b)
{
    struct ken_error error = {0};
    sides->file_a = make_safetensors(NULL, a, count_a);
    sides->file_b = make_safetensors(NULL, b, count_b);
    ck_assert_msg(!open_memory(&sides->a, sides->file_a.bytes, sides->file_a.length, NULL, &error), "%s", error.message);
    ck_assert_msg(!open_memory(&sides->b, sides->file_b.bytes, sides->file_b.length, NULL, &error), "%s", error.message);
    ck_assert_int_eq(ken_side_open(&sides->side_a, sides->a, NULL, &error), KEN_OK);
    ck_assert_int_eq(ken_side_open(&sides->side_b, sides->b, NULL, &error), KEN_OK);
}

static void close_sides(struct sides *sides)
{
    ken_side_close(&sides->side_a);
    ken_side_close(&sides->side_b);
    ken_checkpoint_close(&sides->a);
    ken_checkpoint_close(&sides->b);
    free(sides->file_a.bytes);
    free(sides->file_b.bytes);
}

static struct ken_comparison compare(struct sides *sides)
{
    struct ken_comparison comparison;
    struct ken_error error = {0};
    ck_assert_msg(!ken_compare(&comparison, &sides->side_a, &sides->side_b, NULL, &error), "%s", error.message);
    return comparison;
}

static double relative_l2(const struct ken_compared_tensor *tensor)
{
    return ken_relative_l2(tensor->squares, tensor->squares_a);
}

START_TEST(every_result_in_the_order_of_a)
{
    static const float f32[4] = {1, 2, 3, 4}, other[4] = {1, 2, 3, 5};
    static const uint16_t bf16[4] = {0x3f80, 0x4000, 0x4040, 0x4080}; /* 1, 2, 3, 4 */
    const struct make_tensor a[] = {{"same", "F32", "[4]", f32, 16},    {"values", "F32", "[2,2]", f32, 16},
                                    {"shape", "F32", "[4]", f32, 16},   {"dtype", "BF16", "[4]", bf16, 8},
                                    {"kind", "F32", "[4]", f32, 16},    {"gone", "F32", "[4]", f32, 16},
                                    {"packed", "F4", "[4]", "\1\2", 2}, {"ids", "I16", "[4]", bf16, 8}};
    const struct make_tensor b[] = {{"new", "F32", "[4]", f32, 16},        {"ids", "I16", "[4]", bf16, 8},
                                    {"packed", "F4", "[4]", "\1\3", 2},    {"kind", "I32", "[4]", f32, 16},
                                    {"dtype", "F32", "[4]", other, 16},    {"shape", "F32", "[2,2]", f32, 16},
                                    {"values", "F32", "[2,2]", other, 16}, {"same", "F32", "[4]", f32, 16}};
    static const struct {
        const char *name;
        enum ken_difference difference;
        bool counted, measured;
        uint64_t values, differing;
    } wanted[] = {{"same", KEN_DIFFERENCE_SAME, true, true, 4, 0},      {"values", KEN_DIFFERENCE_VALUES, true, true, 4, 1},
                  {"shape", KEN_DIFFERENCE_SHAPE, false, false, 0, 0},  {"dtype", KEN_DIFFERENCE_DTYPE, true, true, 4, 1},
                  {"kind", KEN_DIFFERENCE_DTYPE, false, false, 4, 0},   {"gone", KEN_DIFFERENCE_ONLY_A, false, false, 0, 0},
                  {"packed", KEN_DIFFERENCE_VALUES, true, false, 2, 1}, {"ids", KEN_DIFFERENCE_SAME, true, false, 4, 0},
                  {"new", KEN_DIFFERENCE_ONLY_B, false, false, 0, 0}};
    struct sides sides;
    open_sides(&sides, a, 8, b, 8);
    struct ken_comparison comparison = compare(&sides);
    ck_assert_uint_eq(comparison.count, 9);
    for (size_t i = 0; i < 9; i++) {
        const struct ken_compared_tensor *found = &comparison.tensors[i];
        ck_assert_str_eq(found->name, wanted[i].name);
        ck_assert_msg(
            found->difference == wanted[i].difference && found->counted == wanted[i].counted && found->measured == wanted[i].measured &&
                found->values == wanted[i].values && found->differing == wanted[i].differing,
            "%s: %d %lu of %lu", wanted[i].name, found->difference, (unsigned long)found->differing, (unsigned long)found->values);
    }
    ck_assert_double_eq(relative_l2(&comparison.tensors[1]), 1 / sqrt(30));
    ck_assert_double_eq(relative_l2(&comparison.tensors[3]), 1 / sqrt(30));
    ck_assert_uint_eq(comparison.same, 2);
    ck_assert_uint_eq(comparison.values, 18);
    ck_assert_uint_eq(comparison.differing, 3);
    ck_assert_double_eq(comparison.squares, 2);
    ck_assert_double_eq(comparison.squares_a, 90);
    ken_comparison_free(&comparison);
    close_sides(&sides);
}
END_TEST

/* Rows shorter, as long as, and longer than a piece: the numbers are those of the whole. */
START_TEST(pieces_do_not_show)
{
    static const struct {
        size_t rows, n;
    } shapes[] = {{1, 1}, {70000, 1}, {3, 65535}, {2, 65536}, {2, 65537}, {1, 200003}, {21846, 3}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t count = shapes[s].rows * shapes[s].n;
        double *a = calloc(count, sizeof *a), *b = calloc(count, sizeof *b);
        char shape[32];
        uint64_t differing = 0;
        snprintf(shape, sizeof shape, "[%zu,%zu]", shapes[s].rows, shapes[s].n);
        for (size_t i = 0; i < count; i++) {
            a[i] = 1 + (double)(i % 2); /* sums of whole numbers are exact in any order */
            b[i] = a[i] + (i % 7 == 3 || i + 1 == count);
            differing += a[i] != b[i];
        }
        const struct make_tensor of_a = {"x", "F64", shape, a, count * 8}, of_b = {"x", "F64", shape, b, count * 8};
        struct sides sides;
        open_sides(&sides, &of_a, 1, &of_b, 1);
        struct ken_comparison comparison = compare(&sides);
        ck_assert_uint_eq(comparison.differing, differing);
        ck_assert_double_eq(comparison.squares, (double)differing);
        ck_assert_double_eq(comparison.squares_a, (double)(count - count / 2) + 4 * (double)(count / 2));
        ken_comparison_free(&comparison);
        close_sides(&sides);
        free(a);
        free(b);
    }
}
END_TEST

START_TEST(bits_count_and_what_is_not_finite_is_left_out)
{
    static const float a[8] = {NAN, INFINITY, 0, 3, NAN, 1, 1, 1}, b[8] = {NAN, 1, -0.0F, 4, 2, 1, 1, 1};
    const struct make_tensor of_a = {"x", "F32", "[2,4]", a, 32}, of_b = {"x", "F32", "[2,4]", b, 32};
    struct sides sides;
    open_sides(&sides, &of_a, 1, &of_b, 1);
    struct ken_comparison comparison = compare(&sides);
    ck_assert_uint_eq(comparison.differing, 4); /* of infinity, 0 and -0, 3, the second NaN */
    ck_assert_uint_eq(comparison.non_finite, 3);
    ck_assert_double_eq(comparison.squares, 1);
    ck_assert_double_eq(comparison.squares_a, 12);
    ken_comparison_free(&comparison);
    close_sides(&sides);
    ck_assert_double_eq(ken_relative_l2(0, 0), 0);
    ck_assert(isinf(ken_relative_l2(1, 0)));
}
END_TEST

START_TEST(faults_end_it)
{
    static const float values[4] = {1, 2, 3, 4};
    const struct make_tensor tensor = {"x", "F32", "[4]", values, 16};
    struct made_file file = make_safetensors(NULL, &tensor, 1);
    struct memory_file memory = {NULL, file.bytes, file.length};
    struct memory_opener opener = make_opener(&memory, 1, false);
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_side a, b;
    struct ken_comparison comparison;
    struct ken_error error = {0};
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &opener.opener, NULL, &error), KEN_OK);
    ck_assert_int_eq(ken_side_open(&a, checkpoint, NULL, &error), KEN_OK);
    ck_assert_int_eq(ken_side_open(&b, checkpoint, NULL, &error), KEN_OK);
    for (size_t i = 1; i <= 2; i++) { /* of each side */
        opener.fail_read_at = opener.reads + i;
        ck_assert_int_eq(ken_compare(&comparison, &a, &b, NULL, &error), KEN_EIO);
        ken_comparison_free(&comparison);
    }
    ken_side_close(&a);
    ken_side_close(&b);
    ken_checkpoint_close(&checkpoint);
    free(file.bytes);
}
END_TEST

START_TEST(jaccard_of_nothing_is_1)
{
    ck_assert_double_eq(ken_overlap_jaccard(&(struct ken_overlap_counts){.both = 0}), 1);
    ck_assert_double_eq(ken_overlap_jaccard(&(struct ken_overlap_counts){.both = 1, .only_a = 2, .only_b = 1}), 0.25);
}
END_TEST

UNIT_MAIN("compare", every_result_in_the_order_of_a, pieces_do_not_show, bits_count_and_what_is_not_finite_is_left_out, faults_end_it,
          jaccard_of_nothing_is_1)
