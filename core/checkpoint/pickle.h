/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pickle of a PyTorch state dict says, without executing any of it: an interpreter for the opcodes that torch.save writes (Python's
 * protocols 2 to 5) and for the few globals that a state dict needs. Nothing is imported or called; all else is refused by name.
 */
#ifndef KEN_PICKLE_H
#define KEN_PICKLE_H

#include "arena.h"
#include "dtype.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What tensors lie in: an entry of the archive. */
struct ken_pickle_storage {
    const char *key; /* [key_length] the last part of the entry's name: bytes of the pickle, not NUL-terminated */
    size_t key_length;
    bool typed;           /* it has a dtype; else whoever uses it has one */
    enum ken_dtype dtype; /* where typed */
    uint64_t bytes;
};

struct ken_pickle_tensor {
    const struct ken_pickle_storage *storage;
    enum ken_dtype dtype;
    uint64_t offset; /* elements before its first one in the storage */
    uint32_t rank;
    const uint64_t *shape, *strides; /* [rank] strides in elements; neither shape nor places were held against the storage */
};

/* One entry of the state dict. */
struct ken_pickle_item {
    const char *name; /* [name_length] valid UTF-8, not NUL-terminated; bytes of the pickle */
    size_t name_length;
    const struct ken_pickle_tensor *tensor;
};

struct ken_pickle {
    struct ken_pickle_item *items; /* [count] in the dict's order; a name may be there twice */
    size_t count;
    struct ken_arena arena; /* tensors, storages, shapes */
};

/*
 * Interprets bytes [length], which must outlive *pickle. The result is the dict itself, or the dict under the first of its keys
 * "state_dict", "model" and "model_state_dict" that has one. Numbers, strings and None are skipped with their keys. max_bytes bounds the
 * memory for objects, stack and memo. On failure *pickle is empty.
 *
 * KEN_EBAD_CHECKPOINT: what no pickler writes. KEN_EUNSUPPORTED: another opcode, another global, or a value that is no state dict, by name.
 * KEN_ETOO_LARGE: over max_bytes, or more than max_items tensors. Messages: "LABEL: torch file: data.pkl: byte N: reason".
 */
int ken_pickle_read(struct ken_pickle *pickle, const unsigned char *bytes, size_t length, const char *label, uint64_t max_bytes,
                    uint64_t max_items, struct ken_error *error);
void ken_pickle_free(struct ken_pickle *pickle);

#endif
