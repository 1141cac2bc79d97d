/* SPDX-License-Identifier: Apache-2.0 */
#include "prune/pool.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MANY = 1000, FEW = 3 };

struct note {
    struct ken_task task;
    struct trace *trace;
    int label;
};

/* What ran, in order; a gate can hold up the first task. */
struct trace {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int label[2 * MANY];
    int count, running, most_running;
    bool gate_open;
};

static struct trace trace = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void run_note(struct ken_task *task)
{
    struct note *note = (struct note *)task;
    pthread_mutex_lock(&note->trace->mutex);
    note->trace->label[note->trace->count++] = note->label;
    pthread_cond_broadcast(&note->trace->changed);
    pthread_mutex_unlock(&note->trace->mutex);
}

static void run_gate(struct ken_task *task)
{
    struct note *note = (struct note *)task;
    pthread_mutex_lock(&note->trace->mutex);
    note->trace->running++;
    pthread_cond_broadcast(&note->trace->changed);
    while (!note->trace->gate_open) pthread_cond_wait(&note->trace->changed, &note->trace->mutex);
    pthread_mutex_unlock(&note->trace->mutex);
}

static void open_gate(void)
{
    pthread_mutex_lock(&trace.mutex);
    trace.gate_open = true;
    pthread_cond_broadcast(&trace.changed);
    pthread_mutex_unlock(&trace.mutex);
}

static void wait_for(int count)
{
    pthread_mutex_lock(&trace.mutex);
    while (trace.count < count) pthread_cond_wait(&trace.changed, &trace.mutex);
    pthread_mutex_unlock(&trace.mutex);
}

/* Until `count` tasks are at the gate. */
static void wait_at_gate(int count)
{
    pthread_mutex_lock(&trace.mutex);
    while (trace.running < count) pthread_cond_wait(&trace.changed, &trace.mutex);
    pthread_mutex_unlock(&trace.mutex);
}

static struct kend_pool *start(unsigned threads)
{
    struct kend_pool *pool;
    trace.count = trace.running = trace.most_running = 0;
    trace.gate_open = false;
    kend_pool_set_threads(threads);
    ck_assert_int_eq(kend_pool_create(&pool, threads, NULL), 0);
    return pool;
}

static struct ken_executor *join(struct kend_pool *pool)
{
    struct ken_executor *executor;
    ck_assert_int_eq(kend_pool_join(pool, &executor, NULL), 0);
    return executor;
}

static void submit_notes(struct ken_executor *executor, struct note *notes, int count, int label, void (*run)(struct ken_task *))
{
    for (int i = 0; i < count; i++) {
        notes[i] = (struct note){.task.run = run, .trace = &trace, .label = label + i};
        executor->ops->submit(executor, &notes[i].task);
    }
}

START_TEST(the_tasks_of_a_job_run_in_order)
{
    static struct note notes[MANY];
    struct kend_pool *pool = start(1);
    struct ken_executor *executor = join(pool);
    ck_assert_uint_eq(executor->threads, 1);
    submit_notes(executor, notes, MANY, 0, run_note);
    wait_for(MANY);
    for (int i = 0; i < MANY; i++) ck_assert_int_eq(trace.label[i], i);
    kend_pool_leave(&executor);
    ck_assert_ptr_null(executor);
    kend_pool_destroy(&pool);
    ck_assert_ptr_null(pool);
    kend_pool_destroy(&pool);
}
END_TEST

/* A job of 3 tasks that comes after one of 1000 waits for 3 of those, not for all. */
START_TEST(jobs_take_turns)
{
    static struct note gate, many[MANY], few[FEW];
    struct kend_pool *pool = start(1);
    struct ken_executor *first = join(pool), *second = join(pool);
    submit_notes(first, &gate, 1, 0, run_gate);
    wait_at_gate(1);
    submit_notes(first, many, MANY, 1000, run_note);
    submit_notes(second, few, FEW, 5000, run_note);
    open_gate();
    wait_for(MANY + FEW);
    const int expected[] = {1000, 5000, 1001, 5001, 1002, 5002, 1003, 1004};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) ck_assert_int_eq(trace.label[i], expected[i]);
    kend_pool_leave(&first);
    kend_pool_leave(&second);
    kend_pool_destroy(&pool);
}
END_TEST

/* Waits, as task, until as many run at once as the pool has threads; then sees that there are never more. */
static void run_crowd(struct ken_task *task)
{
    struct note *note = (struct note *)task;
    pthread_mutex_lock(&trace.mutex);
    if (++trace.running > trace.most_running) trace.most_running = trace.running;
    pthread_cond_broadcast(&trace.changed);
    while (trace.most_running < note->label) pthread_cond_wait(&trace.changed, &trace.mutex);
    pthread_mutex_unlock(&trace.mutex);
    usleep(500);
    pthread_mutex_lock(&trace.mutex);
    trace.running--;
    trace.count++;
    pthread_cond_broadcast(&trace.changed);
    pthread_mutex_unlock(&trace.mutex);
}

START_TEST(as_many_run_at_once_as_there_are_threads)
{
    enum { THREADS = 3, TASKS = 60 };
    static struct note notes[2][TASKS];
    struct kend_pool *pool = start(THREADS);
    struct ken_executor *first = join(pool), *second = join(pool);
    for (int i = 0; i < TASKS; i++) {
        submit_notes(first, &notes[0][i], 1, THREADS, run_crowd);
        submit_notes(second, &notes[1][i], 1, THREADS, run_crowd);
    }
    wait_for(2 * TASKS);
    ck_assert_int_eq(trace.most_running, THREADS);
    kend_pool_leave(&first);
    kend_pool_leave(&second);
    kend_pool_destroy(&pool);
}
END_TEST

START_TEST(destroying_waits_for_what_is_queued)
{
    static struct note gate, notes[MANY];
    struct kend_pool *pool = start(2);
    struct ken_executor *executor = join(pool);
    submit_notes(executor, &gate, 1, 0, run_gate);
    submit_notes(executor, notes, MANY, 0, run_note);
    open_gate();
    kend_pool_destroy(&pool);
    ck_assert_int_eq(trace.count, MANY);
    kend_pool_leave(&executor);
}
END_TEST

struct chain {
    struct ken_task task;
    struct ken_executor *executor;
    atomic_int *left;
};

static void run_chain(struct ken_task *task)
{
    struct chain *chain = (struct chain *)task;
    if (atomic_fetch_sub(chain->left, 1) == 1) {
        open_gate();
        free(chain);
        return;
    }
    struct chain *next = malloc(sizeof *next);
    *next = *chain;
    struct ken_executor *executor = chain->executor;
    free(chain); /* a task is its owner's again once run() may return */
    executor->ops->submit(executor, &next->task);
}

START_TEST(a_task_may_submit_and_may_free_itself)
{
    static atomic_int left = 500;
    struct kend_pool *pool = start(2);
    struct ken_executor *executor = join(pool);
    struct chain *chain = malloc(sizeof *chain);
    *chain = (struct chain){.task.run = run_chain, .executor = executor, .left = &left};
    executor->ops->submit(executor, &chain->task);
    struct note gate = {.trace = &trace};
    run_gate(&gate.task);
    ck_assert_int_eq(left, 0);
    kend_pool_destroy(&pool);
    kend_pool_leave(&executor);
}
END_TEST

static void run_priority(struct ken_task *task)
{
    ((struct note *)task)->label = getpriority(PRIO_PROCESS, (id_t)gettid());
    run_note(task);
}

START_TEST(pruning_yields_to_the_other_threads)
{
    struct note note;
    int own = getpriority(PRIO_PROCESS, (id_t)gettid());
    struct kend_pool *pool = start(1);
    struct ken_executor *executor = join(pool);
    submit_notes(executor, &note, 1, 0, run_priority);
    wait_for(1);
    int lower = own + 5; /* relative: the process may be nice itself */
    ck_assert_int_eq(trace.label[0], lower < 19 ? lower : 19);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, (id_t)gettid()), own);
    kend_pool_leave(&executor);
    kend_pool_destroy(&pool);
}
END_TEST

START_TEST(the_pool_of_libuv_has_a_margin)
{
    kend_pool_set_threads(2);
    ck_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "14");
    kend_pool_set_threads(5000);
    ck_assert_str_eq(getenv("UV_THREADPOOL_SIZE"), "1024");
}
END_TEST

UNIT_MAIN("pool", the_tasks_of_a_job_run_in_order, jobs_take_turns, as_many_run_at_once_as_there_are_threads,
          destroying_waits_for_what_is_queued, a_task_may_submit_and_may_free_itself, pruning_yields_to_the_other_threads,
          the_pool_of_libuv_has_a_margin)
