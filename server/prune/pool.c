/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks wait in one queue for each executor; executors with tasks stand in a ring. Who takes a task takes the first one of the first
 * executor, and sends that executor to the ring's end. The loop thread gives tasks to libuv's pool, as long as fewer than `threads` of its
 * threads run some: that pool is larger, so that file work finds a thread while all that prune are busy. A thread that has run a task
 * takes the next one itself, while there is one: a block is soon done, and the way over the loop would take a part of that time.
 */
#include "prune/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum {
    MARGIN = 12,         /* threads of libuv's pool for what is fetched: a few files that are slow to save leave some to the others */
    MOST_THREADS = 1024, /* of libuv's pool, by libuv */
    NICE = 5,            /* above the process's own: pruning yields to whoever answers requests, but not to all that runs on the machine */
};

struct executor {
    struct ken_executor base; /* first: what others see */
    struct kend_pool *pool;
    struct ken_task *first, **last; /* FIFO */
    struct executor *next;          /* in the ring, while there are tasks */
};

struct slot {
    uv_work_t work;
    struct ken_task *task;
    struct kend_pool *pool;
    struct slot *next; /* free */
};

struct kend_pool {
    uv_loop_t loop;
    uv_async_t wake;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the ring, the queues and `ending` */
    struct executor *head, **tail;
    bool ending;
    /* the loop thread's alone */
    struct slot *idle;
    unsigned in_flight;
    unsigned threads;
    struct slot slots[]; /* [threads] */
};

static void enter_ring(struct kend_pool *pool, struct executor *executor)
{
    executor->next = NULL;
    *pool->tail = executor;
    pool->tail = &executor->next;
}

static struct ken_task *take_task(struct kend_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct ken_task *task = NULL;
    struct executor *executor = pool->head;
    if (executor) {
        pool->head = executor->next;
        if (!pool->head) pool->tail = &pool->head;
        task = executor->first;
        executor->first = task->next;
        if (executor->first)
            enter_ring(pool, executor);
        else
            executor->last = &executor->first;
    }
    pthread_mutex_unlock(&pool->mutex);
    return task;
}

static void submit(struct ken_executor *base, struct ken_task *task)
{
    struct executor *executor = (struct executor *)base;
    struct kend_pool *pool = executor->pool;
    task->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    KEN_ASSERT(!pool->ending);
    if (!executor->first) enter_ring(pool, executor);
    *executor->last = task;
    executor->last = &task->next;
    uv_async_send(&pool->wake); /* under the mutex: once it is free, the task may have run and the pool be gone */
    pthread_mutex_unlock(&pool->mutex);
}

static const struct ken_executor_ops operations = {.submit = submit};

/* On a thread of libuv's pool. */
static void run_slot(uv_work_t *work)
{
    static _Thread_local bool lowered;
    id_t thread = (id_t)gettid();
    if (!lowered) setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + NICE); /* on Linux, of this thread alone */
    lowered = true;
    struct slot *slot = work->data;
    for (struct ken_task *task = slot->task; task; task = take_task(slot->pool)) task->run(task); /* may free the task */
}

static void slot_done(uv_work_t *work, int status);

/* On the loop thread. */
static void dispatch(struct kend_pool *pool)
{
    while (pool->idle) {
        struct ken_task *task = take_task(pool);
        if (!task) break;
        struct slot *slot = pool->idle;
        pool->idle = slot->next;
        slot->task = task;
        pool->in_flight++;
        KEN_ASSERT(uv_queue_work(&pool->loop, &slot->work, run_slot, slot_done) == 0);
    }
    if (pool->in_flight || uv_is_closing((uv_handle_t *)&pool->wake)) return;
    pthread_mutex_lock(&pool->mutex);
    bool end = pool->ending;
    pthread_mutex_unlock(&pool->mutex);
    if (end) uv_close((uv_handle_t *)&pool->wake, NULL);
}

static void slot_done(uv_work_t *work, int status)
{
    (void)status;
    struct slot *slot = work->data;
    slot->next = slot->pool->idle;
    slot->pool->idle = slot;
    slot->pool->in_flight--;
    dispatch(slot->pool);
}

static void woken(uv_async_t *wake)
{
    dispatch(wake->data);
}

static void *run_loop(void *opaque)
{
    struct kend_pool *pool = opaque;
    pthread_setname_np(pthread_self(), "kend-pool");
    uv_run(&pool->loop, UV_RUN_DEFAULT);
    return NULL;
}

int kend_pool_create(struct kend_pool **out, unsigned threads, struct ken_error *error)
{
    *out = NULL;
    KEN_ASSERT(threads >= 1);
    struct kend_pool *pool = calloc(1, sizeof *pool + threads * sizeof *pool->slots);
    if (!pool) return ken_fail(error, KEN_ENOMEM, "starting the pool");
    pool->threads = threads;
    pool->tail = &pool->head;
    for (unsigned i = 0; i < threads; i++) {
        struct slot *slot = &pool->slots[i];
        *slot = (struct slot){.pool = pool, .next = pool->idle};
        slot->work.data = slot;
        pool->idle = slot;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    int cause = -uv_loop_init(&pool->loop);
    if (cause) goto no_loop;
    cause = -uv_async_init(&pool->loop, &pool->wake, woken);
    if (cause) goto no_wake;
    pool->wake.data = pool;
    cause = pthread_create(&pool->thread, NULL, run_loop, pool);
    if (cause) goto no_thread;
    *out = pool;
    return 0;

no_thread:
    uv_close((uv_handle_t *)&pool->wake, NULL);
    uv_run(&pool->loop, UV_RUN_DEFAULT);
no_wake:
    uv_loop_close(&pool->loop);
no_loop:
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
    return ken_fail_errno(error, cause, "starting the pool");
}

void kend_pool_set_threads(unsigned threads)
{
    char size[16];
    snprintf(size, sizeof size, "%u", threads < MOST_THREADS - MARGIN ? threads + MARGIN : MOST_THREADS);
    setenv("UV_THREADPOOL_SIZE", size, 1);
}

void kend_pool_destroy(struct kend_pool **pool)
{
    if (!*pool) return;
    pthread_mutex_lock(&(*pool)->mutex);
    (*pool)->ending = true;
    uv_async_send(&(*pool)->wake); /* under the mutex: a block that ends may make the loop close it */
    pthread_mutex_unlock(&(*pool)->mutex);
    pthread_join((*pool)->thread, NULL);
    KEN_ASSERT(!(*pool)->head && uv_loop_close(&(*pool)->loop) == 0);
    pthread_mutex_destroy(&(*pool)->mutex);
    free(*pool);
    *pool = NULL;
}

int kend_pool_join(struct kend_pool *pool, struct ken_executor **out, struct ken_error *error)
{
    struct executor *executor = calloc(1, sizeof *executor);
    *out = executor ? &executor->base : NULL;
    if (!executor) return ken_fail(error, KEN_ENOMEM, "out of memory for joining the pool");
    executor->base.ops = &operations;
    executor->base.threads = pool->threads;
    executor->pool = pool;
    executor->last = &executor->first;
    return 0;
}

void kend_pool_leave(struct ken_executor **base)
{
    struct executor *executor = (struct executor *)*base;
    if (!executor) return;
    KEN_ASSERT(!executor->first);
    free(executor);
    *base = NULL;
}
