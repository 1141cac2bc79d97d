/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fault.h"

#include <pthread.h>
#include <stdlib.h>

struct fault {
    struct kend_store store; /* first: what others see */
    struct kend_store *inner;
    pthread_mutex_t mutex;
    unsigned calls, n;
    enum kend_store_result result;
    enum store_fault_time time;
};

static struct kend_store *inner_of(struct kend_store *store)
{
    struct kend_store *inner = ((struct fault *)store)->inner;
    /* Before there are threads. */
    if (inner->keep_ms != store->keep_ms) inner->keep_ms = store->keep_ms;
    if (inner->max_running_per_owner != store->max_running_per_owner) inner->max_running_per_owner = store->max_running_per_owner;
    return inner;
}

/* Counts a call; whether it is the one to fail, and then how. */
static bool fails(struct kend_store *store, struct fault *how)
{
    struct fault *fault = (struct fault *)store;
    pthread_mutex_lock(&fault->mutex);
    bool hit = ++fault->calls == fault->n;
    how->result = fault->result;
    how->time = fault->time;
    pthread_mutex_unlock(&fault->mutex);
    return hit;
}

/* The body of every call: `forget` undoes what the answer has given out. */
#define PASS(call, forget)                                            \
    do {                                                              \
        struct fault how;                                             \
        bool hit = fails(store, &how);                                \
        if (hit && how.time == STORE_FAULT_BEFORE) return how.result; \
        struct kend_store *inner = inner_of(store);                   \
        enum kend_store_result result = inner->ops->call;             \
        if (!hit) return result;                                      \
        forget;                                                       \
        return how.result;                                            \
    } while (0)

static void close_fault(struct kend_store *store)
{
    struct fault *fault = (struct fault *)store;
    kend_store_close(&fault->inner);
    pthread_mutex_destroy(&fault->mutex);
    free(fault);
}

static void forget_job(struct kend_job **job)
{
    if (job) kend_job_free(job);
}

static enum kend_store_result check(struct kend_store *store)
{
    PASS(check(inner), (void)0);
}

static enum kend_store_result create(struct kend_store *store, const struct kend_new_job *new_job, struct kend_job **job)
{
    if (job) *job = NULL;
    PASS(create(inner, new_job, job), forget_job(job));
}

static enum kend_store_result get(struct kend_store *store, const char *id, const char *owner, struct kend_job **job)
{
    *job = NULL;
    PASS(get(inner, id, owner, job), forget_job(job));
}

static enum kend_store_result list(struct kend_store *store, const struct kend_job_filter *filter, struct kend_job_list *jobs)
{
    *jobs = (struct kend_job_list){0};
    PASS(list(inner, filter, jobs), kend_job_list_clear(jobs));
}

static enum kend_store_result events(struct kend_store *store, const char *id, int64_t after, size_t limit, struct kend_event_list *found)
{
    *found = (struct kend_event_list){0};
    PASS(events(inner, id, after, limit, found), kend_event_list_clear(found));
}

static enum kend_store_result artifacts(struct kend_store *store, const char *id, struct kend_artifact_list *found)
{
    *found = (struct kend_artifact_list){0};
    PASS(artifacts(inner, id, found), kend_artifact_list_clear(found));
}

static enum kend_store_result counts(struct kend_store *store, struct kend_store_counts *found)
{
    PASS(counts(inner, found), (void)0);
}

static enum kend_store_result cancel(struct kend_store *store, const char *id, const char *owner, int64_t now, struct kend_job **job)
{
    if (job) *job = NULL;
    PASS(cancel(inner, id, owner, now, job), forget_job(job));
}

static enum kend_store_result remove_job(struct kend_store *store, const char *id, const char *owner)
{
    PASS(remove(inner, id, owner), (void)0);
}

static enum kend_store_result shrink(struct kend_store *store)
{
    PASS(shrink(inner), (void)0);
}

static enum kend_store_result expired(struct kend_store *store, int64_t now, size_t limit, struct kend_job_list *jobs)
{
    *jobs = (struct kend_job_list){0};
    PASS(expired(inner, now, limit, jobs), kend_job_list_clear(jobs));
}

static enum kend_store_result evictable(struct kend_store *store, int64_t ended_before, uint64_t *bytes)
{
    PASS(evictable(inner, ended_before, bytes), (void)0);
}

static enum kend_store_result evict(struct kend_store *store, const char *owner, int64_t ended_before, int64_t now, struct kend_job **job)
{
    *job = NULL;
    PASS(evict(inner, owner, ended_before, now, job), forget_job(job));
}

static enum kend_store_result claim(struct kend_store *store, const char *holder, int64_t now, int64_t lease_ms, struct kend_job **job,
                                    char token[KEND_TOKEN_SIZE])
{
    *job = NULL;
    token[0] = '\0';
    PASS(claim(inner, holder, now, lease_ms, job, token), (forget_job(job), token[0] = '\0'));
}

static enum kend_store_result renew(struct kend_store *store, const char *id, const char *token, int64_t now, int64_t lease_ms,
                                    bool *cancel_requested)
{
    PASS(renew(inner, id, token, now, lease_ms, cancel_requested), (void)0);
}

static enum kend_store_result progress(struct kend_store *store, const char *id, const char *token, int64_t now,
                                       const struct kend_run_state *state)
{
    PASS(progress(inner, id, token, now, state), (void)0);
}

static enum kend_store_result append_log(struct kend_store *store, const char *id, const char *token, int64_t now, const char *data)
{
    PASS(log(inner, id, token, now, data), (void)0);
}

static enum kend_store_result finish(struct kend_store *store, const char *id, const char *token, const struct kend_outcome *outcome)
{
    PASS(finish(inner, id, token, outcome), (void)0);
}

static enum kend_store_result hand_back(struct kend_store *store, const char *id, const char *token, int64_t now, const double *timings)
{
    PASS(hand_back(inner, id, token, now, timings), (void)0);
}

static enum kend_store_result abandon(struct kend_store *store, const char *holder, int64_t now)
{
    PASS(abandon(inner, holder, now), (void)0);
}

static const struct kend_store_ops operations = {
    .close = close_fault,
    .check = check,
    .create = create,
    .get = get,
    .list = list,
    .events = events,
    .artifacts = artifacts,
    .counts = counts,
    .cancel = cancel,
    .remove = remove_job,
    .shrink = shrink,
    .expired = expired,
    .evictable = evictable,
    .evict = evict,
    .claim = claim,
    .renew = renew,
    .progress = progress,
    .log = append_log,
    .finish = finish,
    .hand_back = hand_back,
    .abandon = abandon,
};

struct kend_store *store_fault_open(struct kend_store *inner)
{
    struct fault *fault = calloc(1, sizeof *fault);
    if (!fault) return NULL;
    fault->store.ops = &operations;
    fault->store.keep_ms = inner->keep_ms;
    fault->store.max_running_per_owner = inner->max_running_per_owner;
    fault->inner = inner;
    pthread_mutex_init(&fault->mutex, NULL);
    return &fault->store;
}

void store_fault_arm(struct kend_store *store, unsigned n, enum kend_store_result result, enum store_fault_time time)
{
    struct fault *fault = (struct fault *)store;
    pthread_mutex_lock(&fault->mutex);
    fault->calls = 0;
    fault->n = n;
    fault->result = result;
    fault->time = time;
    pthread_mutex_unlock(&fault->mutex);
}

unsigned store_fault_calls(struct kend_store *store)
{
    struct fault *fault = (struct fault *)store;
    pthread_mutex_lock(&fault->mutex);
    unsigned calls = fault->calls;
    pthread_mutex_unlock(&fault->mutex);
    return calls;
}
