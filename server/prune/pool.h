/* SPDX-License-Identifier: Apache-2.0 */
/* libuv's thread pool as executors, one for each running job: at most `threads` blocks in flight, round robin over jobs. */
#ifndef KEND_POOL_H
#define KEND_POOL_H

#include "error.h"
#include "executor.h"

struct kend_pool;

/* Starts the loop thread. UV_THREADPOOL_SIZE must have been set before libuv's pool was first used (kend_pool_set_threads). */
int kend_pool_create(struct kend_pool **pool, unsigned threads, struct ken_error *error);
/* Sets UV_THREADPOOL_SIZE to threads plus a margin for getaddrinfo and file work. Before any thread is started. */
void kend_pool_set_threads(unsigned threads);
/* Waits for queued tasks, whoever may still be joined; nothing may be submitted any more. */
void kend_pool_destroy(struct kend_pool **pool);
/* An executor for one job; its tasks take turns with those of the other jobs. */
int kend_pool_join(struct kend_pool *pool, struct ken_executor **executor, struct ken_error *error);
/* No task may be queued or running any more; the pool may be gone. */
void kend_pool_leave(struct ken_executor **executor);

#endif
