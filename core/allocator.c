/* SPDX-License-Identifier: Apache-2.0 */
#include "allocator.h"

#include <malloc.h>

void ken_allocator_keep_freed(void)
{
#ifdef M_TRIM_THRESHOLD
    enum { KEPT_BYTES = 16 << 20 };
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES / 2);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
}
