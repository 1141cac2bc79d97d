/* SPDX-License-Identifier: Apache-2.0 */
#include "http/shares.h"
#include "unit.h"

#include <stdio.h>

static struct kend_shares *create(uint64_t most)
{
    struct kend_shares *shares;
    ck_assert_int_eq(kend_shares_create(&shares, most, NULL), KEN_OK);
    return shares;
}

START_TEST(each_owner_has_a_share)
{
    struct kend_shares *shares = create(2);
    ck_assert(kend_shares_take(shares, "a") && kend_shares_take(shares, "a") && !kend_shares_take(shares, "a"));
    ck_assert(kend_shares_take(shares, "") && kend_shares_take(shares, "b"));
    kend_shares_give(shares, "a");
    ck_assert(kend_shares_take(shares, "a") && !kend_shares_take(shares, "a"));
    kend_shares_give(shares, "a");
    kend_shares_give(shares, "a");
    kend_shares_give(shares, "");
    kend_shares_give(shares, "b");
    kend_shares_destroy(&shares);
    ck_assert_ptr_null(shares);
}
END_TEST

START_TEST(the_only_one_of_an_owner_takes_any_number)
{
    struct kend_shares *shares = create(10);
    ck_assert(kend_shares_take_more(shares, "a", 0, 100) && kend_shares_take_more(shares, "a", 100, 50));
    ck_assert(!kend_shares_take_more(shares, "a", 0, 1) && !kend_shares_take(shares, "a"));
    ck_assert(kend_shares_take_more(shares, "b", 0, 4) && kend_shares_take_more(shares, "b", 0, 6));
    ck_assert(!kend_shares_take_more(shares, "b", 4, 1));
    kend_shares_give_some(shares, "b", 4);
    ck_assert(kend_shares_take_more(shares, "b", 6, 100));
    kend_shares_give_some(shares, "b", 106);
    kend_shares_give_some(shares, "a", 100);
    kend_shares_give_some(shares, "a", 50);
    kend_shares_destroy(&shares);
}
END_TEST

START_TEST(owners_of_one_hash_are_told_apart)
{
    enum { OWNERS = 2000 };
    struct kend_shares *shares = create(1);
    char owner[24];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < OWNERS; i++) {
            snprintf(owner, sizeof owner, "owner%d", i);
            ck_assert(kend_shares_take(shares, owner) && !kend_shares_take(shares, owner));
        }
        for (int i = OWNERS - 1; i >= 0; i -= 1) {
            snprintf(owner, sizeof owner, "owner%d", round ? i : OWNERS - 1 - i);
            kend_shares_give(shares, owner);
        }
    }
    kend_shares_destroy(&shares);
}
END_TEST

UNIT_MAIN("shares", each_owner_has_a_share, the_only_one_of_an_owner_takes_any_number, owners_of_one_hash_are_told_apart)
