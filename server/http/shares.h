/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests of one owner take of a kind (places of those that wait, of streams; bytes in memory): so much at most, so that some stays
 * for others.
 */
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
/* The same for so many more, not 0, for somebody who has `own` already: who is the owner's only one may have any number. */
bool kend_shares_take_more(struct kend_shares *shares, const char *owner, uint64_t own, uint64_t more);
void kend_shares_give_some(struct kend_shares *shares, const char *owner, uint64_t some);

#endif
