/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that an answer needs and that is too long for an HTTP thread: it runs on a short-lived thread of its own while the connection is
 * suspended, a bounded number at once.
 */
#ifndef KEND_HTTP_TASK_H
#define KEND_HTTP_TASK_H

#include "http/respond.h"

enum { KEND_TASKS = 4, KEND_TASKS_OF_OWNER = 2 };

struct kend_tasks;
int kend_tasks_create(struct kend_tasks **tasks, struct ken_error *error);
/* Has what runs end soon, and waits for that. No request may start one any more. */
void kend_tasks_close(struct kend_tasks *tasks);
void kend_tasks_destroy(struct kend_tasks **tasks);

struct kend_task;
/* Whether the work is in vain: its client has gone, kend ends, or it takes longer than KEND_TASK_SECONDS. opaque: the task. */
bool kend_task_cancelled(void *task);
enum { KEND_TASK_SECONDS = 600 };
/* What is answered then where somebody still listens. */
#define KEND_TASK_CALLED_OFF "called off: kend is shutting down, or it took too long"

/* What is done. `run` is called once on the thread, `drop` when neither it nor the request needs the work any more. */
struct kend_task_kind {
    void (*run)(void *work, struct kend_task *task);
    void (*drop)(void *work);
};

/*
 * Starts the work, taking it over, and suspends the request, whose handler is called again, with request->state set. Returns the work if it
 * is done, else NULL: then *result is what the handler returns.
 */
void *kend_task_start(struct kend_request *request, const struct kend_task_kind *kind, void *work, enum MHD_Result *result);
/* The same for a handler that is called again. */
void *kend_task_done(struct kend_request *request, enum MHD_Result *result);

#endif
