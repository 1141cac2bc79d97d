/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a row that are not yet taken, and the nearest of them to a number: KEN.md, "Selection of one row", step 4. */
#ifndef KEN_UNTAKEN_H
#define KEN_UNTAKEN_H

#include "selection/freeset.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where to go on looking for the lowest free column of a run of values. */
struct ken_untaken_cursor {
    float low, high; /* the run has values from low to high */
    size_t column;   /* no free column of the run is below */
    size_t edge;     /* the position at its far end */
};

struct ken_untaken {
    const float *x;          /* [n] the row */
    const uint64_t *mask;    /* [n] the columns that are taken */
    const uint64_t *entries; /* [n] ken_entry(ken_float_key(x[i]), i), sorted */
    size_t n;
    struct ken_freeset free; /* positions in entries */
    uint32_t *lowest;        /* lowest free column of every 16 positions and of every two nodes below; made when first needed */
    size_t leaves;           /* a power of two; lowest[leaves + b] is that of positions 16 b to 16 b + 15 */
    uint32_t *position;      /* [n] of every column in entries; made when first needed */
    bool has_lowest, has_position;
    struct ken_untaken_cursor left, right; /* of the last runs on either side */
};

/*
 * Whether no value farther from a number than this one can be at the same distance in float32: the distance is so small beside the value
 * that even the next value differs from it by two units in the last place of the distance, or more.
 */
static inline bool ken_is_telling(float distance, float value)
{
    return 4 * distance <= fabsf(value);
}

/* Bytes of scratch for n values; a multiple of 8. */
size_t ken_untaken_scratch(size_t n);
/*
 * Nothing is taken yet. All are borrowed: x [n], its sorted entries [n], which need not be there before something is taken, the mask [n],
 * all clear, into which the caller puts what was taken, and scratch (aligned to 8).
 */
void ken_untaken_init(struct ken_untaken *untaken, const float *x, const uint64_t *entries, size_t n, const uint64_t *mask, void *scratch);
/*
 * Takes the nearest free value to g, by distance |x - g| in float32; a tie goes to the lowest column. Returns that column. There must be
 * a free value. `start` is the position of the first value >= g, or n. O(log n).
 */
uint32_t ken_untaken_take(struct ken_untaken *untaken, float g, size_t start);

/* After the value at a position was taken: keeps the lowest free columns right. */
void ken_untaken_lower(struct ken_untaken *untaken, size_t position);
/* Takes the free value at a position; returns its column. */
static inline uint32_t ken_untaken_take_at(struct ken_untaken *untaken, size_t position)
{
    ken_freeset_remove(&untaken->free, position);
    if (untaken->has_lowest) ken_untaken_lower(untaken, position);
    return (uint32_t)untaken->entries[position];
}

#endif
