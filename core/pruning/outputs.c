/* SPDX-License-Identifier: Apache-2.0 */
/* What is written of a block. */
#include "pruning/run.h"

int ken_outputs_end_tensors(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_progress *progress = &prune->progress;
    while (progress->tensor < prune->plan->model->tensor_count && progress->unit == prune->plan->entries[progress->tensor].units) {
        for (size_t v = 0; v < prune->plan->options->variant_count; v++) {
            int code = ken_scratch_end_tensor(prune->scratch, progress->tensor, v, &progress->variants[v], error);
            if (code) return code;
        }
        progress->tensor++;
        progress->unit = 0;
    }
    return KEN_OK;
}

static int write_variant(struct ken_prune *prune, struct ken_block *block, size_t variant, struct ken_error *error)
{
    const struct ken_entry *entry = block->entry;
    struct ken_part *part = ken_block_part(block, variant);
    struct ken_variant_progress *progress = &prune->progress.variants[variant];
    int code = part->cells ? ken_cells_writer_add(prune->cells, prune->scratch, block, part, variant, progress, error) : KEN_OK;
    if (!code) code = ken_scratch_add(prune->scratch, block, part, variant, progress, error);
    if (code || !prune->models) return code;
    return ken_model_writer_write(prune->models, variant, block->range.tensor, block->first_element * entry->size, part->dense,
                                  block->elements * entry->size, error);
}

int ken_outputs_add(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    struct ken_progress *progress = &prune->progress;
    KEN_ASSERT(block->range.tensor == progress->tensor && block->range.first == progress->unit);
    for (size_t v = 0; v < prune->plan->options->variant_count; v++) {
        int code = write_variant(prune, block, v, error);
        if (code) return code;
    }
    progress->unit += block->range.units;
    if (block->entry->pruned) progress->rows += block->range.units;
    return ken_outputs_end_tensors(prune, error);
}
