/* SPDX-License-Identifier: Apache-2.0 */
/* Which elements of a tensor a delta stores, row by row from any row on, without the base and without what lies in front. */
#ifndef KEN_HEATMAP_KEPT_H
#define KEN_HEATMAP_KEPT_H

#include "heatmap/cells.h"

#include <stddef.h>

struct ken_kept;

/* Bytes behind bits that are read or written, and may be anything. */
enum { KEN_BITS_SLACK = 8 };

/* Borrows all it is given. KEN_ENOMEM. */
int ken_kept_create(struct ken_kept **kept, const struct ken_cells *cells, const struct ken_cells_found *tensor, int delta,
                    struct ken_error *error);
void ken_kept_free(struct ken_kept **kept);
/* Goes to the band that the row lies in, and from there on to the row. */
int ken_kept_seek(struct ken_kept *kept, uint64_t row, struct ken_error *error);
/* Goes to an element, from where on nothing is counted: where those before it lie need not be looked at. */
int ken_kept_jump(struct ken_kept *kept, uint64_t element, struct ken_error *error);
/* The next elements: bits [count], which were zeros, receive them, if not NULL. *ones: how many are stored before the first of them; not
 * behind a jump, and not in encoding packed, whose values are told by the base alone. */
int ken_kept_take(struct ken_kept *kept, uint64_t count, unsigned char *bits, uint64_t *ones, struct ken_error *error);

/*
 * Encoding packed: the block that the element taken last lies in. elements [ken_packed_elements] are the base's in it, in the model's
 * dtype, and become the pruned model's. KEN_EDIGEST: the block does not go with this base.
 */
int ken_kept_unpack(struct ken_kept *kept, void *elements, struct ken_error *error);

#endif
