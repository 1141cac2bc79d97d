/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: many threads at once. */
#include "store_suite_parts.h"

#include <pthread.h>

enum { THREADS = 4, EACH = 25 };

struct worker {
    struct kend_store *store;
    struct suite_lease lease;
    int number, claimed, failed;
    char got[THREADS * EACH][PROTO_ID_SIZE];
};

static void start(struct worker *workers, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void *append_logs(void *opaque)
{
    struct worker *worker = opaque;
    for (int i = 0; i < EACH; i++) {
        struct kend_run_state state = {.stage = i % 2 ? PROTO_FETCHING : PROTO_PRUNING};
        if (worker->store->ops->log(worker->store, worker->lease.id.text, worker->lease.token, 60, "{}")) worker->failed++;
        if (worker->store->ops->progress(worker->store, worker->lease.id.text, worker->lease.token, 60, &state)) worker->failed++;
        struct kend_event_list list;
        if (worker->store->ops->events(worker->store, worker->lease.id.text, 0, 1000, &list)) worker->failed++;
        for (size_t k = 0; k < list.count; k++) worker->failed += list.item[k].sequence != (int64_t)k + 1;
        kend_event_list_clear(&list);
    }
    return NULL;
}

void sequences_have_no_holes_under_threads(struct kend_store *store)
{
    static struct worker workers[THREADS];
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    for (int i = 0; i < THREADS; i++) workers[i] = (struct worker){.store = store, .lease = lease};
    start(workers, append_logs);
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(workers[i].failed, 0);
    struct kend_event_list list;
    OK(store->ops->events(store, ID(1), 0, 1000, &list));
    ck_assert_uint_ge(list.count, 2 + THREADS * EACH);
    for (size_t i = 0; i < list.count; i++) ck_assert_int_eq(list.item[i].sequence, (int64_t)i + 1);
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->sequence, (int64_t)list.count);
    kend_job_free(&job);
    kend_event_list_clear(&list);
}

static void *create_and_claim(void *opaque)
{
    struct worker *worker = opaque;
    for (int i = 0; i < EACH; i++) {
        struct kend_job *job;
        char token[KEND_TOKEN_SIZE];
        if (store_suite_create(worker->store, worker->number * EACH + i, 10)) worker->failed++;
        if (worker->store->ops->claim(worker->store, "a", 50, LEASE, &job, token)) worker->failed++;
        if (job) memcpy(worker->got[worker->claimed++], job->id, PROTO_ID_SIZE);
        kend_job_free(&job);
    }
    return NULL;
}

void a_job_is_claimed_once_under_threads(struct kend_store *store)
{
    static struct worker workers[THREADS];
    int seen[THREADS * EACH] = {0};
    for (int i = 0; i < THREADS; i++) workers[i] = (struct worker){.store = store, .number = i};
    start(workers, create_and_claim);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(workers[i].failed, 0);
        for (int k = 0; k < workers[i].claimed; k++) ck_assert_int_eq(seen[atoi(workers[i].got[k] + PROTO_ID_SIZE - 9)]++, 0);
    }
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){[PROTO_RUNNING] = THREADS * EACH}, 0);
}

enum { SHARE = 3, WAITING = 10 };

/* Each thread creates jobs of all owners and claims; `got` has the owner of each job that it claimed. */
static void *crowd(void *opaque)
{
    static const char *const owners[] = {"alice", "bob"};
    struct worker *worker = opaque;
    for (int i = 0; i < EACH; i++) {
        struct suite_id id = suite_id_of(worker->number * EACH + i);
        struct kend_new_job new = suite_new_job(id.text, 10);
        new.owner = owners[i % 2];
        new.max_queued_per_owner = WAITING;
        enum kend_store_result result = worker->store->ops->create(worker->store, &new, NULL);
        worker->failed += result != KEND_STORE_OK && result != KEND_STORE_OWNER_QUEUE_FULL;
        struct kend_job *job;
        char token[KEND_TOKEN_SIZE];
        result = worker->store->ops->claim(worker->store, "a", 50, LEASE, &job, token);
        worker->failed += result != KEND_STORE_OK && result != KEND_STORE_NONE;
        if (job) snprintf(worker->got[worker->claimed++], PROTO_ID_SIZE, "%s", job->owner);
        kend_job_free(&job);
    }
    return NULL;
}

void limits_of_owners_hold_under_threads(struct kend_store *store)
{
    static struct worker workers[THREADS];
    int alice = 0, bob = 0;
    store->max_running_per_owner = SHARE;
    OK(store->ops->check(store)); /* a store that wraps another hands the limit on before there are threads */
    for (int i = 0; i < THREADS; i++) workers[i] = (struct worker){.store = store, .number = i};
    start(workers, crowd);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(workers[i].failed, 0);
        for (int k = 0; k < workers[i].claimed; k++) *(workers[i].got[k][0] == 'a' ? &alice : &bob) += 1;
    }
    ck_assert_int_eq(alice, SHARE);
    ck_assert_int_eq(bob, SHARE);
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2 * WAITING, 2 * SHARE}, 10);
}
