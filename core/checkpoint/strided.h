/* SPDX-License-Identifier: Apache-2.0 */
/* Elements that do not lie one behind the other, as those of a transposed matrix: gathered in the order of their indexes, row-major. */
#ifndef KEN_STRIDED_H
#define KEN_STRIDED_H

#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Dimensions of size 1 are left out, and those that lie as one are one. */
struct ken_strided {
    uint64_t begin;   /* first byte of the first element in the file */
    uint64_t span;    /* bytes from there to the end of the last one; 0 if there are no elements */
    uint32_t element; /* bytes: 1 to 8 */
    uint32_t rank;
    uint64_t *shape, *strides; /* [rank], the caller's memory; strides in elements */
};

/*
 * Sets up *strided for elements of `element` bytes from byte `begin` on. shape and strides [rank] are copied to room [2 * rank], which the
 * caller keeps. Returns false if the span does not fit into 64 bits.
 */
bool ken_strided_init(struct ken_strided *strided, uint64_t begin, uint32_t element, const uint64_t *shape, const uint64_t *strides,
                      uint32_t rank, uint64_t *room);
/* Whether the elements lie one behind the other in their order. */
bool ken_strided_is_plain(const struct ken_strided *strided);
/*
 * Reads elements [first, first + count) in row-major order to out [count * element], holding no more than a piece of 64 KiB besides. All of
 * the span must be within the source and have been waited for.
 */
int ken_strided_read(const struct ken_strided *strided, struct ken_source *source, uint64_t first, uint64_t count, unsigned char *out,
                     struct ken_error *error);

#endif
