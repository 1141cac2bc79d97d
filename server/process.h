/* SPDX-License-Identifier: Apache-2.0 */
/* What the system knows of this process, for /metrics. */
#ifndef KEND_PROCESS_H
#define KEND_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct kend_process {
    double cpu_seconds;                     /* user and system */
    uint64_t resident_bytes, virtual_bytes; /* memory */
    uint64_t open_files, max_files;         /* descriptors */
};

/* False where /proc cannot be read. */
bool kend_process_read(struct kend_process *process);

#endif
