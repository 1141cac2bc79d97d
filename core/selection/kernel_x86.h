/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_KERNEL_X86_H
#define KEN_KERNEL_X86_H

#include "selection/arrangement.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>

/* Not all compilers know of f16c in __builtin_cpu_supports(). Whether the operating system saves the registers is asked there, for AVX. */
static inline bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

static inline void add_to(double *sums, __m256d low, __m256d high)
{
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), low));
    _mm256_storeu_pd(sums + 4, _mm256_add_pd(_mm256_loadu_pd(sums + 4), high));
}

/* Registers of four also where there are longer ones: what is loaded is what was stored, and nothing has to be blended. */
static inline void add_powers(double *const sums[4], const double *v, const double *v2, const double *v4)
{
    __m256d first = _mm256_loadu_pd(v), second = _mm256_loadu_pd(v2), third = _mm256_mul_pd(first, second), one = _mm256_set1_pd(1);
    __m256d even01 = _mm256_unpacklo_pd(one, first), odd01 = _mm256_unpackhi_pd(one, first);
    __m256d even23 = _mm256_unpacklo_pd(second, third), odd23 = _mm256_unpackhi_pd(second, third);
    __m256d low[4] = {_mm256_permute2f128_pd(even01, even23, 0x20), _mm256_permute2f128_pd(odd01, odd23, 0x20),
                      _mm256_permute2f128_pd(even01, even23, 0x31), _mm256_permute2f128_pd(odd01, odd23, 0x31)};
    __m256d high[4];
    for (int i = 0; i < 4; i++) high[i] = _mm256_mul_pd(low[i], _mm256_broadcast_sd(v4 + i));
    if ((sums[0] == sums[1]) & (sums[1] == sums[2]) & (sums[2] == sums[3])) { /* clusters: each would wait for the one before */
        __m256d all_low = _mm256_add_pd(_mm256_add_pd(low[0], low[1]), _mm256_add_pd(low[2], low[3]));
        __m256d all_high = _mm256_add_pd(_mm256_add_pd(high[0], high[1]), _mm256_add_pd(high[2], high[3]));
        add_to(sums[0], all_low, all_high);
        return;
    }
    for (int i = 0; i < 4; i++) add_to(sums[i], low[i], high[i]);
}

#endif
