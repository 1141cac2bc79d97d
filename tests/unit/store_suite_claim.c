/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: who is claimed next. */
#include "store_suite_parts.h"

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

void an_ended_lease_goes_before_younger_jobs(struct kend_store *store)
{
    OK(store_suite_create(store, 2, 20));
    suite_claim(store, "a", 50);
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 3, 30));
    ck_assert_str_eq(suite_claim(store, "b", 50 + LEASE).id.text, ID(1));
    ck_assert_str_eq(suite_claim(store, "b", 50 + LEASE).id.text, ID(2));
    ck_assert_str_eq(suite_claim(store, "b", 50 + LEASE).id.text, ID(3));
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
