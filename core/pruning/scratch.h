/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the delta of each variant will be made of, kept on disk until the end because only then it is known how much it is: the values and
 * mask bits of each tensor, one tensor behind the other, and a record of each tensor.
 */
#ifndef KEN_SCRATCH_H
#define KEN_SCRATCH_H

#include "pruning/block.h"
#include "pruning/progress.h"

struct ken_scratch;

/* fresh: begins anew. Else the files must be there (KEN_ENOT_FOUND), as long as the progress tells (may be NULL if fresh). */
int ken_scratch_open(struct ken_scratch **scratch, const struct ken_plan *plan, int directory, bool fresh,
                     const struct ken_progress *progress, struct ken_error *error);
/* Appends what the part of a block stores, and adds it to the variant's record. One call at a time, in the order of work. */
int ken_scratch_add(struct ken_scratch *scratch, const struct ken_block *block, struct ken_part *part, size_t variant,
                    struct ken_variant_progress *progress, struct ken_error *error);
/* Ends a tensor: appends what is left of its mask, writes its record and begins the next one. */
int ken_scratch_end_tensor(struct ken_scratch *scratch, size_t tensor, size_t variant, struct ken_variant_progress *progress,
                           struct ken_error *error);
/* Makes durable what was added before the call; may be called while another thread adds. */
int ken_scratch_sync(struct ken_scratch *scratch, struct ken_error *error);
void ken_scratch_close(struct ken_scratch **scratch);

/* Reading back, from any thread. */
int ken_scratch_records(const struct ken_scratch *scratch, size_t variant, size_t first, struct ken_record *records, size_t count,
                        struct ken_error *error);
int ken_scratch_values(const struct ken_scratch *scratch, size_t variant, uint64_t offset, void *bytes, uint64_t length,
                       struct ken_error *error);
int ken_scratch_mask(const struct ken_scratch *scratch, size_t variant, uint64_t offset, void *bytes, uint64_t length,
                     struct ken_error *error);

#endif
