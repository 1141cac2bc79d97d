/* SPDX-License-Identifier: Apache-2.0 */
/* Method `random`: the columns with the smallest keys of a counter-based generator. Its definition: docs/design/selection.md. */
#include "selection/methods.h"

struct block {
    uint32_t word[4];
};

/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
static struct block philox(struct block counter, uint64_t key)
{
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)counter.word[0] * UINT32_C(0xd2511f53), product1 = (uint64_t)counter.word[2] * UINT32_C(0xcd9e8d57);
        counter = (struct block){{(uint32_t)(product1 >> 32) ^ counter.word[1] ^ key0, (uint32_t)product1,
                                  (uint32_t)(product0 >> 32) ^ counter.word[3] ^ key1, (uint32_t)product0}};
        key0 += UINT32_C(0x9e3779b9);
        key1 += UINT32_C(0xbb67ae85);
    }
    return counter;
}

static struct block counter_of(uint64_t low, uint64_t high)
{
    return (struct block){{(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
}

static uint64_t half_of(const struct block *block, size_t half)
{
    return block->word[2 * half] | (uint64_t)block->word[2 * half + 1] << 32;
}

static uint64_t little_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static size_t scratch_bytes(size_t n)
{
    return n * sizeof(uint64_t);
}

static void select_random(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch)
{
    uint64_t *keys = scratch;
    struct block row_block = philox(counter_of(seed, row->row), little_endian(row->tensor_key));
    uint64_t row_key = half_of(&row_block, 0), row_counter = half_of(&row_block, 1);
    for (size_t i = 0; i < row->n; i += 2) {
        struct block pair = philox(counter_of(i / 2, row_counter), row_key);
        keys[i] = half_of(&pair, 0);
        if (i + 1 < row->n) keys[i + 1] = half_of(&pair, 1);
    }
    ken_take_smallest(keys, row->n, k, mask);
}

const struct ken_selector ken_selector_random = {scratch_bytes, select_random};
