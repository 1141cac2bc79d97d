/* SPDX-License-Identifier: Apache-2.0 */
/* One bound for all buffers of all prunings of a process (`prune.memory`). */
#ifndef KEN_BUDGET_H
#define KEN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct ken_budget;

/* NULL if out of memory. */
struct ken_budget *ken_budget_create(uint64_t bytes);
void ken_budget_destroy(struct ken_budget **budget);
uint64_t ken_budget_total(const struct ken_budget *budget);
/*
 * Takes `bytes` (at most the total), waiting first come, first served until they are free; `cancelled` (may be NULL) is asked every 50 ms.
 * False if cancelled: nothing was taken. Whoever waits must hold nothing of the same budget that only its own progress would give back.
 */
bool ken_budget_acquire(struct ken_budget *budget, uint64_t bytes, bool (*cancelled)(void *opaque), void *opaque);
/* As acquire without waiting; false if the bytes are not free or others wait. */
bool ken_budget_try(struct ken_budget *budget, uint64_t bytes);
void ken_budget_release(struct ken_budget *budget, uint64_t bytes);

#endif
