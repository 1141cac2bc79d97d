/* SPDX-License-Identifier: Apache-2.0 */
/* All matrices of one role as small pictures in one, in the same colours, each with what pruning did to it. */
#ifndef KEN_HEATMAP_LAYERS_H
#define KEN_HEATMAP_LAYERS_H

#include "heatmap/agreement.h"
#include "heatmap/heatmap.h"

/* One of them, as the report tells of it. */
struct ken_layer {
    const char *tensor;
    double kept_fraction, relative_l2;
};

struct ken_layers {
    const char *role;               /* what they have in common, for people */
    const struct ken_layer *layers; /* [count], one at least */
    size_t count;
    enum ken_view view;
    unsigned width; /* pixels, KEN_LAYERS_LEAST to KEN_PICTURE_MOST; 0: 1024. What is not needed is left out */
    double end;     /* as of struct ken_heatmap */
    struct ken_interrupt interrupt;
};
enum { KEN_LAYERS_LEAST = 128 };

/* Draws, as ken_heatmap_draw does of one; KEN_EINVALID also where there are too many for a picture of that width. */
int ken_layers_draw(struct ken_picture *picture, const struct ken_layers *layers, int cells, uint64_t cells_bytes, int delta,
                    uint64_t delta_bytes, struct ken_error *error);

/* Memory that the picture takes at most. */
size_t ken_layers_most_bytes(const struct ken_layers *layers);

#endif
