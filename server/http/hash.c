/* SPDX-License-Identifier: Apache-2.0 */
#include "http/hash.h"

#include <sys/random.h>

uint32_t kend_hash(uint32_t seed, const void *key, size_t length)
{
    const unsigned char *bytes = key;
    uint32_t hash = 2166136261U ^ seed;
    for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 16777619U;
    return hash ^ hash >> 16;
}

uint32_t kend_hash_seed(void)
{
    uint32_t seed;
    return getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed ? seed : 0;
}
