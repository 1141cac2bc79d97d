/* SPDX-License-Identifier: Apache-2.0 */
/* One block: some units of one tensor, from reading to the outputs of every variant. Runs on any thread; touches nothing but itself. */
#ifndef KEN_BLOCK_H
#define KEN_BLOCK_H

#include "elements/elements.h"
#include "pruning/plan.h"

/* What a block adds to one variant. */
struct ken_part {
    unsigned char *dense;   /* [elements] the pruned values; may be the block's own model or base */
    unsigned char *kept;    /* bit e % 8 of byte e / 8 - first_element / 8: element e of the tensor is stored; NULL without a base */
    uint32_t *row_kept;     /* [units] elements stored; NULL without a base */
    double *difference;     /* [units] sum of (pruned - fine-tuned)^2 */
    struct ken_cell *cells; /* [bands, columns]: see heatmap/cells.h; NULL if there is no delta, or nothing is pruned */
    uint64_t selected;      /* columns */
    uint64_t stored;        /* elements that the delta stores */
};

/*
 * A block of a roomy tensor makes the outputs of all variants at once. One of a tight tensor, which is a single row, holds the masks of all
 * variants but room for one output: ken_block_part makes them one after the other while the block is retired. Its base row gives way to
 * the scratch of the selection where the methods allow, and is read again.
 */
struct ken_block {
    const struct ken_plan *plan;
    const struct ken_entry *entry;
    struct ken_range range;
    uint64_t first_element, elements;
    bool (*cancelled)(void *opaque); /* asked between rows: true ends the block with KEN_ECANCELLED. Set before run */
    void *opaque;
    int code; /* how it went */
    struct ken_error error;
    uint64_t unchanged; /* elements whose fine-tuned bits are the base's */
    uint64_t non_finite_rows;

    unsigned char *memory; /* [bytes], all of the below */
    uint64_t bytes;
    unsigned char *model, *base; /* [elements]; base in the model's dtype, NULL if there is none */
    unsigned char *convert;      /* a piece of base in its own dtype, NULL if that is the model's */
    unsigned char *kinds;        /* [units] enum row_kind; pruned tensors only, as all below */
    double *update;              /* [units] sum of (fine-tuned - base)^2 */
    uint64_t *masks;             /* [words], tight: [variants, words] */
    float *x;                    /* [unit] a widened row; NULL if the model's own will do */
    void *scratch;               /* of the selection */
    struct ken_part *parts;      /* [part_count]: one for each variant of a roomy pruned tensor, else one */
    size_t part_count;
};

/* Bytes that a block of so many units takes. */
uint64_t ken_block_bytes(const struct ken_plan *plan, const struct ken_entry *entry, uint64_t units);
/* Makes a block and its memory. NULL if out of memory. */
struct ken_block *ken_block_create(const struct ken_plan *plan, const struct ken_range *range);
void ken_block_destroy(struct ken_block **block);
/* Reads, checks, selects. The bytes must be there. */
void ken_block_run(struct ken_block *block);
/* The outputs of one variant of a block that went well; if the tensor is tight they are made now and hold until the next call. */
struct ken_part *ken_block_part(struct ken_block *block, size_t variant);

#endif
