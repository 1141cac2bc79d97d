/* SPDX-License-Identifier: Apache-2.0 */
/* One side of a comparison: the tensors of a checkpoint, or of the model that a delta and its base make. */
#ifndef KEN_SIDE_H
#define KEN_SIDE_H

#include "checkpoint/checkpoint.h"
#include "delta/delta.h"

#include <stddef.h>
#include <stdint.h>

struct ken_side_tensor {
    const char *name;
    enum ken_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    uint64_t rows, n; /* as KEN.md has them */
    uint64_t length;  /* bytes */
    size_t index;     /* in the checkpoint or the delta */
};

/* A name, for looking up. */
struct ken_side_name {
    const char *name;
    size_t index; /* in the side's tensors */
};

/* Zeroed: none. */
struct ken_side {
    struct ken_side_tensor
        *tensors; /* [count] in order; of a checkpoint, other names of tied tensors at the end, as tensors of their own */
    size_t count;
    struct ken_side_name *by_name;           /* [count], sorted by name */
    const struct ken_checkpoint *checkpoint; /* or the base of the delta */
    const struct ken_delta *delta;           /* or NULL */
    struct ken_delta_stream *stream;         /* with a delta */
    const struct ken_side_tensor *tensor;    /* the one that is read */
    uint64_t done;                           /* bytes of it that were read */
    const unsigned char *rest;               /* [rest_length] of the stream's last piece that were not taken yet */
    size_t rest_length;
};

/* delta NULL: the checkpoint's own tensors; both are borrowed. KEN_ENOMEM. Close also after a failure. */
int ken_side_open(struct ken_side *side, const struct ken_checkpoint *checkpoint, const struct ken_delta *delta, struct ken_error *error);
void ken_side_close(struct ken_side *side);
/* The tensor of that name, or NULL. */
const struct ken_side_tensor *ken_side_find(const struct ken_side *side, const char *name);
/* Begins to read a tensor of the side. */
int ken_side_begin(struct ken_side *side, const struct ken_side_tensor *tensor, struct ken_error *error);
/* The next `length` bytes of it, which must be there. Of a delta's model, they hold once ken_side_end has looked at the rest. */
int ken_side_read(struct ken_side *side, void *bytes, size_t length, struct ken_error *error);
/* All bytes were read: is the delta's base the right one? */
int ken_side_end(struct ken_side *side, struct ken_error *error);
/* Whether the files are still the ones that were opened. */
int ken_side_check(const struct ken_side *side, struct ken_error *error);

#endif
