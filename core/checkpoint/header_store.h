/* SPDX-License-Identifier: Apache-2.0 */
/* What the headers of one checkpoint leave in memory, whatever kind of file they are of. */
#ifndef KEN_HEADER_STORE_H
#define KEN_HEADER_STORE_H

#include "arena.h"
#include "checkpoint/checkpoint.h"
#include "error.h"

#include <stddef.h>
#include <stdint.h>

struct ken_header_store {
    struct ken_checkpoint_limits limits;
    struct ken_arena arena;  /* names and shapes */
    uint64_t metadata_bytes; /* of all files */
    struct ken_tensor *tensors;
    size_t count, capacity;
    struct ken_tie *ties;
    size_t tie_count, tie_capacity;
};

/* Sees to room for one more tensor behind tensors [count]. KEN_ETOO_LARGE over max_tensors, KEN_ENOMEM. label: the file's name. */
int ken_header_store_grow(struct ken_header_store *store, const char *label, struct ken_error *error);
/* As above, for one more of ties [tie_count]. */
int ken_header_store_grow_ties(struct ken_header_store *store, const char *label, struct ken_error *error);
/* Holds names, shapes and metadata to max_header_bytes: KEN_ETOO_LARGE. */
int ken_header_store_check(const struct ken_header_store *store, const char *label, struct ken_error *error);
/* Why there can be no tensor of that name [length], or NULL; buffer [size] may be used for it. */
const char *ken_header_store_refuses(const struct ken_header_store *store, const char *name, size_t length, char *buffer, size_t size);
/* Fails with KEN_EBAD_CHECKPOINT and 'FILE: tensor "NAME": reason'. */
int ken_header_bad_tensor(const char *label, struct ken_error *error, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
