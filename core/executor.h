/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs the blocks of rows: libuv's pool in the daemon, threads of its own in the client. */
#ifndef KEN_EXECUTOR_H
#define KEN_EXECUTOR_H

#include "error.h"

/* Embedded in the caller's own struct; belongs to the executor from submit until run() is called, which may free it or submit it again. */
struct ken_task {
    void (*run)(struct ken_task *task); /* on any thread of the executor */
    struct ken_task *next;              /* the executor's */
};

struct ken_executor;
struct ken_executor_ops {
    /* Queues a task, from any thread; never fails, never blocks for long. Tasks of one executor start in the order of their submission. */
    void (*submit)(struct ken_executor *executor, struct ken_task *task);
};

struct ken_executor {
    const struct ken_executor_ops *ops;
    unsigned threads; /* how many tasks can run at once: 1 or more */
};

/* An executor with `threads` threads of its own. KEN_ENOMEM, KEN_EIO (a thread could not be started). */
int ken_threads_create(struct ken_executor **executor, unsigned threads, struct ken_error *error);
/* Waits for queued tasks, ends the threads; *executor becomes NULL; nothing if it is. */
void ken_threads_destroy(struct ken_executor **executor);

#endif
