/* SPDX-License-Identifier: Apache-2.0 */
/* Mutates a zip, and has the places in its directory and its end record follow: else nothing could be put in or taken out. */
#include "mutate.h"

#include <string.h>

enum { END_SIZE = 22, DIRECTORY_SIZE = 46 };

/* Where four bytes are found from `from` on; size if they are not. */
static size_t find(const uint8_t *data, size_t size, size_t from, const char *signature)
{
    for (; from + 4 <= size; from++)
        if (memcmp(data + from, signature, 4) == 0) return from;
    return size;
}

static void put32(uint8_t *at, size_t number)
{
    for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(number >> (8 * i));
}

static void repair(uint8_t *data, size_t size)
{
    size_t begin = find(data, size, 0, "PK\1\2"), end = size, local = 0;
    for (size_t at = begin; at < size; at = find(data, size, at + 1, "PK\5\6")) end = at;
    if (end == begin || end + END_SIZE > size) return;
    put32(data + end + 12, end - begin);
    put32(data + end + 16, begin);
    for (size_t at = begin; at + DIRECTORY_SIZE <= end; at = find(data, end, at + 1, "PK\1\2")) {
        local = find(data, begin, local, "PK\3\4");
        put32(data + at + 42, local++);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 4) repair(data, size);
    return size;
}
