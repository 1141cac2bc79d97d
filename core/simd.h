/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler's vector types, of a size of which every instruction set can make as many registers as it needs. */
#ifndef KEN_SIMD_H
#define KEN_SIMD_H

#include <stdint.h>

#pragma GCC diagnostic ignored "-Wpsabi" /* they are returned by what is inlined only */

typedef double v8d __attribute__((vector_size(64)));
typedef int64_t v8l __attribute__((vector_size(64)));
typedef float v16f __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef double v4d __attribute__((vector_size(32)));
typedef uint16_t v8us __attribute__((vector_size(16)));
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef uint32_t v4u __attribute__((vector_size(16)));

#endif
