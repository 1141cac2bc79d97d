/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of encoding packed. Input: a byte of dtype and mode, a u16 of elements, a u16 of those that are stored, and the rest. The rest
 * is a block to be decoded, or, in the other mode, elements to be coded: what was coded must come back.
 */
#include "delta/packed.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 5, GUARD = 32, COUNT_MAX = 1024, CODE = 0x80, NEAR = 0x40 };

struct input {
    enum ken_dtype dtype;
    size_t size, count, stored; /* bytes of an element; elements */
    const uint8_t *rest;        /* [length] */
    size_t length;
    bool near;
};

static struct ken_unpacker *unpacker;
static struct ken_packer *packer;

/* Elements of the base, in many classes of exponents, and a guard behind them. */
static unsigned char *make_base(size_t size, size_t count)
{
    static unsigned char pattern[COUNT_MAX * 8 + GUARD];
    unsigned char *base = malloc(count * size + GUARD);
    KEN_ASSERT(base);
    for (size_t i = 0; i < sizeof pattern && !pattern[sizeof pattern - 1]; i++) pattern[i] = (unsigned char)(i * 41 + (i >> 5) * 7);
    memcpy(base, pattern, count * size + GUARD);
    return base;
}

/* Decodes bytes with that in the slack behind them, which must not matter, into elements that begin as the base's. */
static enum ken_unpacked unpack(const struct input *input, const unsigned char *bytes, size_t length, unsigned char slack,
                                unsigned char **elements)
{
    unsigned char *block = malloc(length + KEN_PACKED_SLACK), *guard = make_base(input->size, input->count);
    const char *reason;
    KEN_ASSERT(block);
    if (length) memcpy(block, bytes, length);
    memset(block + length, slack, KEN_PACKED_SLACK);
    *elements = make_base(input->size, input->count);
    enum ken_unpacked result = ken_unpacker_unpack(unpacker, input->dtype, *elements, input->count, input->stored, block, length, &reason);
    size_t end = input->count * input->size;
    KEN_ASSERT((result == KEN_UNPACKED) == !reason);
    KEN_ASSERT(memcmp(*elements + end, guard + end, GUARD) == 0);
    if (result == KEN_UNPACKED_BAD) KEN_ASSERT(memcmp(*elements, guard, end) == 0);
    free(guard);
    free(block);
    return result;
}

static void decode(const struct input *input)
{
    unsigned char *once, *again;
    enum ken_unpacked result = unpack(input, input->rest, input->length, 0, &once);
    KEN_ASSERT(unpack(input, input->rest, input->length, 0xff, &again) == result);
    fuzz_accepted = result == KEN_UNPACKED;
    if (fuzz_accepted) KEN_ASSERT(memcmp(once, again, input->count * input->size) == 0);
    free(once);
    free(again);
}

/* The rest: a mask, and the values of those that are stored, from its beginning again where it is too short. */
static void code_and_decode(struct input *input)
{
    size_t size = input->size;
    unsigned char *base = make_base(size, input->count), *model = make_base(size, input->count), *decoded;
    unsigned char *mask = calloc(1, input->count / 8 + 1), *values = malloc(input->count * size + 1),
                  *bases = malloc(input->count * size + 1);
    struct ken_packed_entry entry;
    const unsigned char *bytes;
    KEN_ASSERT(mask && values && bases);
    input->stored = 0;
    for (size_t i = 0, at = 0; i < input->count; i++) {
        if (!(input->rest[i / 8 % input->length] >> i % 8 & 1)) continue;
        mask[i / 8] = (unsigned char)(mask[i / 8] | 1U << i % 8);
        for (size_t j = 0; j < (input->near ? (size + 1) / 2 : size); j++) model[i * size + j] = input->rest[at++ % input->length];
        memcpy(values + input->stored * size, model + i * size, size);
        memcpy(bases + input->stored++ * size, base + i * size, size);
    }
    const struct ken_packed_input packed = {input->dtype, input->count, input->stored, mask, values, bases};
    KEN_ASSERT(!ken_packer_pack(packer, &packed, &bytes, &entry, NULL));
    KEN_ASSERT(entry.length <= KEN_PACKED_LONGEST && entry.stored == input->stored);
    KEN_ASSERT(unpack(input, bytes, entry.length, 0xa5, &decoded) == KEN_UNPACKED);
    KEN_ASSERT(memcmp(decoded, model, input->count * size) == 0);
    fuzz_accepted = true;
    free(base);
    free(model);
    free(decoded);
    free(mask);
    free(values);
    free(bases);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD) return 0;
    struct input input = {.dtype = (enum ken_dtype)((data[0] & (NEAR - 1)) % KEN_DTYPE_COUNT),
                          .rest = data + HEAD,
                          .length = size - HEAD,
                          .near = data[0] & NEAR};
    if (!packer) KEN_ASSERT(!ken_packer_create(&packer, NULL) && !ken_unpacker_create(&unpacker, NULL));
    input.size = ken_packed_size(input.dtype);
    input.count = (data[1] | (size_t)data[2] << 8) % (COUNT_MAX + 1);
    input.stored = data[3] | (size_t)data[4] << 8;
    fuzz_accepted = false;
    if (!(data[0] & CODE))
        decode(&input);
    else if (input.length)
        code_and_decode(&input);
    return 0;
}
