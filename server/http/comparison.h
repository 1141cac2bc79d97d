/* SPDX-License-Identifier: Apache-2.0 */
/* Two pruned models of jobs, tensor by tensor: where their masks agree and differ. Made from deltas and cells alone. */
#ifndef KEND_HTTP_COMPARISON_H
#define KEND_HTTP_COMPARISON_H

#include "arena.h"
#include "artifacts/artifacts.h"
#include "heatmap/agreement.h"
#include "id.h"
#include "options.h"

#include <stddef.h>

/* Why a tensor is left out: symbol, word */
#define KEND_SKIPPED_MAP(X)                \
    X(KEND_SKIPPED_SHAPE, "shape")         \
    X(KEND_SKIPPED_BASE, "base")           \
    X(KEND_SKIPPED_ONLY_HERE, "only_here") \
    X(KEND_SKIPPED_ONLY_THERE, "only_there")
#define X(symbol, word) symbol,
enum kend_skipped { KEND_SKIPPED_MAP(X) KEND_SKIPPED_COUNT };
#undef X
const char *kend_skipped_word(enum kend_skipped reason);

/* A tensor that both pruned, of the same shape and from the same base. */
struct kend_compared {
    const char *name;
    const uint64_t *shape; /* [rank] */
    size_t rank;
    struct ken_agreement agreement;
    double relative_l2_here, relative_l2_there;
};

struct kend_left_out {
    const char *name;
    enum kend_skipped reason;
};

struct kend_comparison {
    struct kend_compared *compared; /* [count], in the order of the report */
    size_t count;
    struct kend_left_out *skipped; /* [skipped_count] */
    size_t skipped_count;
    struct ken_agreement totals;
    struct ken_arena arena; /* of all these */
};

/* One pruned model; variant "" of a job that has none. */
struct kend_compared_model {
    char job[PROTO_ID_SIZE], variant[KEN_MAX_VARIANT_NAME + 1];
};

struct kend_comparing {
    struct kend_artifacts *artifacts;
    struct kend_compared_model here, there;
    struct ken_interrupt interrupt;
};

/* Bytes that comparing takes at most, beside the comparison. Errors as of kend_comparison_make. */
int kend_comparison_bytes(const struct kend_comparing *comparing, uint64_t *bytes, struct ken_error *error);
/* Compares. To be freed also after a failure. KEN_ENOT_FOUND: one of them has no delta, no cells or no rows. */
int kend_comparison_make(struct kend_comparison *comparison, const struct kend_comparing *comparing, struct ken_error *error);
void kend_comparison_free(struct kend_comparison *comparison);

#endif
