/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/run.h"

#include <stdlib.h>
#include <string.h>

enum { SIDES = 2 };

/* One file to be looked at; files of the model first, then of the base. */
struct input {
    const struct ken_checkpoint *checkpoint;
    size_t file;
    bool is_base, whole; /* whole: its digest is wanted and not known */
    unsigned char *sha256;
};

/* One pass over a file. */
struct pass {
    struct ken_prune *prune;
    struct ken_source *source;
    struct ken_digest whole; /* none if not wanted */
    unsigned char *buffer;   /* [KEN_WORK_BYTES] */
};

/* Adds bytes [from, to) to the digest of the file, and to that of a tensor if not NULL. */
static int feed(struct pass *pass, uint64_t from, uint64_t to, struct ken_digest *tensor, struct ken_error *error)
{
    while (from < to) {
        size_t count = to - from < KEN_WORK_BYTES ? to - from : KEN_WORK_BYTES;
        if (ken_run_cancelled(pass->prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        int code = ken_source_read(pass->source, from, pass->buffer, count, error);
        if (code) return code;
        if (pass->whole.context) ken_digest_update(&pass->whole, pass->buffer, count);
        if (tensor) ken_digest_update(tensor, pass->buffer, count);
        from += count;
    }
    return KEN_OK;
}

/* The tensor of the model that has this one as its base, or NULL. */
static const struct ken_tensor *model_of(const struct ken_plan *plan, const struct ken_tensor *base)
{
    const struct ken_tensor *model = ken_checkpoint_find(plan->model, base->name);
    return model && plan->entries[model - plan->model->tensors].base == base ? model : NULL;
}

static int digest_tensor(struct pass *pass, const struct ken_tensor *base, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    struct ken_digest digest;
    int code = ken_digest_init(&digest, error);
    if (!code) code = feed(pass, base->offset, base->offset + base->length, &digest, error);
    if (!code) return ken_digest_final(&digest, sha256, error);
    ken_digest_free(&digest);
    return code;
}

static int pass_through(struct pass *pass, const struct input *input, struct ken_error *error)
{
    const struct ken_plan *plan = pass->prune->plan;
    const struct ken_checkpoint_file *file = &input->checkpoint->files[input->file];
    bool tensors = input->is_base && plan->options->outputs & KEN_OUTPUT_DELTA;
    uint64_t done = 0; /* of the whole */
    int code = KEN_OK;
    for (size_t i = 0; tensors && !code && i < file->count; i++) {
        const struct ken_tensor *base = &input->checkpoint->tensors[file->first + i], *model = model_of(plan, base);
        if (!model) continue;
        if (input->whole) code = feed(pass, done, base->offset, NULL, error);
        if (!code) code = digest_tensor(pass, base, pass->prune->inputs.base_tensors[model - plan->model->tensors], error);
        done = base->offset + base->length;
    }
    if (!code && input->whole) code = feed(pass, done, pass->source->size, NULL, error);
    return code;
}

static int digest_on_worker(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error)
{
    const struct input *input = (const struct input *)opaque + index;
    struct pass pass = {.prune = prune, .source = input->checkpoint->files[input->file].source, .buffer = malloc(KEN_WORK_BYTES)};
    int code = pass.buffer ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a digest");
    if (!code && input->whole) code = ken_digest_init(&pass.whole, error);
    if (!code) code = pass_through(&pass, input, error);
    if (!code && input->whole) code = ken_digest_final(&pass.whole, input->sha256, error);
    ken_digest_free(&pass.whole);
    free(pass.buffer);
    return code;
}

/* Asks the source for its digest first, which may have made it while the bytes came in. */
static int prepare(struct ken_prune *prune, struct input *input, struct ken_error *error)
{
    struct ken_source *source = input->checkpoint->files[input->file].source;
    int code = ken_source_wait(source, 0, source->size, error);
    if (code || !(prune->plan->options->outputs & KEN_OUTPUT_REPORT)) return code;
    struct ken_error unknown = {0};
    code = ken_source_digest(source, input->sha256, &unknown);
    input->whole = code == KEN_ENOT_FOUND;
    if (code && !input->whole && error) *error = unknown;
    return input->whole ? KEN_OK : code;
}

static int allocate(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_inputs *inputs = &prune->inputs;
    ken_inputs_free(inputs);
    inputs->model_files = calloc(prune->plan->model->file_count + 1, sizeof *inputs->model_files);
    inputs->base_files = calloc(prune->plan->base->file_count + 1, sizeof *inputs->base_files);
    inputs->base_tensors = calloc(prune->plan->model->tensor_count + 1, sizeof *inputs->base_tensors);
    bool there = inputs->model_files && inputs->base_files && inputs->base_tensors;
    return there ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for digests");
}

int ken_inputs_digest(struct ken_prune *prune, struct ken_error *error)
{
    const struct ken_checkpoint *model = prune->plan->model, *base = prune->plan->base;
    size_t count = model->file_count + base->file_count;
    int code = allocate(prune, error);
    if (code) return code;
    struct input *inputs = calloc(count + 1, sizeof *inputs);
    if (!inputs) return ken_fail(error, KEN_ENOMEM, "out of memory for digests");
    for (size_t i = 0; !code && i < count; i++) {
        bool is_base = i >= model->file_count;
        size_t file = is_base ? i - model->file_count : i;
        inputs[i] = (struct input){.checkpoint = is_base ? base : model, .file = file, .is_base = is_base};
        inputs[i].sha256 = is_base ? prune->inputs.base_files[file] : prune->inputs.model_files[file];
        code = prepare(prune, &inputs[i], error);
    }
    if (!code) code = ken_run_parallel(prune, digest_on_worker, inputs, count, error);
    free(inputs);
    return code;
}

int ken_inputs_check(struct ken_prune *prune, struct ken_error *error)
{
    const struct ken_checkpoint *sides[SIDES] = {prune->plan->model, prune->plan->base};
    for (size_t s = 0; s < SIDES; s++)
        for (size_t f = 0; f < sides[s]->file_count; f++) {
            int code = ken_source_check(sides[s]->files[f].source, error);
            if (code) return code;
        }
    return KEN_OK;
}

void ken_inputs_free(struct ken_inputs *inputs)
{
    free(inputs->model_files);
    free(inputs->base_files);
    free(inputs->base_tensors);
    *inputs = (struct ken_inputs){0};
}
