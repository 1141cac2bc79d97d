/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_ALLOCATOR_H
#define KEN_ALLOCATOR_H

/*
 * Has the C library keep what one block of rows frees for the next: given back to the system, every page would have to be faulted in and
 * cleared again. At most 16 MiB for every thread that begins blocks, which is one for each running job. Other C libraries than glibc do as
 * they always do. For the first lines of main.
 */
void ken_allocator_keep_freed(void);

#endif
