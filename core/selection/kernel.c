/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/kernels.h"

#include <stdatomic.h>
#include <string.h>

static const struct ken_kernel *const kernels[] = {
#define X(name) &ken_kernel_##name,
    KEN_KERNEL_MAP(X)
#undef X
};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static _Atomic(const struct ken_kernel *) kernel_in_use; /* NULL until it is first asked for */

static const struct ken_kernel *fastest(void)
{
    size_t i = KERNELS - 1;
    while (i > 0 && !kernels[i]->is_usable()) i--; /* the scalar one, the first, always is */
    return kernels[i];
}

const struct ken_kernel *ken_kernel(void)
{
    const struct ken_kernel *kernel = atomic_load_explicit(&kernel_in_use, memory_order_relaxed);
    if (kernel) return kernel;
    kernel = fastest();
    atomic_store_explicit(&kernel_in_use, kernel, memory_order_relaxed);
    return kernel;
}

const struct ken_kernel *ken_kernel_at(size_t i)
{
    return i < KERNELS ? kernels[i] : NULL;
}

static void fail_unknown(const char *name, struct ken_error *error)
{
#define X(kernel) ", " #kernel
    static const char names[] = "auto" KEN_KERNEL_MAP(X);
#undef X
    ken_fail(error, KEN_EINVALID, "there is no kernel \"%s\" for this architecture: there are %s", name, names);
}

const struct ken_kernel *ken_kernel_find(const char *name, struct ken_error *error)
{
    if (strcmp(name, "auto") == 0) return fastest();
    for (size_t i = 0; i < KERNELS; i++) {
        if (strcmp(kernels[i]->name, name) != 0) continue;
        if (kernels[i]->is_usable()) return kernels[i];
        ken_fail(error, KEN_EINVALID, "this machine has no %s, which the kernel of that name needs", name);
        return NULL;
    }
    fail_unknown(name, error);
    return NULL;
}

int ken_kernel_choose(const char *name, struct ken_error *error)
{
    const struct ken_kernel *kernel = ken_kernel_find(name, error);
    if (!kernel) return KEN_EINVALID;
    atomic_store_explicit(&kernel_in_use, kernel, memory_order_relaxed);
    return KEN_OK;
}

void ken_kernel_widen(enum ken_dtype dtype, const void *in, float *out, size_t n)
{
    switch (dtype) {
    case KEN_F16: ken_kernel()->widen_f16(in, out, n); break;
    case KEN_BF16: ken_kernel()->widen_bf16(in, out, n); break;
    default: ken_widen(dtype, in, out, n);
    }
}
