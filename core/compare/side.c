/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/side.h"

#include "checkpoint/shape.h"
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

static struct ken_side_tensor of_checkpoint(const struct ken_checkpoint *checkpoint, const char *name, size_t index)
{
    const struct ken_tensor *tensor = &checkpoint->tensors[index];
    return (struct ken_side_tensor){
        name, tensor->dtype, tensor->rank, tensor->shape, tensor->rows, tensor->n, tensor->length, index,
    };
}

static struct ken_side_tensor of_delta(const struct ken_delta *delta, size_t index)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[index];
    struct ken_extent extent;
    const char *reason = ken_shape_measure(tensor->shape, tensor->rank, tensor->dtype, &extent);
    KEN_ASSERT(!reason); /* it was measured when the delta was opened */
    return (struct ken_side_tensor){
        tensor->name, tensor->dtype, tensor->rank, tensor->shape, extent.rows, extent.n, extent.bytes, index,
    };
}

static void list(struct ken_side *side)
{
    const struct ken_checkpoint *checkpoint = side->checkpoint;
    struct ken_side_tensor *next = side->tensors;
    if (side->delta) {
        for (size_t i = 0; i < side->count; i++) *next++ = of_delta(side->delta, i);
        return;
    }
    for (size_t i = 0; i < checkpoint->tensor_count; i++) *next++ = of_checkpoint(checkpoint, checkpoint->tensors[i].name, i);
    for (size_t i = 0; i < checkpoint->tie_count; i++) {
        const struct ken_tensor *of = ken_checkpoint_find(checkpoint, checkpoint->ties[i].of);
        KEN_ASSERT(of); /* a tie is of a tensor */
        *next++ = of_checkpoint(checkpoint, checkpoint->ties[i].name, (size_t)(of - checkpoint->tensors));
    }
}

static int compare_names(const void *a, const void *b)
{
    const struct ken_side_name *left = a, *right = b;
    return strcmp(left->name, right->name);
}

int ken_side_open(struct ken_side *side, const struct ken_checkpoint *checkpoint, const struct ken_delta *delta, struct ken_error *error)
{
    size_t count = delta ? delta->tensor_count : checkpoint->tensor_count + checkpoint->tie_count;
    *side = (struct ken_side){.checkpoint = checkpoint, .delta = delta, .count = count};
    side->tensors = calloc(count + 1, sizeof *side->tensors);
    side->by_name = calloc(count + 1, sizeof *side->by_name);
    if (!side->tensors || !side->by_name) return ken_fail_no_memory(error, "a comparison");
    list(side);
    for (size_t i = 0; i < count; i++) side->by_name[i] = (struct ken_side_name){side->tensors[i].name, i};
    qsort(side->by_name, count, sizeof *side->by_name, compare_names);
    return delta ? ken_delta_stream_create(&side->stream, delta, checkpoint, error) : KEN_OK;
}

void ken_side_close(struct ken_side *side)
{
    ken_delta_stream_free(&side->stream);
    free(side->by_name);
    free(side->tensors);
    *side = (struct ken_side){0};
}

const struct ken_side_tensor *ken_side_find(const struct ken_side *side, const char *name)
{
    const struct ken_side_name wanted = {.name = name}, *found;
    found = bsearch(&wanted, side->by_name, side->count, sizeof *side->by_name, compare_names);
    return found ? &side->tensors[found->index] : NULL;
}

int ken_side_begin(struct ken_side *side, const struct ken_side_tensor *tensor, struct ken_error *error)
{
    side->tensor = tensor;
    side->done = 0;
    side->rest_length = 0;
    return side->delta ? ken_delta_stream_begin(side->stream, tensor->index, error) : KEN_OK;
}

static int read_stream(struct ken_side *side, unsigned char *bytes, size_t length, struct ken_error *error)
{
    for (size_t filled = 0, part; filled < length; filled += part) {
        const void *piece = side->rest;
        int code = side->rest_length ? KEN_OK : ken_delta_stream_next(side->stream, &piece, &side->rest_length, error);
        if (code) return code;
        KEN_ASSERT(side->rest_length);
        part = side->rest_length < length - filled ? side->rest_length : length - filled;
        memcpy(bytes + filled, piece, part);
        side->rest = (const unsigned char *)piece + part;
        side->rest_length -= part;
    }
    return KEN_OK;
}

int ken_side_read(struct ken_side *side, void *bytes, size_t length, struct ken_error *error)
{
    KEN_ASSERT(length <= side->tensor->length - side->done);
    if (side->delta) {
        side->done += length;
        return read_stream(side, bytes, length, error);
    }
    const struct ken_tensor *tensor = &side->checkpoint->tensors[side->tensor->index];
    struct ken_source *source = side->checkpoint->files[tensor->file].source;
    uint64_t offset = tensor->offset + side->done;
    side->done += length;
    int code = ken_source_wait(source, offset, length, error);
    return code ? code : ken_source_read(source, offset, bytes, length, error);
}

int ken_side_end(struct ken_side *side, struct ken_error *error)
{
    const void *bytes;
    size_t length = 0;
    KEN_ASSERT(side->done == side->tensor->length && !side->rest_length);
    return side->delta ? ken_delta_stream_next(side->stream, &bytes, &length, error) : KEN_OK;
}

int ken_side_check(const struct ken_side *side, struct ken_error *error)
{
    int code = side->delta ? ken_source_check(side->delta->checkpoint->files[0].source, error) : KEN_OK;
    for (size_t i = 0; i < side->checkpoint->file_count && !code; i++) code = ken_source_check(side->checkpoint->files[i].source, error);
    return code;
}
