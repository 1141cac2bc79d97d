/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "checkpoint/shape.h"
#include "delta/delta_internal.h"
#include "selection/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 8, PIECE_BYTES = KEN_COMPARE_PIECE * WIDEST };

struct work {
    struct ken_side *a, *b;
    const struct ken_inject_options *options; /* or NULL */
    uint64_t done, total;                     /* bytes of both sides */
    unsigned char *piece_a, *piece_b;         /* [PIECE_BYTES] as they are in the files */
    unsigned char *wide_a, *wide_b;           /* [PIECE_BYTES] in a dtype that holds both */
    unsigned char *zeros;                     /* [PIECE_BYTES] */
    struct ken_error *error;
};

double ken_relative_l2(double squares, double squares_a)
{
    if (squares == 0) return 0;
    return squares_a > 0 ? sqrt(squares) / sqrt(squares_a) : (double)INFINITY;
}

/* ---- one piece */

/* The dtype in which elements of both can be compared; false if there is none. */
static bool common_dtype(enum ken_dtype a, enum ken_dtype b, enum ken_dtype *common)
{
    *common = a;
    if (a == b) return true;
    *common = a == KEN_F64 || b == KEN_F64 ? KEN_F64 : KEN_F32;
    return ken_dtype_is_prunable(a) && ken_dtype_is_prunable(b);
}

static unsigned char *widen(enum ken_dtype from, unsigned char *values, enum ken_dtype to, unsigned char *wide, size_t count)
{
    if (from == to) return values;
    if (to == KEN_F32)
        ken_kernel_widen(from, values, (float *)(void *)wide, count);
    else
        ken_convert(from, values, to, wide, count);
    return wide;
}

/* Makes zeros of what is not finite on either side, on both; how many there were. */
static uint64_t drop_non_finite(enum ken_dtype dtype, unsigned char *a, unsigned char *b, size_t count)
{
    size_t size = ken_dtype_size(dtype);
    uint64_t dropped = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(ken_load(dtype, a, i)) && isfinite(ken_load(dtype, b, i))) continue;
        memset(a + i * size, 0, size);
        memset(b + i * size, 0, size);
        dropped++;
    }
    return dropped;
}

/* Adds what a piece of rows of n elements, or of a part of a row, makes; both values may be changed. */
static void add_piece(const struct work *work, struct ken_compared_tensor *tensor, enum ken_dtype dtype, unsigned char *a, unsigned char *b,
                      size_t count, size_t n)
{
    const struct ken_elements *elements = ken_kernel()->elements;
    size_t size = ken_dtype_size(dtype) ? ken_dtype_size(dtype) : 1;
    bool same = memcmp(a, b, count * size) == 0;
    if (!same) tensor->differing += elements->count(a, b, count, size);
    if (!tensor->measured) return;
    if (elements->any_non_finite(dtype, a, count) || (!same && elements->any_non_finite(dtype, b, count)))
        tensor->non_finite += drop_non_finite(dtype, a, b, count);
    for (size_t i = 0; i < count; i += n) {
        tensor->squares_a += elements->squares(dtype, a + i * size, work->zeros, n);
        if (!same) tensor->squares += elements->squares(dtype, a + i * size, b + i * size, n);
    }
}

/* ---- one tensor */

/* Elements of the next piece: whole rows, or a part of one. */
static size_t next_count(uint64_t n, uint64_t done, uint64_t left)
{
    uint64_t most = n <= KEN_COMPARE_PIECE ? KEN_COMPARE_PIECE / n * n : n - done % n;
    if (most > KEN_COMPARE_PIECE) most = KEN_COMPARE_PIECE;
    return (size_t)(most < left ? most : left);
}

static int compare_values(struct work *work, struct ken_compared_tensor *tensor, enum ken_dtype common)
{
    enum ken_dtype dtype_a = tensor->a->dtype, dtype_b = tensor->b->dtype;
    size_t size_a = ken_dtype_size(dtype_a), size_b = ken_dtype_size(dtype_b);
    uint64_t n = tensor->measured ? tensor->a->n : tensor->values;
    if (!size_a) size_a = size_b = 1;
    int code = ken_side_begin(work->a, tensor->a, work->error);
    if (!code) code = ken_side_begin(work->b, tensor->b, work->error);
    for (uint64_t done = 0; done < tensor->values && !code;) {
        size_t count = next_count(n, done, tensor->values - done);
        code = ken_side_read(work->a, work->piece_a, count * size_a, work->error);
        if (!code) code = ken_side_read(work->b, work->piece_b, count * size_b, work->error);
        if (code) return code;
        unsigned char *a = widen(dtype_a, work->piece_a, common, work->wide_a, count);
        unsigned char *b = widen(dtype_b, work->piece_b, common, work->wide_b, count);
        add_piece(work, tensor, common, a, b, count, n < count ? (size_t)n : count);
        done += count;
        work->done += count * (uint64_t)(size_a + size_b);
        code = ken_delta_go_on(work->options, work->done, work->total, work->error);
    }
    if (!code) code = ken_side_end(work->a, work->error);
    return code ? code : ken_side_end(work->b, work->error);
}

static int compare_tensor(struct work *work, struct ken_compared_tensor *tensor)
{
    const struct ken_side_tensor *a = tensor->a, *b = tensor->b;
    enum ken_dtype common;
    int code = KEN_OK;
    if (!a || !b) {
        tensor->difference = a ? KEN_DIFFERENCE_ONLY_A : KEN_DIFFERENCE_ONLY_B;
        return KEN_OK;
    }
    if (!ken_shape_is(a->shape, a->rank, b->shape, b->rank)) {
        tensor->difference = KEN_DIFFERENCE_SHAPE;
        return KEN_OK;
    }
    tensor->counted = common_dtype(a->dtype, b->dtype, &common);
    tensor->measured = tensor->counted && ken_dtype_is_prunable(common);
    tensor->values = ken_dtype_size(a->dtype) ? a->rows * a->n : a->length;
    if (tensor->counted) code = compare_values(work, tensor, common);
    tensor->difference = a->dtype != b->dtype ? KEN_DIFFERENCE_DTYPE : tensor->differing ? KEN_DIFFERENCE_VALUES : KEN_DIFFERENCE_SAME;
    return code;
}

/* ---- both sides */

static bool prepare(struct work *work, struct ken_comparison *comparison)
{
    comparison->tensors = calloc(work->a->count + work->b->count + 1, sizeof *comparison->tensors);
    work->piece_a = malloc(PIECE_BYTES);
    work->piece_b = malloc(PIECE_BYTES);
    work->wide_a = malloc(PIECE_BYTES);
    work->wide_b = malloc(PIECE_BYTES);
    work->zeros = calloc(1, PIECE_BYTES);
    return comparison->tensors && work->piece_a && work->piece_b && work->wide_a && work->wide_b && work->zeros;
}

static void list(struct work *work, struct ken_comparison *comparison)
{
    const struct ken_side *a = work->a, *b = work->b;
    for (size_t i = 0; i < a->count; i++) {
        const struct ken_side_tensor *other = ken_side_find(b, a->tensors[i].name);
        comparison->tensors[comparison->count++] =
            (struct ken_compared_tensor){.name = a->tensors[i].name, .a = &a->tensors[i], .b = other};
        if (other) work->total += a->tensors[i].length + other->length;
    }
    for (size_t i = 0; i < b->count; i++)
        if (!ken_side_find(a, b->tensors[i].name))
            comparison->tensors[comparison->count++] = (struct ken_compared_tensor){.name = b->tensors[i].name, .b = &b->tensors[i]};
}

static void add(struct ken_comparison *comparison, const struct ken_compared_tensor *tensor)
{
    comparison->same += tensor->difference == KEN_DIFFERENCE_SAME;
    if (!tensor->counted) return;
    comparison->measured += tensor->measured;
    comparison->values += tensor->values;
    comparison->differing += tensor->differing;
    comparison->non_finite += tensor->non_finite;
    comparison->squares += tensor->squares;
    comparison->squares_a += tensor->squares_a;
}

int ken_compare(struct ken_comparison *comparison, struct ken_side *a, struct ken_side *b, const struct ken_inject_options *options,
                struct ken_error *error)
{
    struct work work = {.a = a, .b = b, .options = options, .error = error};
    *comparison = (struct ken_comparison){0};
    int code = prepare(&work, comparison) ? KEN_OK : ken_fail_no_memory(error, "a comparison");
    if (!code) list(&work, comparison);
    for (size_t i = 0; i < comparison->count && !code; i++) {
        code = compare_tensor(&work, &comparison->tensors[i]);
        if (!code) add(comparison, &comparison->tensors[i]);
    }
    if (!code) code = ken_side_check(a, error);
    if (!code) code = ken_side_check(b, error);
    free(work.zeros);
    free(work.wide_b);
    free(work.wide_a);
    free(work.piece_b);
    free(work.piece_a);
    return code;
}

void ken_comparison_free(struct ken_comparison *comparison)
{
    free(comparison->tensors);
    *comparison = (struct ken_comparison){0};
}
