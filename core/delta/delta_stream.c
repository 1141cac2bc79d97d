/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include <stdlib.h>

struct ken_delta_stream {
    const struct ken_delta *delta;
    const struct ken_checkpoint *base;
    struct ken_delta_cutter *cutter;
    struct ken_unpacker *unpacker; /* encoding packed */
    struct ken_delta_judge judge;
    struct ken_delta_block *block; /* that was given last; or NULL */
    bool ended;                    /* it was the tensor's last one */
};

int ken_delta_stream_create(struct ken_delta_stream **stream, const struct ken_delta *delta, const struct ken_checkpoint *base,
                            struct ken_error *error)
{
    struct ken_delta_stream *made = calloc(1, sizeof *made);
    *stream = made;
    if (!made) return ken_fail_no_memory(error, "a delta");
    made->delta = delta;
    made->base = base;
    int code = ken_delta_cutter_create(&made->cutter, delta, error);
    if (!code && delta->encoding == KEN_ENCODING_PACKED) code = ken_unpacker_create(&made->unpacker, error);
    if (code) ken_delta_stream_free(stream);
    return code;
}

void ken_delta_stream_free(struct ken_delta_stream **stream)
{
    if (!*stream) return;
    ken_delta_block_destroy(&(*stream)->block);
    ken_delta_judge_free(&(*stream)->judge);
    ken_unpacker_free(&(*stream)->unpacker);
    ken_delta_cutter_free(&(*stream)->cutter);
    free(*stream);
    *stream = NULL;
}

int ken_delta_stream_begin(struct ken_delta_stream *stream, size_t tensor, struct ken_error *error)
{
    ken_delta_cutter_begin(stream->cutter, tensor);
    ken_delta_judge_free(&stream->judge);
    stream->ended = false;
    return ken_delta_check_tensor(stream->delta, tensor, stream->base, error);
}

int ken_delta_stream_next(struct ken_delta_stream *stream, const void **bytes, size_t *length, struct ken_error *error)
{
    struct ken_delta_cut cut;
    bool none;
    ken_delta_block_destroy(&stream->block);
    *bytes = NULL;
    *length = 0;
    if (stream->ended) return KEN_OK;
    int code = ken_delta_cutter_next(stream->cutter, &cut, &none, error);
    if (!code) code = ken_delta_block_wait(stream->delta, stream->base, &cut, error);
    if (code) return code;
    struct ken_delta_block *block = stream->block = ken_delta_block_create(stream->delta, stream->base, &cut);
    if (!block) return ken_fail_no_memory(error, "a delta");
    ken_delta_block_run(block, stream->unpacker);
    if (block->code) return error ? (*error = block->error).code : block->code;
    stream->ended = cut.last;
    *bytes = block->bytes;
    *length = block->length;
    if (cut.last) code = ken_delta_cutter_finish(stream->cutter, error);
    return code ? code : ken_delta_judge_take(&stream->judge, block, error);
}
