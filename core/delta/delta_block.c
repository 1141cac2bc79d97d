/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t ken_delta_cut_number(const struct ken_delta *delta, const struct ken_delta_cut *cut)
{
    return cut->first / ken_packed_elements(delta->entries[cut->tensor].size);
}

enum { ALIGNMENT = 16 }; /* as malloc has it */

/* Bytes of what a block is made of. The model's are the base's own where nothing is done to them. */
struct sizes {
    size_t base, bytes, values, places;
};

_Static_assert((int)KEN_INJECT_BYTES >= 5 * (int)KEN_PACKED_RAW + (int)KEN_PACKED_LONGEST + (int)KEN_UNPACKER_BYTES + (1 << 16),
               "room for the largest block: BF16 of a base of F64, packed");

static size_t aligned(size_t length)
{
    return (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct sizes measure(const struct ken_delta *delta, const struct ken_delta_cut *cut)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[cut->tensor];
    const struct ken_delta_entries *entries = &delta->entries[cut->tensor];
    const bool is_base = tensor->form == KEN_FORM_SAME && tensor->dtype == tensor->base_dtype;
    return (struct sizes){
        .base = tensor->has_base ? aligned(cut->count * entries->base_size) : 0,
        .bytes = is_base ? 0 : aligned(cut->count * entries->size),
        .values = aligned(cut->values_length + KEN_PACKED_SLACK),
        .places = aligned(cut->places_length),
    };
}

uint64_t ken_delta_block_bytes(const struct ken_delta *delta, const struct ken_delta_cut *cut)
{
    const struct sizes sizes = measure(delta, cut);
    const uint64_t unpacker = delta->encoding == KEN_ENCODING_PACKED && cut->values_length ? KEN_UNPACKER_BYTES : 0;
    return sizeof(struct ken_delta_block) + sizes.base + sizes.bytes + sizes.values + sizes.places + unpacker;
}

struct ken_delta_block *ken_delta_block_create(const struct ken_delta *delta, const struct ken_checkpoint *base,
                                               const struct ken_delta_cut *cut)
{
    const struct sizes sizes = measure(delta, cut);
    const struct ken_delta_tensor *tensor = &delta->tensors[cut->tensor];
    struct ken_delta_block *block = calloc(1, sizeof *block);
    unsigned char *memory = malloc(sizes.places + sizes.base + sizes.bytes + sizes.values);
    if (!block || !memory) {
        free(block);
        free(memory);
        return NULL;
    }
    block->delta = delta;
    block->base = tensor->has_base ? ken_checkpoint_find(base, tensor->base_name) : NULL;
    block->base_source = block->base ? base->files[block->base->file].source : NULL;
    block->cut = *cut;
    block->cut.places = memory;
    if (cut->places_length) memcpy(memory, cut->places, cut->places_length);
    block->base_bytes = memory + sizes.places;
    block->base_length = tensor->has_base ? cut->count * delta->entries[cut->tensor].base_size : 0;
    block->values = block->base_bytes + sizes.base;
    block->bytes = sizes.bytes ? block->values + sizes.values : block->base_bytes;
    block->length = cut->count * delta->entries[cut->tensor].size;
    return block;
}

void ken_delta_block_destroy(struct ken_delta_block **block)
{
    if (!*block) return;
    free((void *)(uintptr_t)(*block)->cut.places);
    free(*block);
    *block = NULL;
}

int ken_delta_block_wait(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_delta_cut *cut,
                         struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[cut->tensor];
    const size_t size = delta->entries[cut->tensor].base_size;
    int code = KEN_OK;
    if (cut->values_length)
        code = ken_source_wait_named(delta->checkpoint->files[0].source, "delta", cut->values, cut->values_length, error);
    if (code || !tensor->has_base || !cut->count) return code;
    const struct ken_tensor *from = ken_checkpoint_find(base, tensor->base_name);
    return ken_source_wait_named(base->files[from->file].source, "base", from->offset + cut->first * size, cut->count * size, error);
}

/* ---- on a worker */

/* Reads the base's elements, and makes them the model's unless everything is stored. */
static int take_base(struct ken_delta_block *block, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &block->delta->tensors[block->cut.tensor];
    const size_t size = block->delta->entries[block->cut.tensor].base_size;
    int code =
        ken_source_read(block->base_source, block->base->offset + block->cut.first * size, block->base_bytes, block->base_length, error);
    if (code || tensor->form == KEN_FORM_WHOLE || block->bytes == block->base_bytes) return code;
    if (tensor->dtype == tensor->base_dtype)
        memcpy(block->bytes, block->base_bytes, block->length);
    else
        ken_convert(tensor->base_dtype, block->base_bytes, tensor->dtype, block->bytes, block->cut.count);
    return KEN_OK;
}

static inline __attribute__((always_inline)) void scatter_mask(const struct ken_delta_block *block, size_t size)
{
    const unsigned char *mask = block->cut.places, *value = block->values;
    for (size_t i = 0; i < block->cut.places_length; i++)
        for (unsigned bits = mask[i]; bits; bits &= bits - 1, value += size)
            memcpy(block->bytes + (8 * i + (size_t)__builtin_ctz(bits)) * size, value, size);
}

static inline __attribute__((always_inline)) void scatter_positions(const struct ken_delta_block *block, size_t size)
{
    const uint32_t *positions = block->cut.places;
    for (size_t i = 0; i < block->cut.stored; i++) memcpy(block->bytes + positions[i] * size, block->values + i * size, size);
}

static void scatter(const struct ken_delta_block *block, enum ken_form form, size_t size)
{
    const bool mask = form == KEN_FORM_MASK;
    switch (size) { /* known, a copy is one instruction */
    case 8: mask ? scatter_mask(block, 8) : scatter_positions(block, 8); break;
    case 4: mask ? scatter_mask(block, 4) : scatter_positions(block, 4); break;
    case 2: mask ? scatter_mask(block, 2) : scatter_positions(block, 2); break;
    default: mask ? scatter_mask(block, 1) : scatter_positions(block, 1); break;
    }
}

/* Checks the block of encoding packed, and decodes it. */
static int unpack(struct ken_delta_block *block, struct ken_unpacker *unpacker, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &block->delta->tensors[block->cut.tensor];
    const struct ken_packed_entry *entry = &block->cut.entry;
    const uint64_t number = ken_delta_cut_number(block->delta, &block->cut);
    unsigned char check[sizeof entry->check];
    const char *reason;
    int code = ken_packed_check(check, block->values, entry->length, error);
    if (code) return code;
    if (memcmp(check, entry->check, sizeof check) != 0)
        return ken_delta_fail(error, tensor->name, "block %" PRIu64 " is damaged: it has another SHA-256 than the index tells", number);
    if (tensor->form == KEN_FORM_WHOLE) memset(block->bytes, 0, block->length);
    enum ken_unpacked result =
        ken_unpacker_unpack(unpacker, tensor->dtype, block->bytes, block->cut.count, entry->stored, block->values, entry->length, &reason);
    if (result == KEN_UNPACKED_BAD) return ken_delta_fail(error, tensor->name, "block %" PRIu64 ": %s", number, reason);
    if (result == KEN_UNPACKED_MISFIT) block->misfit = reason;
    return KEN_OK;
}

static int run(struct ken_delta_block *block, struct ken_unpacker *unpacker, struct ken_error *error)
{
    const enum ken_form form = block->delta->tensors[block->cut.tensor].form;
    struct ken_source *source = block->delta->checkpoint->files[0].source;
    const size_t length = block->cut.values_length;
    if (!block->cut.count) return KEN_OK;
    int code = block->base ? take_base(block, error) : KEN_OK;
    if (code || form == KEN_FORM_SAME) return code;
    const bool packed = block->delta->encoding == KEN_ENCODING_PACKED, direct = !packed && form == KEN_FORM_WHOLE;
    if (length) code = ken_source_read(source, block->cut.values, direct ? block->bytes : block->values, length, error);
    if (code || direct) return code;
    memset(block->values + length, 0, KEN_PACKED_SLACK);
    if (packed) return unpack(block, unpacker, error);
    scatter(block, form, block->delta->entries[block->cut.tensor].size);
    return KEN_OK;
}

void ken_delta_block_run(struct ken_delta_block *block, struct ken_unpacker *unpacker)
{
    block->code = run(block, unpacker, &block->error);
}
