/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels that a build for this architecture has, the fastest last. */
#ifndef KEN_KERNELS_H
#define KEN_KERNELS_H

#if defined(__x86_64__)
#define KEN_KERNEL_MAP(X) X(scalar) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define KEN_KERNEL_MAP(X) X(scalar) X(neon)
#else
#define KEN_KERNEL_MAP(X) X(scalar)
#endif

#define X(name) extern const struct ken_kernel ken_kernel_##name;
KEN_KERNEL_MAP(X)
#undef X

#endif
