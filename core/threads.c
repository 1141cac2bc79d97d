/* SPDX-License-Identifier: Apache-2.0 */
#include "executor.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* An executor with threads of its own: one queue, first come, first served. */
struct threads {
    struct ken_executor executor; /* first: what callers hold */
    pthread_mutex_t lock;
    pthread_cond_t queued;
    struct ken_task *first, **last;
    bool ending;
    pthread_t *threads; /* [executor.threads] */
};

static struct threads *threads_of(struct ken_executor *executor)
{
    return (struct threads *)executor;
}

static void submit(struct ken_executor *executor, struct ken_task *task)
{
    struct threads *threads = threads_of(executor);
    task->next = NULL;
    pthread_mutex_lock(&threads->lock);
    *threads->last = task;
    threads->last = &task->next;
    pthread_cond_signal(&threads->queued);
    pthread_mutex_unlock(&threads->lock);
}

/* The next task, waiting for one; NULL once the queue is empty and the executor ends. */
static struct ken_task *take_on_worker(struct threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    while (!threads->first && !threads->ending) pthread_cond_wait(&threads->queued, &threads->lock);
    struct ken_task *task = threads->first;
    if (task && !(threads->first = task->next)) threads->last = &threads->first;
    pthread_mutex_unlock(&threads->lock);
    return task;
}

static void *run_on_worker(void *opaque)
{
    struct ken_task *task;
    while ((task = take_on_worker(opaque))) task->run(task);
    return NULL;
}

/* Ends the first `count` threads and frees all. */
static void end_threads(struct threads *threads, unsigned count)
{
    pthread_mutex_lock(&threads->lock);
    threads->ending = true;
    pthread_cond_broadcast(&threads->queued);
    pthread_mutex_unlock(&threads->lock);
    for (unsigned i = 0; i < count; i++) pthread_join(threads->threads[i], NULL);
    pthread_cond_destroy(&threads->queued);
    pthread_mutex_destroy(&threads->lock);
    free(threads->threads);
    free(threads);
}

int ken_threads_create(struct ken_executor **executor, unsigned count, struct ken_error *error)
{
    static const struct ken_executor_ops ops = {.submit = submit};
    KEN_ASSERT(count > 0);
    *executor = NULL;
    struct threads *threads = calloc(1, sizeof *threads);
    if (!threads || !(threads->threads = calloc(count, sizeof *threads->threads))) {
        free(threads);
        return ken_fail(error, KEN_ENOMEM, "out of memory for %u threads", count);
    }
    threads->executor = (struct ken_executor){.ops = &ops, .threads = count};
    threads->last = &threads->first;
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->queued, NULL);
    for (unsigned i = 0; i < count; i++) {
        int errnum = pthread_create(&threads->threads[i], NULL, run_on_worker, threads);
        if (errnum) {
            end_threads(threads, i);
            return ken_fail_errno(error, errnum, "starting thread %u of %u", i + 1, count);
        }
    }
    *executor = &threads->executor;
    return KEN_OK;
}

void ken_threads_destroy(struct ken_executor **executor)
{
    if (!*executor) return;
    struct threads *threads = threads_of(*executor);
    end_threads(threads, threads->executor.threads);
    *executor = NULL;
}
