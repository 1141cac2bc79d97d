/* SPDX-License-Identifier: Apache-2.0 */
/* The pruned tensors of a job as its rows tell of them, by role. */
#ifndef KEND_HTTP_JOB_LAYERS_H
#define KEND_HTTP_JOB_LAYERS_H

#include "arena.h"
#include "artifacts/artifacts.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fields as in the report; the layers' own. */
struct kend_layer {
    const char *name;
    uint64_t *shape;    /* [rank] */
    size_t rank, place; /* place: among the rows */
    uint64_t kept, reset, unchanged;
    double relative_l2;
};

/* Zeroed: none. */
struct kend_layers {
    struct kend_layer *item; /* [count], by role and number */
    size_t count, capacity;
    struct ken_arena arena;
};

struct kend_layers_source {
    struct kend_artifacts *artifacts;
    const char *job, *variant; /* variant "" of a job that has none */
    bool (*cancelled)(void *opaque);
    void *opaque;
};

/* Bytes that reading them takes at most; errors as of kend_layers_read. */
int kend_layers_bytes(const struct kend_layers_source *source, uint64_t *bytes, struct ken_error *error);
/* Reads them all. To be freed also after a failure. KEN_ENOT_FOUND: there are no rows; KEN_ECANCELLED, KEN_ENOMEM, KEN_EIO, KEN_EINTERNAL.
 */
int kend_layers_read(struct kend_layers *layers, const struct kend_layers_source *source, struct ken_error *error);
void kend_layers_free(struct kend_layers *layers);
/* Parameters of a layer, and the share of them that the delta stores. */
uint64_t kend_layer_elements(const struct kend_layer *layer);
double kend_layer_kept_fraction(const struct kend_layer *layer);
/* How many layers from `first` on have its role. */
size_t kend_layers_of_role(const struct kend_layers *layers, size_t first);
/* The layer of that name, or NULL. */
const struct kend_layer *kend_layers_find(const struct kend_layers *layers, const char *name);

#endif
