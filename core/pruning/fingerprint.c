/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/plan.h"

#include "digest.h"

#include <string.h>

/* Every item is a number of 8 bytes or bytes behind their length, so that no two plans give the same input. */
static void add_number(struct ken_digest *digest, uint64_t number)
{
    ken_digest_update(digest, &number, sizeof number);
}

static void add_bytes(struct ken_digest *digest, const void *bytes, size_t length)
{
    add_number(digest, length);
    ken_digest_update(digest, bytes, length);
}

static void add_string(struct ken_digest *digest, const char *text)
{
    add_bytes(digest, text, strlen(text));
}

static void add_amount(struct ken_digest *digest, const struct ken_amount *amount)
{
    add_number(digest, amount->k);
    add_bytes(digest, &amount->keep, sizeof amount->keep);
}

static void add_tensor(struct ken_digest *digest, const struct ken_tensor *tensor)
{
    add_string(digest, tensor->name);
    add_number(digest, tensor->dtype);
    add_number(digest, tensor->file);
    add_bytes(digest, tensor->shape, tensor->rank * sizeof *tensor->shape);
    add_number(digest, tensor->offset);
}

static void add_checkpoint(struct ken_digest *digest, const struct ken_checkpoint *checkpoint)
{
    add_number(digest, checkpoint->has_index);
    add_number(digest, checkpoint->file_count);
    for (size_t f = 0; f < checkpoint->file_count; f++) {
        const struct ken_source *source = checkpoint->files[f].source;
        const char *metadata = checkpoint->files[f].metadata_json;
        add_string(digest, checkpoint->files[f].name);
        add_number(digest, source->size);
        add_bytes(digest, source->state, source->has_state ? sizeof source->state : 0);
        add_string(digest, metadata ? metadata : "");
    }
    add_number(digest, checkpoint->tensor_count);
    for (size_t t = 0; t < checkpoint->tensor_count; t++) add_tensor(digest, &checkpoint->tensors[t]);
}

static void add_options(struct ken_digest *digest, const struct ken_options *options)
{
    add_number(digest, options->variant_count);
    for (size_t v = 0; v < options->variant_count; v++) {
        const struct ken_variant *variant = &options->variants[v];
        add_string(digest, variant->name);
        add_amount(digest, &variant->amount);
        add_number(digest, variant->method);
        add_number(digest, variant->rescale);
        add_number(digest, variant->duplicates);
        add_number(digest, variant->seed);
    }
    add_number(digest, options->non_finite);
    add_number(digest, options->encoding);
    add_number(digest, options->outputs);
}

int ken_plan_fingerprint(const struct ken_plan *plan, unsigned char sha256[32], struct ken_error *error)
{
    struct ken_digest digest;
    int code = ken_digest_init(&digest, error);
    if (code) return code;
    add_string(&digest, "kend plan 3");
    add_options(&digest, plan->options);
    add_checkpoint(&digest, plan->model);
    add_checkpoint(&digest, plan->base);
    for (size_t t = 0; t < plan->model->tensor_count; t++) { /* what the names and rules came to */
        const struct ken_entry *entry = &plan->entries[t];
        add_number(&digest, entry->base ? (uint64_t)(entry->base - plan->base->tensors) + 1 : 0);
        add_number(&digest, entry->action);
        add_amount(&digest, &entry->amount);
    }
    return ken_digest_final(&digest, sha256, error);
}
