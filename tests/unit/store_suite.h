/* SPDX-License-Identifier: Apache-2.0 */
/* What every back end of the store must do. Each case gets an empty store, and leaves it in any state. */
#ifndef KEND_TESTS_STORE_SUITE_H
#define KEND_TESTS_STORE_SUITE_H

#include "jobs/store.h"

struct store_case {
    const char *name;
    void (*run)(struct kend_store *store);
};
extern const struct store_case store_suite[];
extern const size_t store_suite_count;

/* A job "ID" for tests: `number` is its place in the order of ids. */
void store_suite_id(char id[PROTO_ID_SIZE], int number);
/* Creates job `number` of owner "alice" at time `now`, without key and metadata. */
enum kend_store_result store_suite_create(struct kend_store *store, int number, int64_t now);

#endif
