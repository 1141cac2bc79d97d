/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests of one owner there are of a kind (that wait, that are streams): so many at most, so that places stay for others. */
#ifndef KEND_HTTP_SHARES_H
#define KEND_HTTP_SHARES_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct kend_shares;

/* most: of one owner. KEN_ENOMEM. */
int kend_shares_create(struct kend_shares **shares, uint64_t most, struct ken_error *error);
/* All must have been given back. */
void kend_shares_destroy(struct kend_shares **shares);
/* One more of that owner. False: it has as many as it may, or there is no memory to count it. Any thread. */
bool kend_shares_take(struct kend_shares *shares, const char *owner);
/* One less of an owner for whom one was taken. Any thread. */
void kend_shares_give(struct kend_shares *shares, const char *owner);

#endif
