/* SPDX-License-Identifier: Apache-2.0 */
/* Mutations that know a format: libFuzzer calls the one that a target is linked with, which calls libFuzzer's own. */
#ifndef KEN_TESTS_MUTATE_H
#define KEN_TESTS_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Both change data [size] in place, which has room for max_size bytes, and return the new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#endif
