/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/inputs.h"

#include "pruning/run.h"

#include <stdlib.h>
#include <string.h>

enum { SIDES = 2, READ_BYTES = 65536 };

/* The digest of a file: of its first `position` bytes so far. */
struct stream {
    const struct ken_checkpoint *checkpoint;
    size_t file;
    bool wanted, known;
    bool apart; /* blocks read a view of the file, not the file: its digest is left to the end */
    uint64_t position;
    struct ken_digest digest; /* none before the first byte and behind the last */
    unsigned char sha256[KEN_SHA256_SIZE];
};

/* The digest of a base tensor's bytes. */
struct raw {
    bool wanted, known;
    unsigned char sha256[KEN_SHA256_SIZE];
};

struct ken_inputs {
    const struct ken_plan *plan;
    struct stream *model_files; /* [model files] */
    struct stream *base_files;  /* [base files], behind those */
    struct raw *tensors;        /* [base tensors], which several of the model may share */
    struct ken_digest tensor;   /* of the base tensor that blocks are at; none if they did not begin at its first byte */
    unsigned char buffer[READ_BYTES];
};

/* ---- */

static void set_up(struct stream *streams, const struct ken_checkpoint *checkpoint, bool wanted)
{
    for (size_t f = 0; f < checkpoint->file_count; f++) {
        const struct ken_checkpoint_file *file = &checkpoint->files[f];
        streams[f] = (struct stream){
            .checkpoint = checkpoint,
            .file = f,
            .wanted = wanted && !file->stored->tells_digest,
            .apart = file->stored != file->source,
        };
    }
}

static struct raw *raw_of(const struct ken_inputs *inputs, const struct ken_tensor *base)
{
    return &inputs->tensors[base - inputs->plan->base->tensors];
}

int ken_inputs_create(struct ken_inputs **inputs, const struct ken_plan *plan, struct ken_error *error)
{
    struct ken_inputs *created = calloc(1, sizeof *created);
    *inputs = created;
    if (created) created->model_files = calloc(plan->model->file_count + plan->base->file_count + 1, sizeof *created->model_files);
    if (created) created->tensors = calloc(plan->base->tensor_count + 1, sizeof *created->tensors);
    if (!created || !created->model_files || !created->tensors) {
        ken_inputs_destroy(inputs);
        return ken_fail(error, KEN_ENOMEM, "out of memory for digests");
    }
    bool wants_files = plan->options->outputs & KEN_OUTPUT_REPORT;
    created->plan = plan;
    created->base_files = created->model_files + plan->model->file_count;
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (plan->entries[t].base) raw_of(created, plan->entries[t].base)->wanted = plan->options->outputs & KEN_OUTPUT_DELTA;
    set_up(created->model_files, plan->model, wants_files);
    set_up(created->base_files, plan->base, wants_files);
    return KEN_OK;
}

void ken_inputs_destroy(struct ken_inputs **inputs)
{
    struct ken_inputs *gone = *inputs;
    if (!gone) return;
    for (size_t f = 0; gone->plan && f < gone->plan->model->file_count + gone->plan->base->file_count; f++)
        ken_digest_free(&gone->model_files[f].digest);
    ken_digest_free(&gone->tensor);
    free(gone->model_files);
    free(gone->tensors);
    free(gone);
    *inputs = NULL;
}

static struct ken_source *source_of(const struct stream *stream)
{
    return stream->checkpoint->files[stream->file].source;
}

static struct ken_source *stored_of(const struct stream *stream)
{
    return stream->checkpoint->files[stream->file].stored;
}

/* ---- on the way */

/* Adds bytes [offset, offset + length) of the file as it is stored, where they go on from its position; all others are left to the end. */
static int add_stored(struct stream *stream, uint64_t offset, const unsigned char *bytes, uint64_t length, struct ken_error *error)
{
    if (!stream->wanted || stream->known || offset > stream->position || offset + length <= stream->position) return KEN_OK;
    uint64_t old = stream->position - offset;
    int code = stream->position ? KEN_OK : ken_digest_init(&stream->digest, error);
    if (code) return code;
    ken_digest_update(&stream->digest, bytes + old, length - old);
    stream->position = offset + length;
    if (stream->position < stored_of(stream)->size) return KEN_OK;
    code = ken_digest_final(&stream->digest, stream->sha256, error);
    stream->known = !code;
    return code;
}

/* As above, for bytes of the source that blocks read. */
static int add_to_stream(struct stream *stream, uint64_t offset, const unsigned char *bytes, uint64_t length, struct ken_error *error)
{
    return stream->apart ? KEN_OK : add_stored(stream, offset, bytes, length, error);
}

/* Reads the header into the digest, which no block reads. */
static int add_header(struct ken_inputs *inputs, struct stream *stream, struct ken_error *error)
{
    uint64_t length = stream->checkpoint->files[stream->file].data_offset;
    int code = KEN_OK;
    while (!code && stream->wanted && !stream->apart && stream->position < length) {
        uint64_t from = stream->position, count = length - from < READ_BYTES ? length - from : READ_BYTES;
        code = ken_source_read(source_of(stream), from, inputs->buffer, count, error);
        if (!code) code = add_to_stream(stream, from, inputs->buffer, count, error);
    }
    return code;
}

static int add_base_bytes(struct ken_inputs *inputs, const struct ken_tensor *base, uint64_t first, const unsigned char *bytes,
                          uint64_t length, struct ken_error *error)
{
    if (inputs->tensor.context) ken_digest_update(&inputs->tensor, bytes, length);
    return add_to_stream(&inputs->base_files[base->file], base->offset + first, bytes, length, error);
}

/* The bytes of the base that a block has read; where it has converted them, once more. */
static int add_base(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error)
{
    const struct ken_tensor *base = block->entry->base;
    if (!block->convert)
        return add_base_bytes(inputs, base, block->first_element * block->entry->size, block->base, block->elements * block->entry->size,
                              error);
    size_t size = ken_dtype_size(base->dtype);
    uint64_t at = block->first_element * size, end = at + block->elements * size;
    while (at < end) {
        uint64_t count = end - at < READ_BYTES ? end - at : READ_BYTES;
        int code = ken_source_read(inputs->plan->base->files[base->file].source, base->offset + at, inputs->buffer, count, error);
        if (!code) code = add_base_bytes(inputs, base, at, inputs->buffer, count, error);
        if (code) return code;
        at += count;
    }
    return KEN_OK;
}

static int add_base_tensor(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error)
{
    struct raw *raw = raw_of(inputs, block->entry->base);
    int code = add_header(inputs, &inputs->base_files[block->entry->base->file], error);
    if (!code && raw->wanted && !raw->known && !block->first_element) {
        ken_digest_free(&inputs->tensor);
        code = ken_digest_init(&inputs->tensor, error);
    }
    if (!code) code = add_base(inputs, block, error);
    if (code || !inputs->tensor.context || block->first_element + block->elements < block->entry->elements) return code;
    code = ken_digest_final(&inputs->tensor, raw->sha256, error);
    raw->known = !code;
    return code;
}

int ken_inputs_add(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error)
{
    const struct ken_entry *entry = block->entry;
    struct stream *stream = &inputs->model_files[entry->model->file];
    int code = add_header(inputs, stream, error);
    if (!code)
        code = add_to_stream(stream, entry->model->offset + block->first_element * entry->size, block->model, block->elements * entry->size,
                             error);
    return code || !entry->base ? code : add_base_tensor(inputs, block, error);
}

/* ---- the rest */

/* One pass over what is missing of a file. */
struct pass {
    struct ken_prune *prune;
    struct stream *stream;
    unsigned char *buffer; /* [KEN_WORK_BYTES] */
};

/* Reads [from, to) into the digest of a tensor, if not NULL, and into that of the file where it goes on from there. */
static int feed(struct pass *pass, uint64_t from, uint64_t to, struct ken_digest *tensor, struct ken_error *error)
{
    while (from < to) {
        size_t count = to - from < KEN_WORK_BYTES ? to - from : KEN_WORK_BYTES;
        if (ken_run_cancelled(pass->prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        int code = ken_source_read(source_of(pass->stream), from, pass->buffer, count, error);
        if (!code) code = add_to_stream(pass->stream, from, pass->buffer, count, error);
        if (code) return code;
        if (tensor) ken_digest_update(tensor, pass->buffer, count);
        from += count;
    }
    return KEN_OK;
}

/* Reads what is missing of the file before byte `to`. */
static int catch_up(struct pass *pass, uint64_t to, struct ken_error *error)
{
    const struct stream *stream = pass->stream;
    return stream->wanted && !stream->known && !stream->apart ? feed(pass, stream->position, to, NULL, error) : KEN_OK;
}

/* Reads a file of which blocks have read a view alone. */
static int digest_apart(struct pass *pass, struct ken_error *error)
{
    struct stream *stream = pass->stream;
    struct ken_source *stored = stored_of(stream);
    int code = KEN_OK;
    while (!code && stream->apart && stream->wanted && !stream->known) {
        uint64_t left = stored->size - stream->position;
        size_t count = left < KEN_WORK_BYTES ? left : KEN_WORK_BYTES;
        if (ken_run_cancelled(pass->prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        code = ken_source_read(stored, stream->position, pass->buffer, count, error);
        if (!code) code = add_stored(stream, stream->position, pass->buffer, count, error);
    }
    return code;
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

/* Both digests of the same bytes are made of one reading of them. */
static int digest_tensors(struct pass *pass, struct ken_error *error)
{
    struct ken_inputs *inputs = pass->prune->inputs;
    const struct stream *stream = pass->stream;
    const struct ken_checkpoint_file *file = &stream->checkpoint->files[stream->file];
    int code = KEN_OK;
    for (size_t i = 0; !code && i < file->count; i++) {
        const struct ken_tensor *base = &stream->checkpoint->tensors[file->first + i];
        struct raw *raw = raw_of(inputs, base);
        if (!raw->wanted || raw->known) continue;
        code = catch_up(pass, base->offset, error);
        if (!code) code = digest_tensor(pass, base, raw->sha256, error);
        raw->known = !code;
    }
    return code;
}

static int finish_on_worker(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error)
{
    struct ken_inputs *inputs = opaque;
    struct stream *stream = &inputs->model_files[index];
    struct pass pass = {.prune = prune, .stream = stream, .buffer = malloc(KEN_WORK_BYTES)};
    int code = pass.buffer ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a digest");
    if (!code && stream->checkpoint == inputs->plan->base) code = digest_tensors(&pass, error);
    if (!code) code = catch_up(&pass, source_of(stream)->size, error);
    if (!code) code = digest_apart(&pass, error);
    free(pass.buffer);
    return code;
}

/* Asks the source for its digest first, which may have made it while the bytes came in. */
static int ask_source(const struct ken_inputs *inputs, struct stream *stream, struct ken_error *error)
{
    struct ken_source *source = stored_of(stream);
    struct ken_error unknown = {0};
    int code = ken_source_wait(source, 0, source->size, error);
    if (code || stream->known || !(inputs->plan->options->outputs & KEN_OUTPUT_REPORT)) return code;
    code = ken_source_digest(source, stream->sha256, &unknown);
    stream->known = !code;
    stream->wanted = code == KEN_ENOT_FOUND;
    if (code && !stream->wanted && error) *error = unknown;
    return stream->wanted ? KEN_OK : code;
}

int ken_inputs_finish(struct ken_prune *prune, struct ken_error *error)
{
    struct ken_inputs *inputs = prune->inputs;
    size_t files = inputs->plan->model->file_count + inputs->plan->base->file_count;
    int code = KEN_OK;
    for (size_t f = 0; !code && f < files; f++) code = ask_source(inputs, &inputs->model_files[f], error);
    return code ? code : ken_run_parallel(prune, finish_on_worker, inputs, files, KEN_WORK_BYTES, error);
}

int ken_inputs_check(const struct ken_plan *plan, struct ken_error *error)
{
    const struct ken_checkpoint *sides[SIDES] = {plan->model, plan->base};
    for (size_t s = 0; s < SIDES; s++)
        for (size_t f = 0; f < sides[s]->file_count; f++) {
            int code = ken_source_check(sides[s]->files[f].source, error);
            if (code) return code;
        }
    return KEN_OK;
}

const unsigned char *ken_inputs_model_file(const struct ken_inputs *inputs, size_t file)
{
    KEN_ASSERT(inputs->model_files[file].known);
    return inputs->model_files[file].sha256;
}

const unsigned char *ken_inputs_base_file(const struct ken_inputs *inputs, size_t file)
{
    KEN_ASSERT(inputs->base_files[file].known);
    return inputs->base_files[file].sha256;
}

const unsigned char *ken_inputs_base_tensor(const struct ken_inputs *inputs, size_t model_tensor)
{
    const struct raw *raw = raw_of(inputs, inputs->plan->entries[model_tensor].base);
    KEN_ASSERT(raw->known);
    return raw->sha256;
}
