/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/pair.h"

#include "pruning/inputs.h"

#include <string.h>

enum { CONVERT_BYTES = 65536 };

int ken_pair_find(const struct ken_pair *pair, const char *name, struct ken_pair_tensor *tensor, struct ken_error *error)
{
    const struct ken_cells_found *found = &tensor->found;
    *tensor = (struct ken_pair_tensor){0};
    int code = ken_cells_open(&tensor->cells, pair->cells, pair->cells_bytes, pair->delta_bytes, error);
    if (!code) code = ken_cells_find(&tensor->cells, name, &tensor->found, error);
    if (code) return code;
    const struct ken_tensor *model = ken_checkpoint_find(pair->model, name);
    if (!model || model->dtype != found->dtype || model->rows != found->shape.rows || model->n != found->shape.n)
        return ken_fail(error, KEN_EMISMATCH, "the fine-tuned model has no such tensor as the delta was made from");
    tensor->model = model;
    if (!pair->plan) return KEN_OK;
    tensor->number = (size_t)(model - pair->model->tensors);
    const struct ken_plan_tensor planned = ken_plan_tensor(pair->plan, tensor->number);
    tensor->base = planned.base;
    return planned.pruned ? KEN_OK : ken_fail(error, KEN_EMISMATCH, "the base has no such tensor as the delta was made from");
}

int ken_pair_read(const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor, enum ken_dtype dtype, uint64_t first,
                  uint64_t count, void *out, struct ken_error *error)
{
    struct ken_source *source = checkpoint->files[tensor->file].source;
    const size_t from = ken_dtype_size(tensor->dtype), to = ken_dtype_size(dtype);
    unsigned char piece[CONVERT_BYTES];
    if (tensor->dtype == dtype) return ken_source_read(source, tensor->offset + first * from, out, count * from, error);
    for (uint64_t done = 0; done < count;) {
        const uint64_t now = count - done < CONVERT_BYTES / from ? count - done : CONVERT_BYTES / from;
        int code = ken_source_read(source, tensor->offset + (first + done) * from, piece, now * from, error);
        if (code) return code;
        ken_convert(tensor->dtype, piece, dtype, (unsigned char *)out + done * to, now);
        done += now;
    }
    return KEN_OK;
}

int ken_pair_check(const struct ken_pair *pair, struct ken_error *error)
{
    int code = KEN_OK;
    if (pair->plan) return ken_inputs_check(pair->plan, error);
    for (size_t f = 0; !code && f < pair->model->file_count; f++) code = ken_source_check(pair->model->files[f].source, error);
    return code;
}
