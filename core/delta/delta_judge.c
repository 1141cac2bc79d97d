/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include <string.h>

static int tell_misfit(const struct ken_delta_judge *judge, const struct ken_delta_tensor *tensor, struct ken_error *error)
{
    return judge->misfit ? ken_delta_fail(error, tensor->name, "a block: %s", judge->misfit) : KEN_OK;
}

/* All of a tensor was read: is its base the right one? */
static int give_judgement(struct ken_delta_judge *judge, const struct ken_delta_tensor *tensor, struct ken_error *error)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    if (!tensor->has_base) return tell_misfit(judge, tensor, error);
    int code = ken_digest_final(&judge->digest, sha256, error);
    if (code) return code;
    if (memcmp(sha256, tensor->base_sha256, sizeof sha256) == 0) return tell_misfit(judge, tensor, error);
    char shown[KEN_DELTA_LABEL_SIZE], found[KEN_SHA256_HEX_SIZE], wanted[KEN_SHA256_HEX_SIZE];
    return ken_fail(error, KEN_EDIGEST, "base tensor \"%s\" has SHA-256 %s, the delta was made from %s: this is another base",
                    ken_printable(shown, sizeof shown, tensor->base_name, strlen(tensor->base_name)),
                    ken_hex_encode(found, sha256, sizeof sha256), ken_hex_encode(wanted, tensor->base_sha256, sizeof sha256));
}

int ken_delta_judge_take(struct ken_delta_judge *judge, const struct ken_delta_block *block, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &block->delta->tensors[block->cut.tensor];
    if (!block->cut.first) {
        judge->misfit = NULL;
        int code = tensor->has_base ? ken_digest_init(&judge->digest, error) : KEN_OK;
        if (code) return code;
    }
    if (block->misfit) judge->misfit = block->misfit;
    if (tensor->has_base) ken_digest_update(&judge->digest, block->base_bytes, block->base_length);
    return block->cut.last ? give_judgement(judge, tensor, error) : KEN_OK;
}

void ken_delta_judge_free(struct ken_delta_judge *judge)
{
    ken_digest_free(&judge->digest);
}
