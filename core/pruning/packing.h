/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of packed deltas, made by many threads and kept in a scratch file until it is known how long all are. */
#ifndef KEN_PACKING_H
#define KEN_PACKING_H

#include "delta/packed.h"
#include "pruning/run.h"

/* Packs what every variant stores; on the thread that runs the pruning. *packing is NULL after a failure. */
int ken_packing_make(struct ken_packing **packing, struct ken_prune *prune, struct ken_error *error);
void ken_packing_free(struct ken_packing **packing);

/* ---- reading, from any thread */

/* Bytes of a tensor's entry; 0 if there is nothing to be told of it. */
uint64_t ken_packing_length(const struct ken_packing *packing, size_t variant, size_t tensor);
/* Blocks of a tensor's entry, and what the index says of one. */
uint64_t ken_packing_blocks(const struct ken_packing *packing, size_t variant, size_t tensor);
const struct ken_packed_entry *ken_packing_entry(const struct ken_packing *packing, size_t variant, size_t tensor, uint64_t block);
/* Reads a block: bytes [the entry's length]. */
int ken_packing_read(const struct ken_packing *packing, size_t variant, size_t tensor, uint64_t block, void *bytes,
                     struct ken_error *error);

#endif
