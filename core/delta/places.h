/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which elements of a tensor a delta stores, and with what values, in pieces: of either encoding, and without the base where it tells both
 * without it.
 */
#ifndef KEN_PLACES_H
#define KEN_PLACES_H

#include "delta/delta.h"

#include <stddef.h>
#include <stdint.h>

struct ken_places;

/* The places' own, until the next piece. */
struct ken_places_piece {
    uint64_t first;              /* its first element */
    size_t count, stored;        /* its elements, and how many of them are stored */
    const unsigned char *mask;   /* [ceil(count / 8)], ones: stored; zeros behind the last element */
    const unsigned char *values; /* [stored]; NULL: only the base tells, which was not given */
    const unsigned char *block;  /* encoding packed: what values are coded in [block_length] */
    size_t block_length;
};

/* Whether values of the delta are told only by its base: those of a `mask` in encoding packed are differences. */
bool ken_delta_needs_base(const struct ken_delta *delta);
/* Made once for all tensors. base: NULL, or what values are made with, and is checked to be the right one. KEN_ENOMEM. */
int ken_places_create(struct ken_places **places, const struct ken_delta *delta, const struct ken_checkpoint *base,
                      struct ken_error *error);
void ken_places_free(struct ken_places **places);
/* Begins a tensor. KEN_EMISMATCH if the base has no such one. */
int ken_places_begin(struct ken_places *places, size_t tensor, struct ken_error *error);
/*
 * The next piece, all of whose elements but those of the last are as many as a block of encoding packed has; where elements have not whole
 * bytes, every byte counts as one. count is 0 behind the last one, and then the delta's own numbers and the base's digest hold.
 */
int ken_places_next(struct ken_places *places, struct ken_places_piece *piece, struct ken_error *error);

#endif
