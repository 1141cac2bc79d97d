/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow by doubling. */
#ifndef KEN_ARRAY_H
#define KEN_ARRAY_H

#include <stddef.h>

/*
 * The array [*capacity], of which `count` elements of `size` bytes are in use, with room for one more: maybe moved, *capacity maybe larger.
 * NULL if out of memory, then the array is as it was. An empty array is NULL with *capacity 0.
 */
void *ken_array_grow(void *array, size_t count, size_t *capacity, size_t size);

#endif
