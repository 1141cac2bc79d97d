/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of the inputs, for reports and deltas: made of the bytes that blocks have read anyway, in the order of work. What did not come by
 * in the order of its file is read again at the end, and files whose source knows their digest are not hashed as a whole.
 */
#ifndef KEN_INPUTS_H
#define KEN_INPUTS_H

#include "digest.h"
#include "pruning/block.h"

struct ken_inputs;
struct ken_prune;

int ken_inputs_create(struct ken_inputs **inputs, const struct ken_plan *plan, struct ken_error *error);
/* Nothing if *inputs is NULL, which it becomes. */
void ken_inputs_destroy(struct ken_inputs **inputs);
/* Adds what a block has read. One call at a time, in the order of work. */
int ken_inputs_add(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error);
/* Makes what is missing, on the executor. */
int ken_inputs_finish(struct ken_prune *prune, struct ken_error *error);
/* Fails if a file is not the one that was opened. */
int ken_inputs_check(const struct ken_plan *plan, struct ken_error *error);

/* After finish: SHA-256 of a file of the fine-tuned or base checkpoint; and of the raw bytes of the tensor that is the base of a model's.
 */
const unsigned char *ken_inputs_model_file(const struct ken_inputs *inputs, size_t file);
const unsigned char *ken_inputs_base_file(const struct ken_inputs *inputs, size_t file);
const unsigned char *ken_inputs_base_tensor(const struct ken_inputs *inputs, size_t model_tensor);

#endif
