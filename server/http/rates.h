/* SPDX-License-Identifier: Apache-2.0 */
/* How often each token, or each client without one, may ask: a bucket for each, that fills by so many requests a second. Thread-safe. */
#ifndef KEND_HTTP_RATES_H
#define KEND_HTTP_RATES_H

#include "error.h"

#include <stdint.h>

enum { KEND_RATE_NAME = 16 };

/* Whose a bucket is; compared byte by byte. */
struct kend_rate_key {
    unsigned char kind; /* not 0; tells names of different kinds apart */
    unsigned char name[KEND_RATE_NAME];
};

struct kend_rates;

/*
 * per_second and burst are at least 1. Memory is taken here and never again: whoever comes when all buckets of a part are taken gets the
 * one that is the fullest, which loses the least by it. KEN_ENOMEM.
 */
int kend_rates_create(struct kend_rates **rates, uint64_t per_second, uint64_t burst, struct ken_error *error);
void kend_rates_destroy(struct kend_rates **rates);
/* Takes one request out of the bucket at `now` (monotonic us). 0, or in how many us there is one. */
int64_t kend_rates_take(struct kend_rates *rates, const struct kend_rate_key *key, int64_t now);

#endif
