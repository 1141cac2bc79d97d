/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: what a lease allows, and its end. */
#include "store_suite_parts.h"

void without_the_token_nothing_is_written(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    suite_check_all_lost(store, 2, "");
    struct suite_lease lease = suite_claim(store, "a", 50);
    suite_check_all_lost(store, 1, "");
    suite_check_all_lost(store, 1, "00000000000000000000000000000000");
    suite_check_all_lost(store, 2, lease.token);
    ck_assert_int_eq(suite_status(store, 1), PROTO_RUNNING);
    bool cancel;
    GIVES(KEND_STORE_NONE, store->ops->renew(store, ID(9), lease.token, 60, LEASE, &cancel));
    OK(suite_finish(store, &lease, PROTO_SUCCEED, 70));
    suite_check_all_lost(store, 1, lease.token);
    suite_check_all_lost(store, 1, "");
}

void an_expired_lease_is_taken_by_another_only(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct suite_lease old = suite_claim(store, "a", 50);
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "b", 49 + LEASE));
    /* its own holder lives: the clock has made a step */
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 50 + 10 * LEASE));
    bool cancel;
    OK(store->ops->renew(store, ID(1), old.token, 50, LEASE, &cancel));
    struct suite_lease new = suite_claim(store, "b", 50 + LEASE);
    ck_assert_str_ne(new.token, old.token);
    suite_check_all_lost(store, 1, old.token);
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->deaths, 1);
    ck_assert_int_eq(job->attempt, 2);
    ck_assert_int_eq(job->started_at, 50);
    kend_job_free(&job);
    suite_check_last_event(store, 1, 3, 50 + LEASE, "status", "{\"status\":\"running\",\"attempt\":2,\"stage\":\"checking\"}");
}

void abandoned_leases_end_at_once(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    struct suite_lease gone = suite_claim(store, "a", 50), other = suite_claim(store, "b", 50);
    OK(store->ops->abandon(store, "a", 51));
    suite_check_all_lost(store, 1, gone.token);
    bool cancel;
    OK(store->ops->renew(store, ID(2), other.token, 52, LEASE, &cancel));
    ck_assert_str_eq(suite_claim(store, "a", 51).id.text, ID(1));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 51));
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->deaths, 1);
    kend_job_free(&job);
}

static void die(struct kend_store *store, int64_t now)
{
    suite_claim(store, "a", now);
    OK(store->ops->abandon(store, "a", now));
}

void three_deaths_in_a_row_exhaust_a_job(struct kend_store *store)
{
    store->keep_ms = 1000;
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 20));
    for (int i = 0; i < KEND_MAX_DEATHS; i++) die(store, 50 + i);
    struct kend_job *job;
    char token[KEND_TOKEN_SIZE];
    GIVES(KEND_STORE_EXHAUSTED, store->ops->claim(store, "a", 60, LEASE, &job, token));
    ck_assert_str_eq(token, "");
    ck_assert_str_eq(job->id, ID(1));
    ck_assert_int_eq(job->status, PROTO_FAILED);
    ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
    ck_assert(job->has_error);
    ck_assert_int_eq(job->error, PROTO_JOB_ATTEMPTS_EXHAUSTED);
    ck_assert_int_eq(job->error_stage, PROTO_CHECKING);
    ck_assert_int_eq(job->attempt, 3);
    ck_assert_int_eq(job->finished_at, 60);
    ck_assert_int_eq(job->expires_at, 1060);
    kend_job_free(&job);
    suite_check_last_event(
        store, 1, 5, 60, "status",
        "{\"status\":\"failed\",\"attempt\":3,\"error\":{\"code\":\"attempts_exhausted\",\"message\":\"the job's runner ended 3 "
        "times in a row without new durable progress\",\"stage\":\"checking\"}}");
    ck_assert_str_eq(suite_claim(store, "a", 60).id.text, ID(2));
}

void durable_progress_forgives_deaths(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    die(store, 50);
    die(store, 50);
    struct suite_lease lease = suite_claim(store, "a", 50);
    suite_report(store, &lease, PROTO_FETCHING, 7);
    OK(store->ops->abandon(store, "a", 50));
    die(store, 50);
    /* the same marker, or a lower one, is not new */
    lease = suite_claim(store, "a", 50);
    suite_report(store, &lease, PROTO_FETCHING, 7);
    suite_report(store, &lease, PROTO_FETCHING, 3);
    OK(store->ops->abandon(store, "a", 50));
    GIVES(KEND_STORE_EXHAUSTED, suite_try_claim(store, "a", 50));
}

/* Neither a step of the clock back nor a writer that read it earlier and came later. */
void times_of_events_never_go_back(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    OK(store->ops->log(store, ID(1), lease.token, 60, "{}"));
    OK(store->ops->log(store, ID(1), lease.token, 59, "{}"));
    suite_check_last_event(store, 1, 4, 60, "log", "{}");
    OK(suite_finish(store, &lease, PROTO_STOP, 40));
    suite_check_last_event(store, 1, 5, 60, "status", "{\"status\":\"cancelled\",\"attempt\":1}");
}

void progress_is_kept(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    struct kend_run_state state = {
        .stage = PROTO_FETCHING, .progress = {1, (uint64_t)1 << 40, 3, 4}, .marker = 1, .timings = {0, 0.5, 1.25, 2, 3}};
    OK(store->ops->progress(store, ID(1), lease.token, 55, &state));
    suite_check_last_event(store, 1, 3, 55, "status", "{\"status\":\"running\",\"attempt\":1,\"stage\":\"fetching\"}");
    state.progress.rows_done = 4;
    OK(store->ops->progress(store, ID(1), lease.token, 56, &state));
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->sequence, 3); /* no event while the stage stays */
    ck_assert_int_eq(job->stage, PROTO_FETCHING);
    ck_assert_uint_eq(job->progress.bytes_fetched, 1);
    ck_assert_uint_eq(job->progress.bytes_total, (uint64_t)1 << 40);
    ck_assert_uint_eq(job->progress.rows_done, 4);
    ck_assert_uint_eq(job->progress.rows_total, 4);
    for (int i = 0; i < PROTO_STAGE_COUNT; i++) ck_assert_double_eq(job->timings[i], state.timings[i]);
    kend_job_free(&job);
}
