/* SPDX-License-Identifier: Apache-2.0 */
/* A whole delta in encoding packed; then its blocks one by one, whether their checks hold or not, which would stop any mutation. */
#include "delta/delta_internal.h"
#include "delta/packed.h"
#include "fuzz.h"
#include "memory_source.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 32, BLOCKS_MAX = 8 };

/* Decodes one block into elements that are all of one bit pattern: what is behind them stays as it is. */
static void unpack(struct ken_unpacker *unpacker, const struct ken_packed_entry *entry, enum ken_dtype dtype, size_t count,
                   const unsigned char *block)
{
    size_t length = count * ken_packed_size(dtype);
    unsigned char *elements = malloc(length + GUARD), *bytes = malloc(entry->length + KEN_PACKED_SLACK);
    const char *reason;
    KEN_ASSERT(elements && bytes);
    memset(elements, 0x3c, length + GUARD);
    memcpy(bytes, block, entry->length);
    memset(bytes + entry->length, 0xa5, KEN_PACKED_SLACK);
    enum ken_unpacked result = ken_unpacker_unpack(unpacker, dtype, elements, count, entry->stored, bytes, entry->length, &reason);
    KEN_ASSERT((result == KEN_UNPACKED) == !reason);
    for (size_t i = 0; i < GUARD; i++) KEN_ASSERT(elements[length + i] == 0x3c);
    free(elements);
    free(bytes);
}

static void unpack_tensor(struct ken_unpacker *unpacker, const struct ken_delta *delta, size_t number, const unsigned char *file)
{
    const struct ken_tensor *packed = delta->entries[number].values;
    enum ken_dtype dtype = delta->tensors[number].dtype;
    uint64_t elements = delta->entries[number].length / ken_packed_size(dtype), most = ken_packed_elements(ken_packed_size(dtype));
    uint64_t blocks = ken_packed_blocks(elements, ken_packed_size(dtype));
    const unsigned char *index = file + packed->offset, *at = index + KEN_PACKED_INDEX_ENTRY * blocks;
    for (uint64_t i = 0; i < blocks && i < BLOCKS_MAX; i++) {
        struct ken_packed_entry entry;
        ken_packed_entry_read(&entry, index + KEN_PACKED_INDEX_ENTRY * i);
        if (entry.length > (size_t)(file + packed->offset + packed->length - at)) return;
        unpack(unpacker, &entry, dtype, (size_t)(elements - i * most < most ? elements - i * most : most), at);
        at += entry.length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ken_unpacker *unpacker;
    const struct memory_file file = {"delta.safetensors", data, size};
    struct memory_opener opener = make_opener(&file, 1, false);
    struct ken_delta *delta;
    if (!unpacker) KEN_ASSERT(!ken_unpacker_create(&unpacker, NULL));
    fuzz_check_delta(data, size);
    if (ken_delta_open(&delta, &opener.opener, NULL)) return 0;
    for (size_t i = 0; i < delta->tensor_count && delta->encoding == KEN_ENCODING_PACKED; i++)
        if (delta->entries[i].values) unpack_tensor(unpacker, delta, i, data);
    ken_delta_close(&delta);
    return 0;
}
