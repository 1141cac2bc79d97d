/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_KERNEL_X86_H
#define KEN_KERNEL_X86_H

#include "selection/vectors.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>

/* Not all compilers know of f16c in __builtin_cpu_supports(). Whether the operating system saves the registers is asked there, for AVX. */
static inline bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

/* Registers of four also where there are longer ones: what is loaded is what was stored, and nothing has to be blended. */
static inline void add_powers(double *const sums[4], const double *v, const double *v2, const double *v4)
{
    __m256d first = _mm256_loadu_pd(v), second = _mm256_loadu_pd(v2), third = _mm256_mul_pd(first, second), one = _mm256_set1_pd(1);
    __m256d even01 = _mm256_unpacklo_pd(one, first), odd01 = _mm256_unpackhi_pd(one, first);
    __m256d even23 = _mm256_unpacklo_pd(second, third), odd23 = _mm256_unpackhi_pd(second, third);
    __m256d low[4] = {_mm256_permute2f128_pd(even01, even23, 0x20), _mm256_permute2f128_pd(odd01, odd23, 0x20),
                      _mm256_permute2f128_pd(even01, even23, 0x31), _mm256_permute2f128_pd(odd01, odd23, 0x31)};
    for (int i = 0; i < 4; i++) {
        __m256d high = _mm256_mul_pd(low[i], _mm256_broadcast_sd(v4 + i));
        _mm256_storeu_pd(sums[i], _mm256_add_pd(_mm256_loadu_pd(sums[i]), low[i]));
        _mm256_storeu_pd(sums[i] + 4, _mm256_add_pd(_mm256_loadu_pd(sums[i] + 4), high));
    }
}

#endif
