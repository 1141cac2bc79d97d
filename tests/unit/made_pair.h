/* SPDX-License-Identifier: Apache-2.0 */
/* A small pair of sharded checkpoints with every kind of tensor, and a naive pruning of it by magnitude to compare with. */
#ifndef KEN_TESTS_MADE_PAIR_H
#define KEN_TESTS_MADE_PAIR_H

#include "dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * name, dtype, shape, rows, n, dtype in the base, shard of the model, shard of the base. Every seventh column and every fifth row is
 * unchanged, and of tensors whose name begins with "same" all is. "other.shape" has another one in the base.
 */
#define MADE_PAIR_MAP(X)                             \
    X("w.f32", F32, "[37,40]", 37, 40, F32, 0, 1)    \
    X("w.f16", F16, "[20,6,10]", 20, 60, F16, 1, 0)  \
    X("w.bf16", BF16, "[9,130]", 9, 130, BF16, 1, 1) \
    X("w.f64", F64, "[5,33]", 5, 33, F64, 0, 0)      \
    X("from.f16", F32, "[11,24]", 11, 24, F16, 0, 1) \
    X("to.bf16", BF16, "[12,50]", 12, 50, F32, 1, 0) \
    X("same.f32", F32, "[4,30]", 4, 30, F32, 0, 0)   \
    X("bias", F32, "[70]", 1, 70, F32, 1, 1)         \
    X("short", F32, "[6,3]", 6, 3, F32, 0, 1)        \
    X("scalar", F32, "[]", 1, 1, F32, 1, 0)          \
    X("empty", F32, "[0,8]", 0, 8, F32, 0, 0)        \
    X("hollow", F32, "[3,0]", 3, 0, F32, 1, 1)       \
    X("ids", I64, "[13]", 1, 13, I64, 1, 1)          \
    X("same.ids", I32, "[2,9]", 2, 9, I32, 0, 1)     \
    X("flags", BOOL, "[21]", 1, 21, BOOL, 0, 0)      \
    X("packed", F4, "[5,6]", 5, 6, F4, 0, 0)         \
    X("same.packed", F4, "[8]", 1, 8, F4, 1, 1)      \
    X("narrowed", I32, "[5]", 1, 5, I64, 0, 0)       \
    X("other.shape", F32, "[2,12]", 2, 12, F32, 1, 1)

#define X(name, dtype, shape, rows, n, base, model_shard, base_shard) +1
enum { MADE_TENSORS = MADE_PAIR_MAP(X) + 1 }; /* and "head", which the base lacks */
#undef X

struct made_tensor {
    const char *name, *shape;
    enum ken_dtype dtype, base_dtype;
    uint64_t rows, n;
    unsigned model_shard, base_shard;
    bool has_base;               /* one that can serve */
    unsigned char *model, *base; /* base: as in its file */
    size_t model_length, base_length;
};

struct made_pair {
    struct made_tensor tensors[MADE_TENSORS];
    char model[128], base[128]; /* folders */
};

/* Writes both checkpoints below the folder; the base also has "gone" which the model lacks. */
void made_pair_write(struct made_pair *pair, const char *folder);
void made_pair_free(struct made_pair *pair);
/* Elements whose bits differ. */
uint64_t made_difference(const unsigned char *a, const unsigned char *b, uint64_t elements, size_t size);

/* What pruning one tensor by magnitude, k per row, must give. */
struct naive {
    unsigned char *pruned; /* [model_length], to be freed */
    uint64_t selected, unchanged, kept, reset;
    double relative_l2;
};
struct naive naive_magnitude(const struct made_tensor *tensor, uint64_t k);

#endif
