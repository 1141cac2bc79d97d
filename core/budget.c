/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include "condition.h"
#include "error.h"

#include <stdlib.h>

enum { ASK_MILLISECONDS = 50 };

/* Lives on the stack of the thread that waits; a queue, so that a large need is not starved by small ones. */
struct waiter {
    struct waiter *next;
};

struct ken_budget {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t total, used;
    struct waiter *first, **last;
};

struct ken_budget *ken_budget_create(uint64_t bytes)
{
    struct ken_budget *budget = calloc(1, sizeof *budget);
    if (!budget) return NULL;
    pthread_mutex_init(&budget->lock, NULL);
    ken_condition_init(&budget->changed);
    budget->total = bytes;
    budget->last = &budget->first;
    return budget;
}

void ken_budget_destroy(struct ken_budget **budget)
{
    if (!*budget) return;
    KEN_ASSERT((*budget)->used == 0 && !(*budget)->first);
    pthread_cond_destroy(&(*budget)->changed);
    pthread_mutex_destroy(&(*budget)->lock);
    free(*budget);
    *budget = NULL;
}

uint64_t ken_budget_total(const struct ken_budget *budget)
{
    return budget->total;
}

static bool is_free(const struct ken_budget *budget, uint64_t bytes)
{
    return bytes <= budget->total - budget->used;
}

static void enqueue(struct ken_budget *budget, struct waiter *waiter)
{
    waiter->next = NULL;
    *budget->last = waiter;
    budget->last = &waiter->next;
}

static void dequeue(struct ken_budget *budget, struct waiter *waiter)
{
    struct waiter **link = &budget->first;
    while (*link != waiter) link = &(*link)->next;
    *link = waiter->next;
    if (budget->last == &waiter->next) budget->last = link;
    pthread_cond_broadcast(&budget->changed); /* the next in line may fit */
}

bool ken_budget_acquire(struct ken_budget *budget, uint64_t bytes, bool (*cancelled)(void *opaque), void *opaque)
{
    KEN_ASSERT(bytes <= budget->total);
    struct waiter self;
    bool taken = false, stop = false;
    pthread_mutex_lock(&budget->lock);
    enqueue(budget, &self);
    while (!(taken = budget->first == &self && is_free(budget, bytes)) && !stop) {
        ken_condition_wait_ms(&budget->changed, &budget->lock, ASK_MILLISECONDS);
        pthread_mutex_unlock(&budget->lock); /* the caller's function may take locks of its own */
        stop = cancelled && cancelled(opaque);
        pthread_mutex_lock(&budget->lock);
    }
    if (taken) budget->used += bytes;
    dequeue(budget, &self);
    pthread_mutex_unlock(&budget->lock);
    return taken;
}

bool ken_budget_try(struct ken_budget *budget, uint64_t bytes)
{
    pthread_mutex_lock(&budget->lock);
    bool taken = !budget->first && is_free(budget, bytes);
    if (taken) budget->used += bytes;
    pthread_mutex_unlock(&budget->lock);
    return taken;
}

void ken_budget_release(struct ken_budget *budget, uint64_t bytes)
{
    pthread_mutex_lock(&budget->lock);
    KEN_ASSERT(bytes <= budget->used);
    budget->used -= bytes;
    pthread_cond_broadcast(&budget->changed);
    pthread_mutex_unlock(&budget->lock);
}
