/* SPDX-License-Identifier: Apache-2.0 */
/* Two doubles at once, by the compiler's vector type: every 64-bit machine has an instruction for it, and lanes cannot be mixed up. */
#ifndef KEN_PAIR_H
#define KEN_PAIR_H

#include <string.h>

typedef double ken_pair __attribute__((vector_size(16)));

static inline ken_pair ken_pair_load(const double *at)
{
    ken_pair pair;
    memcpy(&pair, at, sizeof pair);
    return pair;
}

static inline void ken_pair_store(double *at, ken_pair pair)
{
    memcpy(at, &pair, sizeof pair);
}

static inline ken_pair ken_pair_of(double both)
{
    return (ken_pair){both, both};
}

#endif
