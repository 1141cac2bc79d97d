/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with every element of a block beside selecting: comparing, merging, gathering, summing. Once for each instruction set, as
 * part of a kernel (selection/kernel.h); the scalar functions are the specification, and all give the same bits.
 */
#ifndef KEN_ELEMENTS_H
#define KEN_ELEMENTS_H

#include "dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEN_GATHER_SLACK = 64, KEN_KEPT_SLACK = 8 };

/*
 * What pictures are made of: sums over a cell of a matrix, of 2^15 elements at most. Terms are rounded to multiples of a unit, and what is
 * larger than the largest counts as that: so sums are exact, and the same in whatever order terms are added.
 */
#define KEN_CELL_UNIT 0x1p-30
#define KEN_CELL_LARGEST 256.0
struct ken_cell {
    uint32_t selected, changed, stored; /* columns chosen; elements whose bits differ from the base's; elements kept, which differ there */
    uint32_t pairs;                     /* of neighbours that are both kept, of which the right or lower one lies here */
    double difference;                  /* sum of |fine-tuned - base| */
    double value, size;                 /* sums of the values kept, and of their magnitudes */
};

/* One row, to be added to its cells. */
struct ken_cell_row {
    enum ken_dtype dtype;                      /* prunable */
    bool finite;                               /* else only counts are added */
    bool has_above;                            /* the row above is there: its bits are in front of the row's */
    size_t n, width;                           /* columns, and those of a cell, 32 or a larger power of two */
    const unsigned char *model, *base, *dense; /* [n] */
    const uint64_t *mask;                      /* [n bits] columns chosen; NULL: all */
    const unsigned char *kept;                 /* bits, those of the row from `first` on; KEN_KEPT_SLACK bytes behind them may be read */
    uint64_t first;
};

/* Sizes are bytes of an element: 1, 2, 4 or 8. Elements may lie at any address. */
struct ken_elements {
    /* How many of a [n] and b [n] differ, bit for bit. */
    uint64_t (*count)(const void *a, const void *b, size_t n, size_t size);
    /* As count; sets bit (first + i) of bits where element i differs, and leaves all others. */
    uint64_t (*mark)(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first);
    /* out [n] receives a's element where its bit of mask is set, else b's; size 2, 4 or 8. */
    void (*merge)(const void *a, const void *b, const uint64_t *mask, void *out, size_t n, size_t size);
    /*
     * Appends to out those of values [n] whose bit (first + i) of bits is set, and returns how many. KEN_GATHER_SLACK bytes behind them may
     * be written.
     */
    size_t (*gather)(const void *values, const unsigned char *bits, uint64_t first, size_t n, size_t size, void *out);
    /* Whether any value of a prunable dtype is NaN or infinite. */
    bool (*any_non_finite)(enum ken_dtype dtype, const void *values, size_t n);
    /* Sum of (a - b)^2 of n values of a prunable dtype in float64: term i goes to lane i % 8, at the end neighbours are added pairwise. */
    double (*squares)(enum ken_dtype dtype, const void *a, const void *b, size_t n);
    /* Adds a row to its cells [ceil(n / width)]. */
    void (*cells)(const struct ken_cell_row *row, struct ken_cell *cells);
};

extern const struct ken_elements ken_elements_scalar;
#if defined(__x86_64__)
extern const struct ken_elements ken_elements_avx2, ken_elements_avx512;
#endif

#endif
