/* SPDX-License-Identifier: Apache-2.0 */
/* Time that never jumps, for deadlines and durations. Times that people see come from proto/id.h. */
#ifndef KEND_CLOCK_H
#define KEND_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t kend_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t kend_monotonic_ms(void)
{
    return kend_monotonic_us() / 1000;
}

#endif
