/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void *ken_array_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return array;
    if (*capacity > SIZE_MAX / 2 / size) return NULL;
    size_t more = *capacity ? 2 * *capacity : FIRST_CAPACITY;
    void *larger = realloc(array, more * size);
    if (larger) *capacity = more;
    return larger;
}
