/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct taker {
    struct ken_budget *budget;
    uint64_t bytes;
    atomic_int *turn;
    int got; /* which turn it was */
};

static void *take(void *opaque)
{
    struct taker *taker = opaque;
    ck_assert(ken_budget_acquire(taker->budget, taker->bytes, NULL, NULL));
    taker->got = atomic_fetch_add(taker->turn, 1);
    ken_budget_release(taker->budget, taker->bytes);
    return NULL;
}

static bool after_three(void *opaque)
{
    return ++*(int *)opaque >= 3;
}

START_TEST(the_total_is_the_bound)
{
    struct ken_budget *budget = ken_budget_create(100);
    ck_assert_uint_eq(ken_budget_total(budget), 100);
    ck_assert(ken_budget_acquire(budget, 60, NULL, NULL));
    ck_assert(ken_budget_try(budget, 40));
    ck_assert(!ken_budget_try(budget, 1));
    ck_assert(ken_budget_try(budget, 0));
    ken_budget_release(budget, 60);
    ck_assert(!ken_budget_try(budget, 61));
    ck_assert(ken_budget_try(budget, 60));
    ken_budget_release(budget, 100);
    ken_budget_destroy(&budget);
    ck_assert_ptr_null(budget);
    ken_budget_destroy(&budget);
}
END_TEST

START_TEST(waiting_ends_when_cancelled)
{
    struct ken_budget *budget = ken_budget_create(10);
    int asked = 0;
    ck_assert(ken_budget_acquire(budget, 10, NULL, NULL));
    ck_assert(!ken_budget_acquire(budget, 1, after_three, &asked));
    ck_assert_int_eq(asked, 3);
    ken_budget_release(budget, 10);
    ck_assert(ken_budget_try(budget, 10)); /* the cancelled one took nothing and left the queue */
    ken_budget_release(budget, 10);
    ken_budget_destroy(&budget);
}
END_TEST

/* A large need waits first; the small one behind it must not overtake, although it would fit. */
START_TEST(first_come_first_served)
{
    struct ken_budget *budget = ken_budget_create(10);
    atomic_int turn = 0;
    struct taker large = {budget, 10, &turn, -1}, small = {budget, 1, &turn, -1};
    pthread_t threads[2];
    ck_assert(ken_budget_acquire(budget, 5, NULL, NULL));
    pthread_create(&threads[0], NULL, take, &large);
    while (ken_budget_try(budget, 1)) { /* until the large one stands in the queue */
        ken_budget_release(budget, 1);
        usleep(1000);
    }
    pthread_create(&threads[1], NULL, take, &small);
    usleep(20000);
    ck_assert_int_eq(atomic_load(&turn), 0);
    ken_budget_release(budget, 5);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_eq(large.got, 0);
    ck_assert_int_eq(small.got, 1);
    ken_budget_destroy(&budget);
}
END_TEST

UNIT_MAIN("budget", the_total_is_the_bound, waiting_ends_when_cancelled, first_come_first_served)
