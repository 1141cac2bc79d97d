/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_KERNEL_X86_H
#define KEN_KERNEL_X86_H

#include <cpuid.h>
#include <stdbool.h>

/* Not all compilers know of f16c in __builtin_cpu_supports(). Whether the operating system saves the registers is asked there, for AVX. */
static inline bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

#endif
