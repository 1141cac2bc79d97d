/* SPDX-License-Identifier: Apache-2.0 */
/* Two sides, tensor by tensor: which differ, in how many values, and by how much. */
#ifndef KEN_COMPARE_H
#define KEN_COMPARE_H

#include "compare/difference.h"
#include "compare/side.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ken_compared_tensor {
    const char *name;                    /* borrowed from the side */
    const struct ken_side_tensor *a, *b; /* NULL: not there */
    enum ken_difference difference;
    bool counted;        /* values were compared: the shapes are the same, and the dtypes are, or both are floating */
    uint64_t values;     /* of the tensor; bytes where elements have not whole ones */
    uint64_t differing;  /* values whose bits differ; of two dtypes, the bits of both values widened exactly to the wider of F32 and both */
    uint64_t non_finite; /* floating: NaN or infinite on either side, which the sums leave out */
    bool measured;       /* counted, and floating */
    double squares;      /* sum of (b - a)^2 */
    double squares_a;    /* sum of a^2 */
};

struct ken_comparison {
    struct ken_compared_tensor *tensors; /* [count]: those of A in their order, then those that only B has */
    size_t count, same, measured;
    uint64_t values, differing, non_finite; /* sums over those that were counted */
    double squares, squares_a;
};

/*
 * Compares, in bounded memory, reading both sides once; *comparison is to be freed also after a failure. Sums are of float64: over the
 * elements of a row, of at most KEN_COMPARE_PIECE of them at a time, as ken_elements.squares adds them, then row by row, tensor by tensor.
 */
int ken_compare(struct ken_comparison *comparison, struct ken_side *a, struct ken_side *b, const struct ken_inject_options *options,
                struct ken_error *error);
void ken_comparison_free(struct ken_comparison *comparison);
/* ||b - a|| / ||a||: 0 if nothing differs, infinite if a is 0 and b is not. */
double ken_relative_l2(double squares, double squares_a);

enum { KEN_COMPARE_PIECE = 1 << 16 };

#endif
