/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of tensors: read, compared, measured. */
#ifndef KEN_SHAPE_H
#define KEN_SHAPE_H

#include "arena.h"
#include "dtype.h"
#include "json_reader.h"

#include <stdbool.h>
#include <stdint.h>

enum { KEN_RANK_MAX = 32 };

/*
 * Reads the value that comes next, which must be an array of dimensions, into *shape [*rank], the arena's. Where it is JSON but no shape,
 * the reader's code is returned and *reason says why ("more than 32 dimensions"): the caller knows of which tensor. All other errors are in
 * *error, with *reason NULL.
 */
int ken_shape_read(struct ken_json_reader *json, struct ken_arena *arena, const uint64_t **shape, uint32_t *rank, const char **reason,
                   struct ken_error *error);
bool ken_shape_is(const uint64_t *shape, uint32_t rank, const uint64_t *other, uint32_t other_rank);

/* How much is in a tensor. */
struct ken_extent {
    uint64_t rows, n; /* as KEN.md has them */
    uint64_t elements, bytes;
};
/* NULL, or why there is no tensor of that shape and dtype: it has too many elements, or they do not fill whole bytes. */
const char *ken_shape_measure(const uint64_t *shape, uint32_t rank, enum ken_dtype dtype, struct ken_extent *extent);

#endif
