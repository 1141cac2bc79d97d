/* SPDX-License-Identifier: Apache-2.0 */
/* Condition variables that are waited on for a time which no step of the wall clock changes. */
#ifndef KEN_CONDITION_H
#define KEN_CONDITION_H

#include <pthread.h>
#include <stdint.h>

void ken_condition_init(pthread_cond_t *condition);
/* Waits, the mutex held, to be signalled, for no reason, or until so many milliseconds have passed (at once where they are not above 0). */
void ken_condition_wait_ms(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t milliseconds);

#endif
