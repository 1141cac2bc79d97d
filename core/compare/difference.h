/* SPDX-License-Identifier: Apache-2.0 */
/* What may be found of a tensor that two sides, or two deltas, have or have not. */
#ifndef KEN_DIFFERENCE_H
#define KEN_DIFFERENCE_H

/* symbol, the word in JSON, the words for people. Of those that hold, the last one in the order of the list is told. */
#define KEN_DIFFERENCE_MAP(X)                                                                       \
    X(SAME, "same", "same")                                                                         \
    X(UNKNOWN, "unknown", "values unknown") /* deltas: the same positions, but only a base tells */ \
    X(VALUES, "values", "differs")          /* deltas: positions or values */                       \
    X(BASE, "base", "other base")           /* deltas: made from different base tensors */          \
    X(DTYPE, "dtype", "other dtype")                                                                \
    X(SHAPE, "shape", "other shape")                                                                \
    X(ONLY_A, "only_a", "only in A")                                                                \
    X(ONLY_B, "only_b", "only in B")

#define X(symbol, word, text) KEN_DIFFERENCE_##symbol,
enum ken_difference { KEN_DIFFERENCE_MAP(X) KEN_DIFFERENCE_COUNT };
#undef X

#endif
