/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/run.h"

#include <stdlib.h>

struct group;

struct item {
    struct ken_task task;
    struct group *group;
    size_t index;
    uint64_t bytes; /* of the budget */
    int code;
    struct ken_error error;
};

struct group {
    struct ken_prune *prune;
    int (*work)(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error);
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    size_t running;
    uint64_t bytes; /* of the budget, for each */
};

static void run_on_worker(struct ken_task *task)
{
    struct item *item = (struct item *)task;
    struct group *group = item->group;
    item->code = group->work(group->prune, group->opaque, item->index, &item->error);
    ken_budget_release(group->prune->env.budget, item->bytes);
    pthread_mutex_lock(&group->lock);
    group->running--;
    pthread_cond_signal(&group->ended);
    pthread_mutex_unlock(&group->lock);
}

static void wait_for_fewer(struct group *group, size_t limit)
{
    pthread_mutex_lock(&group->lock);
    while (group->running >= limit) pthread_cond_wait(&group->ended, &group->lock);
    pthread_mutex_unlock(&group->lock);
}

static int start(struct group *group, struct item *item, struct ken_error *error)
{
    struct ken_prune *prune = group->prune;
    wait_for_fewer(group, prune->env.executor->threads);
    uint64_t total = ken_budget_total(prune->env.budget);
    item->bytes = total < group->bytes ? total : group->bytes;
    if (ken_run_cancelled(prune) || !ken_budget_acquire(prune->env.budget, item->bytes, ken_run_cancelled, prune))
        return ken_fail(error, KEN_ECANCELLED, "cancelled");
    pthread_mutex_lock(&group->lock);
    group->running++;
    pthread_mutex_unlock(&group->lock);
    prune->env.executor->ops->submit(prune->env.executor, &item->task);
    return KEN_OK;
}

int ken_run_parallel(struct ken_prune *prune, int (*work)(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error),
                     void *opaque, size_t count, uint64_t bytes, struct ken_error *error)
{
    struct group group = {.prune = prune, .work = work, .opaque = opaque, .bytes = bytes};
    struct item *items = calloc(count + 1, sizeof *items);
    int code = KEN_OK;
    size_t started = 0;
    if (!items) return ken_fail(error, KEN_ENOMEM, "out of memory for %zu tasks", count);
    pthread_mutex_init(&group.lock, NULL);
    pthread_cond_init(&group.ended, NULL);
    for (; !code && started < count; started += !code) {
        items[started] = (struct item){.task.run = run_on_worker, .group = &group, .index = started};
        code = start(&group, &items[started], error);
    }
    wait_for_fewer(&group, 1);
    for (size_t i = 0; i < started; i++)
        if (items[i].code) {
            code = items[i].code;
            if (error) *error = items[i].error;
            break;
        }
    pthread_cond_destroy(&group.ended);
    pthread_mutex_destroy(&group.lock);
    free(items);
    return code;
}
