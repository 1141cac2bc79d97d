/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/shape.h"

#include <string.h>

int ken_shape_read(struct ken_json_reader *json, struct ken_arena *arena, const uint64_t **shape, uint32_t *rank, const char **reason,
                   struct ken_error *error)
{
    uint64_t read[KEN_RANK_MAX];
    *reason = NULL;
    *rank = 0;
    int code = ken_json_expect(json, KEN_JSON_ARRAY, "shape to be an array", error);
    while (!code && !(code = ken_json_next(json, error)) && json->token != KEN_JSON_ARRAY_END) {
        if (*rank == KEN_RANK_MAX)
            *reason = "more than 32 dimensions"; /* KEN_RANK_MAX */
        else if (!ken_json_uint64(json, &read[(*rank)++]))
            *reason = "a dimension of its shape is no integer from 0 to 2^64-1";
        if (*reason) return json->code;
    }
    if (code) return code;
    uint64_t *copy = ken_arena_allocate(arena, *rank * sizeof *copy);
    if (!copy) return ken_fail_no_memory(error, json->subject);
    if (*rank) memcpy(copy, read, *rank * sizeof *copy);
    *shape = copy;
    return KEN_OK;
}

bool ken_shape_is(const uint64_t *shape, uint32_t rank, const uint64_t *other, uint32_t other_rank)
{
    return rank == other_rank && (!rank || memcmp(shape, other, rank * sizeof *shape) == 0);
}

const char *ken_shape_measure(const uint64_t *shape, uint32_t rank, enum ken_dtype dtype, struct ken_extent *extent)
{
    uint64_t bits;
    bool overflow = false;
    *extent = (struct ken_extent){.rows = rank > 1 ? shape[0] : 1, .n = 1};
    for (uint32_t i = rank; i-- > (rank > 1);) overflow |= __builtin_mul_overflow(extent->n, shape[i], &extent->n);
    overflow |= __builtin_mul_overflow(extent->rows, extent->n, &extent->elements);
    overflow |= __builtin_mul_overflow(extent->elements, ken_dtype_bits(dtype), &bits);
    if (overflow) return "the product of its shape is too large";
    if (bits % 8) return "its elements do not fill whole bytes";
    extent->bytes = bits / 8;
    return NULL;
}
