/* SPDX-License-Identifier: Apache-2.0 */
#include "executor.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { TASKS = 200 };

struct numbered {
    struct ken_task task;
    int number;
    atomic_int *started, *order; /* order [TASKS] */
    pthread_barrier_t *meeting;  /* or NULL */
};

static void note(struct ken_task *task)
{
    struct numbered *self = (struct numbered *)task;
    atomic_store(&self->order[atomic_fetch_add(self->started, 1)], self->number);
    if (self->meeting) pthread_barrier_wait(self->meeting);
}

static void run_all(unsigned threads, int count, pthread_barrier_t *meeting, atomic_int *started, atomic_int *order)
{
    struct ken_executor *executor;
    static struct numbered tasks[TASKS];
    ck_assert_int_eq(ken_threads_create(&executor, threads, NULL), KEN_OK);
    ck_assert_uint_eq(executor->threads, threads);
    for (int i = 0; i < count; i++) {
        tasks[i] = (struct numbered){.task = {.run = note}, .number = i, .started = started, .order = order, .meeting = meeting};
        executor->ops->submit(executor, &tasks[i].task);
    }
    ken_threads_destroy(&executor); /* waits for what is queued */
    ck_assert_ptr_null(executor);
    ken_threads_destroy(&executor);
}

START_TEST(one_thread_runs_all_in_order)
{
    atomic_int started = 0, order[TASKS];
    run_all(1, TASKS, NULL, &started, order);
    ck_assert_int_eq(atomic_load(&started), TASKS);
    for (int i = 0; i < TASKS; i++) ck_assert_int_eq(atomic_load(&order[i]), i);
}
END_TEST

/* Three tasks that wait for each other end only if three threads run at once. */
START_TEST(threads_run_at_once)
{
    atomic_int started = 0, order[TASKS];
    pthread_barrier_t meeting;
    pthread_barrier_init(&meeting, NULL, 3);
    run_all(3, 9, &meeting, &started, order);
    ck_assert_int_eq(atomic_load(&started), 9);
    pthread_barrier_destroy(&meeting);
}
END_TEST

UNIT_MAIN("threads", one_thread_runs_all_in_order, threads_run_at_once)
