/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: who is claimed next. */
#include "store_suite_parts.h"

static void create_of(struct kend_store *store, const char *owner, int number, int64_t now)
{
    struct suite_id id = suite_id_of(number);
    struct kend_new_job job = suite_new_job(id.text, now);
    job.owner = owner;
    OK(store->ops->create(store, &job, NULL));
}

/* Claims the jobs of these numbers, in this order, up to a 0. */
static void check_claims(struct kend_store *store, const char *holder, int64_t now, const int *numbers)
{
    for (; *numbers; numbers++) ck_assert_str_eq(suite_claim(store, holder, now).id.text, ID(*numbers));
}

void the_oldest_is_claimed_first(struct kend_store *store)
{
    OK(store_suite_create(store, 3, 10));
    OK(store_suite_create(store, 2, 20));
    OK(store_suite_create(store, 1, 10)); /* same time: the lower id */
    const int expected[] = {1, 3, 2};
    for (int i = 0; i < 3; i++) ck_assert_str_eq(suite_claim(store, "a", 50).id.text, ID(expected[i]));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 50));
}

void a_claimed_job_runs(struct kend_store *store)
{
    struct kend_job *job;
    char token[KEND_TOKEN_SIZE];
    OK(store_suite_create(store, 1, 10));
    OK(store->ops->claim(store, "a", 50, LEASE, &job, token));
    ck_assert_uint_eq(strspn(token, "0123456789abcdef"), KEND_TOKEN_SIZE - 1);
    ck_assert_uint_eq(strlen(token), KEND_TOKEN_SIZE - 1);
    ck_assert_int_eq(job->status, PROTO_RUNNING);
    ck_assert_int_eq(job->stage, PROTO_CHECKING);
    ck_assert_int_eq(job->attempt, 1);
    ck_assert_int_eq(job->started_at, 50);
    ck_assert_int_eq(job->sequence, 2);
    ck_assert_str_eq(job->spec, "{\"k\":3}");
    kend_job_free(&job);
    suite_check_last_event(store, 1, 2, 50, "status", "{\"status\":\"running\",\"attempt\":1,\"stage\":\"checking\"}");
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){[PROTO_RUNNING] = 1}, 0);
    bool cancel = true;
    OK(store->ops->renew(store, ID(1), token, 60, LEASE, &cancel));
    ck_assert(!cancel);
    /* renewed until 60 + LEASE */
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "b", 59 + LEASE));
    OK(suite_try_claim(store, "b", 60 + LEASE));
}

/* What has begun goes on before anything else begins, whoever's turn it is. */
void what_has_begun_goes_first(struct kend_store *store)
{
    create_of(store, "alice", 1, 10);
    create_of(store, "bob", 2, 20);
    create_of(store, "alice", 3, 30);
    create_of(store, "carol", 4, 5);
    struct suite_lease back = suite_claim(store, "a", 50), died = suite_claim(store, "a", 50);
    ck_assert_str_eq(back.id.text, ID(1));
    ck_assert_str_eq(died.id.text, ID(2));
    OK(store->ops->hand_back(store, back.id.text, back.token, 51, NULL));
    check_claims(store, "b", 50 + LEASE, (const int[]){2, 1, 4, 3, 0});
}

void owners_take_turns(struct kend_store *store)
{
    for (int i = 1; i <= 4; i++) create_of(store, "alice", i, 10 + i);
    create_of(store, "bob", 5, 20);
    create_of(store, "", 6, 21);
    create_of(store, "bob", 7, 22);
    check_claims(store, "a", 50, (const int[]){1, 5, 6, 2, 7, 3, 4, 0});
}

/* Whoever has not been served for longest is next, also after a time without jobs; first in, first out for the jobs of each. */
void an_owner_that_comes_back_is_served_first(struct kend_store *store)
{
    create_of(store, "bob", 1, 10);
    for (int i = 2; i <= 5; i++) create_of(store, "alice", i, 20 + i);
    create_of(store, "carol", 6, 30);
    check_claims(store, "a", 50, (const int[]){1, 2, 6, 3, 0});
    create_of(store, "bob", 8, 60);
    create_of(store, "bob", 7, 61);
    create_of(store, "carol", 9, 62);
    check_claims(store, "a", 70, (const int[]){8, 9, 4, 7, 5, 0});
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 70));
}

void an_owner_runs_no_more_than_its_share(struct kend_store *store)
{
    store->max_running_per_owner = 2;
    for (int i = 1; i <= 5; i++) create_of(store, "alice", i, 10 + i);
    struct suite_lease first = suite_claim(store, "a", 50), second = suite_claim(store, "a", 50);
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 50));
    create_of(store, "bob", 6, 60);
    check_claims(store, "a", 60, (const int[]){6, 0});
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 60));
    /* what is handed back makes room for itself, what has ended for the next */
    OK(store->ops->hand_back(store, first.id.text, first.token, 61, NULL));
    check_claims(store, "a", 62, (const int[]){1, 0});
    OK(suite_finish(store, &second, PROTO_SUCCEED, 63));
    check_claims(store, "a", 64, (const int[]){3, 0});
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 64));
    /* a lease that has ended is taken over in its own place */
    OK(store->ops->abandon(store, "a", 65));
    check_claims(store, "b", 66, (const int[]){1, 3, 6, 0});
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "b", 66));
    store->max_running_per_owner = 0;
    check_claims(store, "b", 66, (const int[]){4, 5, 0});
}

/* A job that was handed back waits, too, while its owner runs as many as it may. */
void a_lowered_share_holds_for_what_was_handed_back(struct kend_store *store)
{
    for (int i = 1; i <= 2; i++) create_of(store, "alice", i, 10 + i);
    create_of(store, "bob", 3, 20);
    struct suite_lease first = suite_claim(store, "a", 50);
    check_claims(store, "a", 50, (const int[]){3, 2, 0});
    OK(store->ops->hand_back(store, first.id.text, first.token, 61, NULL));
    store->max_running_per_owner = 1;
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 62));
}

void a_job_handed_back_keeps_its_place(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 20));
    const double timings[PROTO_STAGE_COUNT] = {0, 1, 2, 0, 0};
    for (int i = 0; i < 2 * KEND_MAX_DEATHS; i++) {
        struct suite_lease lease = suite_claim(store, "a", 50 + i);
        ck_assert_str_eq(lease.id.text, ID(1));
        OK(store->ops->hand_back(store, ID(1), lease.token, 51 + i, timings));
        suite_check_all_lost(store, 1, lease.token);
    }
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->status, PROTO_QUEUED);
    ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
    ck_assert_int_eq(job->deaths, 0);
    ck_assert_int_eq(job->attempt, 6);
    ck_assert_int_eq(job->started_at, 50);
    ck_assert_double_eq(job->timings[PROTO_FETCHING], 2);
    kend_job_free(&job);
    suite_check_last_event(store, 1, 13, 56, "status", "{\"status\":\"queued\",\"attempt\":6}");
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2}, 10);
}
