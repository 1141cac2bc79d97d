/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what pictures are made of (heatmap/cells.h): each band as soon as its last row is done, at a place that follows from the plan, so
 * that a resumed run, which begins with a band, writes the same once more.
 */
#ifndef KEN_CELLS_WRITER_H
#define KEN_CELLS_WRITER_H

#include "folder.h"
#include "pruning/block.h"
#include "pruning/progress.h"
#include "pruning/scratch.h"

struct ken_cells_writer;

/* Bytes of one variant's file at most. */
uint64_t ken_cells_bytes_at_most(const struct ken_plan *plan);
/* Writes the path below the working folder. */
void ken_cells_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant);

/* fresh: begins anew. Else the files must be there: KEN_ENOT_FOUND. */
int ken_cells_writer_open(struct ken_cells_writer **writer, const struct ken_plan *plan, int directory, bool durable, bool fresh,
                          struct ken_error *error);
/* Adds a part of a block of a pruned tensor, before the scratch receives it. One call at a time, in the order of work. */
int ken_cells_writer_add(struct ken_cells_writer *writer, const struct ken_scratch *scratch, const struct ken_block *block,
                         struct ken_part *part, size_t variant, const struct ken_variant_progress *progress, struct ken_error *error);
/* Whether what was added up to here can be gone on from: the next row begins a band. */
bool ken_cells_at_band(const struct ken_plan *plan, const struct ken_progress *progress);
int ken_cells_writer_sync(const struct ken_cells_writer *writer, struct ken_error *error);
void ken_cells_writer_close(struct ken_cells_writer **writer);

/*
 * Ends a variant's file, once all is added and its delta of that many bytes is written. tensors [all of the plan], which are changed, tell
 * form, packed, gap, and where values and places are in the delta. On any thread, one call for each variant.
 */
int ken_cells_writer_finish(const struct ken_cells_writer *writer, const struct ken_scratch *scratch, size_t variant, uint64_t delta_bytes,
                            struct ken_cells_tensor *tensors, struct ken_error *error);

#endif
