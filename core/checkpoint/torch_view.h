/* SPDX-License-Identifier: Apache-2.0 */
/* A torch file seen as a safetensors file: a header, and behind it the bytes of the tensors, each row-major, one behind the other. */
#ifndef KEN_TORCH_VIEW_H
#define KEN_TORCH_VIEW_H

#include "arena.h"
#include "checkpoint/strided.h"
#include "source.h"

#include <stddef.h>
#include <stdint.h>

struct ken_torch_part {
    struct ken_strided elements;
    uint64_t offset, length; /* of the tensor in the view */
};

/*
 * Makes *view over `file`, which it owns from then on (on failure it stays the caller's): header [header_length], to be freed by the view,
 * then parts [count], without gaps, in ascending offset; those without bytes may be left out. arena holds the parts' memory and is moved
 * into the view, too. Digest and state are those of the file. KEN_ENOMEM.
 */
int ken_torch_view_create(struct ken_source **view, struct ken_source *file, char *header, size_t header_length,
                          struct ken_torch_part *parts, size_t count, struct ken_arena *arena, struct ken_error *error);

#endif
