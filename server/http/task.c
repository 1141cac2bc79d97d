/* SPDX-License-Identifier: Apache-2.0 */
#include "http/task.h"

#include "clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TASK_MAGIC = 0x7461736b, TASK_GRACE_MS = 5000 };

struct kend_tasks {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned running;
    char *owner[KEND_TASKS]; /* of what runs at each place; NULL: nothing */
    atomic_bool closing;
};

/* Shared by the request, which may be given up by its client, and the thread: the last one frees it. */
struct kend_task {
    unsigned magic;
    const struct kend_task_kind *kind;
    void *work;
    struct kend_tasks *tasks;
    unsigned place;
    int64_t until;    /* monotonic ms */
    atomic_bool gone; /* the request */
    pthread_mutex_t lock;
    unsigned owners;
    struct kend_waits *waits;
    struct kend_wait *wait; /* the request's; NULL when it is gone */
    bool done;
};

int kend_tasks_create(struct kend_tasks **tasks, struct ken_error *error)
{
    *tasks = calloc(1, sizeof **tasks);
    if (!*tasks) return ken_fail(error, KEN_ENOMEM, "out of memory");
    pthread_mutex_init(&(*tasks)->lock, NULL);
    pthread_cond_init(&(*tasks)->ended, NULL);
    return KEN_OK;
}

void kend_tasks_close(struct kend_tasks *tasks)
{
    atomic_store(&tasks->closing, true);
    pthread_mutex_lock(&tasks->lock);
    while (tasks->running) pthread_cond_wait(&tasks->ended, &tasks->lock);
    pthread_mutex_unlock(&tasks->lock);
}

void kend_tasks_destroy(struct kend_tasks **tasks)
{
    if (!*tasks) return;
    KEN_ASSERT(!(*tasks)->running);
    pthread_cond_destroy(&(*tasks)->ended);
    pthread_mutex_destroy(&(*tasks)->lock);
    free(*tasks);
    *tasks = NULL;
}

/* Whether so many free places leave one to an owner who has some; the last is for those who have none. */
static bool leaves_one(unsigned own, unsigned unused)
{
    return unused && (!own || (own < KEND_TASKS_OF_OWNER && unused > 1));
}

/* `shared`: by owners, "" is that of all without a token. False: there is no place for this one, or no memory. */
static bool take_place(struct kend_tasks *tasks, const char *owner, bool shared, unsigned *place)
{
    unsigned own = 0, unused = 0;
    char *copy = strdup(owner);
    pthread_mutex_lock(&tasks->lock);
    for (unsigned i = 0; i < KEND_TASKS; i++)
        if (tasks->owner[i]) {
            own += shared && strcmp(tasks->owner[i], owner) == 0;
        } else {
            *place = i;
            unused++;
        }
    const bool taken = copy && leaves_one(own, unused) && !atomic_load(&tasks->closing);
    if (taken) {
        tasks->owner[*place] = copy;
        tasks->running++;
    }
    pthread_mutex_unlock(&tasks->lock);
    if (!taken) free(copy);
    return taken;
}

static void give_place(struct kend_tasks *tasks, unsigned place)
{
    pthread_mutex_lock(&tasks->lock);
    free(tasks->owner[place]);
    tasks->owner[place] = NULL;
    tasks->running--;
    pthread_cond_broadcast(&tasks->ended);
    pthread_mutex_unlock(&tasks->lock);
}

static void leave(struct kend_task *task, bool request)
{
    pthread_mutex_lock(&task->lock);
    if (request) task->wait = NULL;
    const bool last = --task->owners == 0;
    pthread_mutex_unlock(&task->lock);
    if (!last) return;
    pthread_mutex_destroy(&task->lock);
    task->kind->drop(task->work);
    task->magic = 0;
    free(task);
}

static void release(void *state)
{
    struct kend_task *task = state;
    atomic_store(&task->gone, true);
    leave(task, true);
}

bool kend_task_cancelled(void *opaque)
{
    struct kend_task *task = opaque;
    KEN_ASSERT(task->magic == TASK_MAGIC);
    return atomic_load(&task->gone) || atomic_load(&task->tasks->closing) || kend_monotonic_ms() > task->until;
}

static void *task_main(void *opaque)
{
    struct kend_task *task = opaque;
    struct kend_tasks *tasks = task->tasks;
    const unsigned place = task->place;
    task->kind->run(task->work, task);
    pthread_mutex_lock(&task->lock);
    task->done = true;
    if (task->wait) kend_wait_wake(task->waits, task->wait);
    pthread_mutex_unlock(&task->lock);
    leave(task, false);
    give_place(tasks, place);
    return NULL;
}

static struct kend_task *make_task(struct kend_request *request, const struct kend_task_kind *kind, void *work)
{
    struct kend_task *task = calloc(1, sizeof *task);
    if (!task) return NULL;
    task->magic = TASK_MAGIC;
    task->kind = kind;
    task->work = work;
    task->tasks = request->http->tasks;
    task->until = kend_monotonic_ms() + KEND_TASK_SECONDS * INT64_C(1000);
    task->owners = 2;
    task->waits = request->http->parts.waits;
    task->wait = &request->wait;
    pthread_mutex_init(&task->lock, NULL);
    return task;
}

void *kend_task_start(struct kend_request *request, const struct kend_task_kind *kind, void *work, enum MHD_Result *result)
{
    struct kend_tasks *tasks = request->http->tasks;
    struct kend_task *task = make_task(request, kind, work);
    pthread_t thread;
    if (!task) {
        kind->drop(work);
        *result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
        return NULL;
    }
    request->state = task;
    request->release = release;
    request->deadline = task->until + TASK_GRACE_MS;
    if (!take_place(tasks, kend_request_owner(request), request->http->parts.tokens, &task->place)) {
        leave(task, false);
        *result = kend_answer_problem(
            request, PROTO_RATE_LIMITED,
            "too many comparisons, layers and looks at once (at most %d, %d of one owner, and the last for who has none)", KEND_TASKS,
            KEND_TASKS_OF_OWNER);
        return NULL;
    }
    if (pthread_create(&thread, NULL, task_main, task)) {
        give_place(tasks, task->place);
        leave(task, false);
        *result = kend_answer_problem(request, PROTO_INTERNAL, "no thread can be started");
        return NULL;
    }
    pthread_detach(thread);
    return kend_task_done(request, result);
}

void *kend_task_done(struct kend_request *request, enum MHD_Result *result)
{
    struct kend_task *task = request->state;
    KEN_ASSERT(task->magic == TASK_MAGIC);
    for (;;) {
        pthread_mutex_lock(&task->lock);
        const bool done = task->done;
        pthread_mutex_unlock(&task->lock);
        if (done) return task->work;
        enum kend_wait_result waits = KEND_WAIT_FULL;
        if (kend_monotonic_ms() < request->deadline)
            waits = kend_wait_suspend(task->waits, &request->wait, request->connection, NULL, 0, request->deadline);
        if (waits == KEND_WAIT_CHANGED) continue;
        *result = waits == KEND_WAIT_SUSPENDED ? MHD_YES : kend_answer_no_wait(request, waits);
        return NULL;
    }
}
