/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of a pruned tensor: what the base had, what fine-tuning made of it, what pruning left. */
#ifndef KEN_INSPECT_VALUES_H
#define KEN_INSPECT_VALUES_H

#include "inspect/pair.h"

enum { KEN_VALUES_MOST = 4096 };

struct ken_values {
    enum ken_dtype dtype, base_dtype;
    uint64_t x, y, w, h;  /* first column and row, columns and rows */
    double *base, *model; /* [h, w] as they are in their files */
    double *pruned;       /* [h, w] */
    unsigned char *kept;  /* [h, w] 1: the delta stores it */
};

/*
 * Reads the values of a region of a tensor, of which the pair has a plan. w, h: at least 1. *values is the caller's, to be freed in any
 * case. KEN_EINVALID: a region that cannot be, which the message begins with in quotes. Else as ken_pair_find, and KEN_EDIGEST: the delta
 * was made from another base.
 */
int ken_values_read(struct ken_values *values, const struct ken_pair *pair, const char *tensor, uint64_t x, uint64_t y, uint64_t w,
                    uint64_t h, struct ken_error *error);
void ken_values_free(struct ken_values *values);
/* Bytes of memory that reading takes at most, and what is made of it as JSON. */
enum { KEN_VALUES_BYTES = 8 << 20 };

#endif
