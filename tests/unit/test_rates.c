/* SPDX-License-Identifier: Apache-2.0 */
#include "http/rates.h"
#include "unit.h"

#include <string.h>

enum { SECOND = 1000000 };

static struct kend_rate_key key_of(uint32_t number)
{
    struct kend_rate_key key = {.kind = 1};
    memcpy(key.name, &number, sizeof number);
    return key;
}

static int64_t take(struct kend_rates *rates, uint32_t number, int64_t now)
{
    const struct kend_rate_key key = key_of(number);
    return kend_rates_take(rates, &key, now);
}

static struct kend_rates *create(uint64_t per_second, uint64_t burst)
{
    struct kend_rates *rates;
    ck_assert_int_eq(kend_rates_create(&rates, per_second, burst, NULL), KEN_OK);
    return rates;
}

START_TEST(a_burst_and_then_the_rate)
{
    struct kend_rates *rates = create(10, 3);
    const int64_t now = 5 * SECOND;
    for (int i = 0; i < 3; i++) ck_assert_int_eq(take(rates, 1, now), 0);
    ck_assert_int_eq(take(rates, 1, now), SECOND / 10);
    ck_assert_int_eq(take(rates, 1, now + SECOND / 20), SECOND / 20); /* a refusal costs nothing */
    ck_assert_int_eq(take(rates, 1, now + SECOND / 10), 0);
    ck_assert_int_eq(take(rates, 1, now + SECOND / 10), SECOND / 10);
    /* Rest fills the bucket, and no further than to the brim. */
    for (int i = 0; i < 3; i++) ck_assert_int_eq(take(rates, 1, now + 3600LL * SECOND), 0);
    ck_assert_int_gt(take(rates, 1, now + 3600LL * SECOND), 0);
    kend_rates_destroy(&rates);
    ck_assert_ptr_null(rates);
}
END_TEST

START_TEST(each_has_its_own)
{
    struct kend_rates *rates = create(1, 1);
    struct kend_rate_key other = key_of(1);
    ck_assert_int_eq(take(rates, 1, SECOND), 0);
    ck_assert_int_gt(take(rates, 1, SECOND), 0);
    ck_assert_int_eq(take(rates, 2, SECOND), 0);
    other.kind = 2;
    ck_assert_int_eq(kend_rates_take(rates, &other, SECOND), 0);
    other.name[KEND_RATE_NAME - 1] = 1;
    ck_assert_int_eq(kend_rates_take(rates, &other, SECOND), 0);
    kend_rates_destroy(&rates);
}
END_TEST

START_TEST(so_many_names_as_there_are)
{
    struct kend_rates *rates = create(1, 10);
    for (uint32_t i = 2; i < 100000; i++) {
        ck_assert_int_eq(take(rates, i, SECOND), 0);
        /* One that asks more than others keeps its bucket whoever comes by. */
        if (i < 12) ck_assert_int_eq(take(rates, 1, SECOND), 0);
    }
    ck_assert_int_gt(take(rates, 1, SECOND), 0);
    kend_rates_destroy(&rates);
}
END_TEST

START_TEST(the_extremes)
{
    struct kend_rates *rates = create(1000000, 1000000);
    for (int i = 0; i < 1000000; i++) ck_assert_int_eq(take(rates, 1, SECOND), 0);
    ck_assert_int_eq(take(rates, 1, SECOND), 1);
    kend_rates_destroy(&rates);
    rates = create(1, 1000000);
    for (int i = 0; i < 1000000; i++) ck_assert_int_eq(take(rates, 1, SECOND), 0);
    ck_assert_int_eq(take(rates, 1, SECOND), SECOND);
    kend_rates_destroy(&rates);
}
END_TEST

UNIT_MAIN("rates", a_burst_and_then_the_rate, each_has_its_own, so_many_names_as_there_are, the_extremes)
