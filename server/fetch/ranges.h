/* SPDX-License-Identifier: Apache-2.0 */
/* A set of byte positions as sorted, disjoint, never touching ranges. */
#ifndef KEND_RANGES_H
#define KEND_RANGES_H

#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kend_range {
    uint64_t first, end; /* [first, end) */
};

/* All zero: the empty set. */
struct kend_ranges {
    struct kend_range *list; /* [count] */
    size_t count, capacity;
    uint64_t total; /* bytes in all */
};

/* Adds [first, end); nothing if it is empty. KEN_ENOMEM: unchanged. */
int kend_ranges_add(struct kend_ranges *ranges, uint64_t first, uint64_t end);
/* Whether all of [first, end) is in it; an empty range always is. */
bool kend_ranges_hold(const struct kend_ranges *ranges, uint64_t first, uint64_t end);
/* The first position at or after `from` that is not in it. */
uint64_t kend_ranges_reach(const struct kend_ranges *ranges, uint64_t from);
/* The first gap within [from, limit). False: there is none. */
bool kend_ranges_gap(const struct kend_ranges *ranges, uint64_t from, uint64_t limit, struct kend_range *gap);
/* Empties it and frees its memory. */
void kend_ranges_clear(struct kend_ranges *ranges);
/* *copy must be empty. */
int kend_ranges_copy(struct kend_ranges *copy, const struct kend_ranges *ranges);
/* [[first, end], ...], a new reference; NULL if out of memory. */
json_t *kend_ranges_to_json(const struct kend_ranges *ranges);
/* KEN_EINVALID unless it is what kend_ranges_to_json made of a set below `limit`; *ranges must be empty and stays so then. */
int kend_ranges_from_json(struct kend_ranges *ranges, const json_t *json, uint64_t limit);

#endif
