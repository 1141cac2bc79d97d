/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the model that a delta and its base make with one that is there. */
#include "checkpoint/shape.h"
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COMPARE_BYTES = 1 << 19 };

struct verification {
    const struct ken_delta *delta;
    const struct ken_checkpoint *model;
    size_t file;
    uint64_t offset, tensor_offset; /* of the next byte: in the file, in the tensor */
    size_t tensor;
    struct ken_error difference; /* the first one, in `tensor`: told once the tensor's base has been read to its end and found right */
    unsigned char *buffer;       /* [COMPARE_BYTES] */
};

/* The difference that was found, if there is one. */
static int tell(const struct verification *verification, struct ken_error *error)
{
    if (verification->difference.code && error) *error = verification->difference;
    return verification->difference.code;
}

/* Compares with the model's next bytes: *same tells of how many. */
static int compare(struct verification *verification, const unsigned char *bytes, size_t length, size_t *same, struct ken_error *error)
{
    struct ken_source *source = verification->model->files[verification->file].source;
    *same = 0;
    while (*same < length) {
        uint64_t left = source->size - verification->offset;
        size_t piece = length - *same < COMPARE_BYTES ? length - *same : COMPARE_BYTES;
        if (piece > left) piece = (size_t)left;
        if (!piece) break;
        int code = ken_source_wait(source, verification->offset, piece, error);
        if (!code) code = ken_source_read(source, verification->offset, verification->buffer, piece, error);
        if (code) return code;
        if (memcmp(verification->buffer, bytes + *same, piece) != 0) {
            for (size_t i = 0; verification->buffer[i] == bytes[*same]; i++) (*same)++;
            break;
        }
        *same += piece;
        verification->offset += piece;
    }
    return KEN_OK;
}

/* Headers differ: names the first tensor that is another one, if it is that. */
static int header_differs(const struct verification *verification, struct ken_error *error)
{
    const struct ken_delta_file *file = &verification->delta->files[verification->file];
    const struct ken_checkpoint_file *other = &verification->model->files[verification->file];
    char shown[KEN_DELTA_LABEL_SIZE];
    size_t count = file->count < other->count ? file->count : other->count;
    for (size_t i = 0; i < count; i++) {
        const struct ken_delta_tensor *wanted = &verification->delta->tensors[file->first + i];
        const struct ken_tensor *found = &verification->model->tensors[other->first + i];
        bool same = strcmp(wanted->name, found->name) == 0 && wanted->dtype == found->dtype &&
                    ken_shape_is(wanted->shape, wanted->rank, found->shape, found->rank);
        if (!same)
            return ken_fail(error, KEN_EDIGEST, "%s: tensor \"%s\" has another name, dtype, shape or place in the model", file->name,
                            ken_printable(shown, sizeof shown, wanted->name, strlen(wanted->name)));
    }
    if (file->count != other->count)
        return ken_fail(error, KEN_EDIGEST, "%s: the model has %zu tensors, not %zu", file->name, other->count, file->count);
    return ken_fail(error, KEN_EDIGEST, "%s: the model's header has the same tensors, but other bytes", file->name);
}

static int on_begin(void *opaque, size_t file, const char *header, size_t length, struct ken_error *error)
{
    struct verification *verification = opaque;
    size_t same;
    verification->file = file;
    verification->offset = 0;
    verification->tensor = SIZE_MAX;
    int code = compare(verification, (const unsigned char *)header, length, &same, error);
    if (code) return code;
    return same == length ? KEN_OK : header_differs(verification, error);
}

static int on_bytes(void *opaque, size_t tensor, const void *bytes, size_t length, struct ken_error *error)
{
    struct verification *verification = opaque;
    const struct ken_delta_tensor *of = &verification->delta->tensors[tensor];
    char shown[KEN_DELTA_LABEL_SIZE];
    size_t same;
    if (verification->difference.code) return tensor == verification->tensor ? KEN_OK : tell(verification, error);
    if (tensor != verification->tensor) verification->tensor_offset = 0;
    verification->tensor = tensor;
    int code = compare(verification, bytes, length, &same, error);
    if (code) return code;
    verification->tensor_offset += same;
    if (same == length) return KEN_OK;
    size_t size = ken_dtype_size(of->dtype);
    ken_fail(&verification->difference, KEN_EDIGEST, "tensor \"%s\": %s %" PRIu64 " differs from the model's",
             ken_printable(shown, sizeof shown, of->name, strlen(of->name)), size ? "element" : "byte",
             verification->tensor_offset / (size ? size : 1));
    return KEN_OK;
}

static int on_end(void *opaque, size_t file, struct ken_error *error)
{
    struct verification *verification = opaque;
    const struct ken_source *source = verification->model->files[file].source;
    if (verification->difference.code) return tell(verification, error);
    if (verification->offset == source->size) return KEN_OK;
    return ken_fail(error, KEN_EDIGEST, "%s: the model's file has %" PRIu64 " bytes more", verification->delta->files[file].name,
                    source->size - verification->offset);
}

int ken_delta_verify(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_checkpoint *model,
                     const struct ken_inject_options *options, struct ken_error *error)
{
    struct verification verification = {.delta = delta, .model = model};
    const struct ken_delta_sink sink = {on_begin, on_bytes, on_end, &verification};
    if (!model) return ken_delta_walk(delta, base, NULL, options, error);
    if (model->has_index != delta->has_index || model->file_count != delta->file_count)
        return ken_fail(error, KEN_EDIGEST, "the model has %zu files %s an index, the delta makes %zu %s one", model->file_count,
                        model->has_index ? "with" : "without", delta->file_count, delta->has_index ? "with" : "without");
    verification.buffer = malloc(COMPARE_BYTES);
    if (!verification.buffer) return ken_fail(error, KEN_ENOMEM, "out of memory for comparing");
    int code = ken_delta_walk(delta, base, &sink, options, error);
    free(verification.buffer);
    return code;
}
