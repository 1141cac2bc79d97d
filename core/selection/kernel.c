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
enum { KERNELS = sizeof kernels / sizeof *kernels };

static _Atomic(const struct ken_kernel *) kernel_in_use; /* NULL until it is first asked for */

static const struct ken_kernel *fastest(void)
{
    size_t i = KERNELS - 1;
    while (!kernels[i]->is_usable()) i--; /* the scalar one always is */
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

int ken_kernel_choose(const char *name, struct ken_error *error)
{
    const struct ken_kernel *kernel = NULL;
    if (strcmp(name, "auto") == 0) kernel = fastest();
    for (size_t i = 0; !kernel && i < KERNELS; i++)
        if (strcmp(kernels[i]->name, name) == 0) kernel = kernels[i];
    if (!kernel) return ken_fail(error, KEN_EINVALID, "this build has no kernel \"%s\"", name);
    if (!kernel->is_usable()) return ken_fail(error, KEN_EINVALID, "this machine cannot run the kernel \"%s\"", name);
    atomic_store_explicit(&kernel_in_use, kernel, memory_order_relaxed);
    return KEN_OK;
}
