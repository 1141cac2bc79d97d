/* SPDX-License-Identifier: Apache-2.0 */
/* A store that passes calls on to another, and fails one of them on purpose. */
#ifndef KEND_TESTS_STORE_FAULT_H
#define KEND_TESTS_STORE_FAULT_H

#include "jobs/store.h"

/* When the failing call does its work: an answer that is lost after the commit looks like a failure, too. */
enum store_fault_time { STORE_FAULT_BEFORE, STORE_FAULT_AFTER };

/* Takes `inner` over; closing the result closes it. NULL if out of memory. */
struct kend_store *store_fault_open(struct kend_store *inner);
/* The n-th call from now (1: the next) gives `result`; 0: none does. AFTER: it has been passed on, its answer is dropped. */
void store_fault_arm(struct kend_store *store, unsigned n, enum kend_store_result result, enum store_fault_time time);
/* Calls since the last arming. */
unsigned store_fault_calls(struct kend_store *store);

#endif
