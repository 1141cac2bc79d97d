/* SPDX-License-Identifier: Apache-2.0 */
/* Mutates header and data of a safetensors file apart, and has the length in front of the header follow: else hardly any would be read. */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8 };

static size_t header_length(const uint8_t *data, size_t size)
{
    uint64_t length = 0;
    if (size < LENGTH_SIZE) return 0;
    for (unsigned i = 0; i < LENGTH_SIZE; i++) length |= (uint64_t)data[i] << (8 * i);
    return length <= size - LENGTH_SIZE ? (size_t)length : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size_t header = header_length(data, size), rest = size - LENGTH_SIZE - header;
    if (!header || seed % 8 == 0 || max_size < size) return LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 == 1 && rest) return size - rest + LLVMFuzzerMutate(data + size - rest, rest, max_size - (size - rest));
    uint8_t *tail = malloc(rest + 1);
    if (!tail) return size;
    memcpy(tail, data + size - rest, rest);
    header = LLVMFuzzerMutate(data + LENGTH_SIZE, header, max_size - LENGTH_SIZE - rest);
    memcpy(data + LENGTH_SIZE + header, tail, rest);
    free(tail);
    for (unsigned i = 0; i < LENGTH_SIZE; i++) data[i] = (uint8_t)((uint64_t)header >> (8 * i));
    return LENGTH_SIZE + header + rest;
}
