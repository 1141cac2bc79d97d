/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: how jobs end, and what is left of them. */
#include "store_suite_parts.h"

void a_queued_job_is_cancelled_at_once(struct kend_store *store)
{
    struct kend_job *job;
    store->keep_ms = 1000;
    OK(store_suite_create(store, 1, 10));
    OK(store->ops->cancel(store, ID(1), "alice", 30, &job));
    ck_assert_int_eq(job->status, PROTO_CANCELLED);
    ck_assert_int_eq(job->cancel_requested_at, 30);
    ck_assert_int_eq(job->finished_at, 30);
    ck_assert_int_eq(job->expires_at, 1030);
    kend_job_free(&job);
    suite_check_last_event(store, 1, 2, 30, "status", "{\"status\":\"cancelled\",\"attempt\":0}");
    GIVES(KEND_STORE_FINISHED, store->ops->cancel(store, ID(1), NULL, 31, &job));
    ck_assert_ptr_null(job);
    GIVES(KEND_STORE_NONE, store->ops->cancel(store, ID(9), NULL, 31, &job));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 50));
}

void a_running_job_is_asked_to_stop(struct kend_store *store)
{
    struct kend_job *job;
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    for (int i = 0; i < 2; i++) {
        OK(store->ops->cancel(store, ID(1), NULL, 60 + i, &job));
        ck_assert_int_eq(job->status, PROTO_RUNNING);
        ck_assert_int_eq(job->cancel_requested_at, 60);
        kend_job_free(&job);
    }
    bool cancel = false;
    OK(store->ops->renew(store, ID(1), lease.token, 70, LEASE, &cancel));
    ck_assert(cancel);
    /* the runner dies before it has stopped: the next one stops it */
    OK(store->ops->abandon(store, "a", 80));
    OK(store->ops->claim(store, "a", 80, LEASE, &job, lease.token));
    ck_assert_int_eq(job->cancel_requested_at, 60);
    kend_job_free(&job);
    OK(suite_finish(store, &lease, PROTO_STOP, 90));
    ck_assert_int_eq(suite_status(store, 1), PROTO_CANCELLED);
    GIVES(KEND_STORE_FINISHED, store->ops->cancel(store, ID(1), NULL, 91, NULL));
}

void a_job_asked_to_stop_does_not_go_back_to_the_queue(struct kend_store *store)
{
    store->keep_ms = 1000;
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    OK(store->ops->cancel(store, ID(1), NULL, 60, NULL));
    OK(store->ops->hand_back(store, ID(1), lease.token, 70, NULL));
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->status, PROTO_CANCELLED);
    ck_assert_int_eq(job->finished_at, 70);
    ck_assert_int_eq(job->expires_at, 1070);
    kend_job_free(&job);
    suite_check_all_lost(store, 1, lease.token);
}

static uint64_t artifact_bytes(struct kend_store *store)
{
    struct kend_store_counts counts;
    OK(store->ops->counts(store, &counts));
    return counts.artifact_bytes;
}

void success_brings_artifacts_and_summary(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    struct kend_artifact_list list;
    OK(store->ops->artifacts(store, ID(1), &list));
    ck_assert_uint_eq(list.count, 0);
    struct kend_job_artifact items[] = {
        {.name = (char *)"z/model.safetensors", .variant = (char *)"z", .size = (uint64_t)1 << 41, .sha256 = {1, 2}},
        {.name = (char *)"report.json", .variant = (char *)"", .size = 0, .sha256 = {[31] = 255}},
    };
    const struct kend_artifact_list artifacts = {.item = items, .count = 2};
    const double timings[PROTO_STAGE_COUNT] = {0, 0, 0, 4, 5};
    struct kend_outcome outcome = {
        .event = PROTO_SUCCEED, .summary = "{\"kept\":1}", .artifacts = &artifacts, .timings = timings, .now = 90};
    OK(store->ops->finish(store, ID(1), lease.token, &outcome));
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
    ck_assert_str_eq(job->summary, "{\"kept\":1}");
    ck_assert_int_eq(job->finished_at, 90);
    ck_assert_int_eq(job->expires_at, 0); /* keep_ms is 0: for ever */
    ck_assert_double_eq(job->timings[PROTO_PUBLISHING], 5);
    ck_assert(!job->has_error);
    kend_job_free(&job);
    suite_check_last_event(store, 1, 3, 90, "status", "{\"status\":\"succeeded\",\"attempt\":1}");
    OK(store->ops->artifacts(store, ID(1), &list));
    ck_assert_uint_eq(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(list.item[i].name, items[i].name);
        ck_assert_str_eq(list.item[i].variant, items[i].variant);
        ck_assert_uint_eq(list.item[i].size, items[i].size);
        ck_assert_mem_eq(list.item[i].sha256, items[i].sha256, 32);
    }
    kend_artifact_list_clear(&list);
    ck_assert_ptr_null(list.item);
    GIVES(KEND_STORE_NONE, store->ops->artifacts(store, ID(9), &list));
    ck_assert_uint_eq(artifact_bytes(store), items[0].size + items[1].size);
    OK(store->ops->remove(store, ID(1), NULL));
    ck_assert_uint_eq(artifact_bytes(store), 0);
}

void failure_brings_an_error(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    suite_report(store, &lease, PROTO_FETCHING, 1);
    struct kend_outcome outcome = {
        .event = PROTO_FAIL, .error = PROTO_JOB_FETCH_FAILED, .error_stage = PROTO_FETCHING, .error_message = "404 \"gone\"", .now = 90};
    OK(store->ops->finish(store, ID(1), lease.token, &outcome));
    struct kend_job *job = suite_get(store, 1);
    ck_assert_int_eq(job->status, PROTO_FAILED);
    ck_assert(job->has_error);
    ck_assert_int_eq(job->error, PROTO_JOB_FETCH_FAILED);
    ck_assert_int_eq(job->error_stage, PROTO_FETCHING);
    ck_assert_str_eq(job->error_message, "404 \"gone\"");
    ck_assert_ptr_null(job->summary);
    kend_job_free(&job);
    suite_check_last_event(store, 1, 4, 90, "status",
                           "{\"status\":\"failed\",\"attempt\":1,\"error\":{\"code\":\"fetch_failed\",\"message\":\"404 \\\"gone\\\"\","
                           "\"stage\":\"fetching\"}}");
}

void events_come_in_pages(struct kend_store *store)
{
    struct kend_event_list list;
    OK(store_suite_create(store, 1, 10));
    struct suite_lease lease = suite_claim(store, "a", 50);
    for (int i = 0; i < 5; i++) {
        char data[32];
        snprintf(data, sizeof data, "{\"message\":\"%d\"}", i);
        OK(store->ops->log(store, ID(1), lease.token, 60 + i, data));
    }
    suite_check_last_event(store, 1, 7, 64, "log", "{\"message\":\"4\"}");
    OK(store->ops->events(store, ID(1), 3, 2, &list));
    ck_assert_uint_eq(list.count, 2);
    ck_assert_int_eq(list.item[0].sequence, 4);
    ck_assert_str_eq(list.item[0].data, "{\"message\":\"1\"}");
    ck_assert(list.has_more);
    kend_event_list_clear(&list);
    OK(store->ops->events(store, ID(1), 5, 2, &list));
    ck_assert_uint_eq(list.count, 2);
    ck_assert(!list.has_more);
    kend_event_list_clear(&list);
    OK(store->ops->events(store, ID(1), 7, 2, &list));
    ck_assert_uint_eq(list.count, 0);
    GIVES(KEND_STORE_NONE, store->ops->events(store, ID(9), 0, 2, &list));
}

void only_ended_jobs_are_removed(struct kend_store *store)
{
    struct kend_job *job;
    struct kend_event_list events;
    struct kend_artifact_list artifacts;
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    GIVES(KEND_STORE_ACTIVE, store->ops->remove(store, ID(1), NULL));
    struct suite_lease lease = suite_claim(store, "a", 50);
    GIVES(KEND_STORE_ACTIVE, store->ops->remove(store, ID(1), "alice"));
    for (int i = 0; i < 1100; i++) OK(store->ops->log(store, ID(1), lease.token, 60, "{}")); /* more than one sweep takes */
    OK(suite_finish(store, &lease, PROTO_SUCCEED, 70));
    OK(store->ops->remove(store, ID(1), "alice"));
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(1), NULL, &job));
    GIVES(KEND_STORE_NONE, store->ops->events(store, ID(1), 0, 10, &events));
    GIVES(KEND_STORE_NONE, store->ops->artifacts(store, ID(1), &artifacts));
    GIVES(KEND_STORE_NONE, store->ops->remove(store, ID(1), NULL));
    suite_check_list(store, (struct kend_job_filter){0}, "2", false);
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){1}, 10);
    /* nothing of it is left: the id could be used again */
    OK(store_suite_create(store, 1, 80));
    suite_check_last_event(store, 1, 1, 80, "status", "{\"status\":\"queued\",\"attempt\":0}");
}

void ended_jobs_expire(struct kend_store *store)
{
    struct kend_job_list list;
    for (int i = 1; i <= 4; i++) OK(store_suite_create(store, i, 10));
    OK(store->ops->cancel(store, ID(4), NULL, 5, NULL)); /* keep_ms 0 */
    store->keep_ms = 1000;
    OK(store->ops->cancel(store, ID(2), NULL, 20, NULL));
    OK(store->ops->cancel(store, ID(1), NULL, 30, NULL));
    OK(store->ops->expired(store, 1019, 10, &list));
    ck_assert_uint_eq(list.count, 0);
    kend_job_list_clear(&list);
    OK(store->ops->expired(store, 1020, 10, &list));
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.item[0]->id, ID(2));
    kend_job_list_clear(&list);
    OK(store->ops->expired(store, 99999, 1, &list));
    ck_assert_uint_eq(list.count, 1);
    ck_assert(list.has_more);
    kend_job_list_clear(&list);
    OK(store->ops->expired(store, 99999, 10, &list));
    ck_assert_uint_eq(list.count, 2);
    ck_assert(!list.has_more);
    kend_job_list_clear(&list);
}

static void finish_next(struct kend_store *store, uint64_t size, int64_t now)
{
    struct kend_job_artifact item = {.name = (char *)"report.json", .variant = (char *)"", .size = size};
    const struct kend_artifact_list artifacts = {.item = &item, .count = 1};
    const struct kend_outcome outcome = {.event = PROTO_SUCCEED, .summary = "{}", .artifacts = &artifacts, .now = now};
    struct suite_lease lease = suite_claim(store, "a", 50);
    OK(store->ops->finish(store, lease.id.text, lease.token, &outcome));
}

static void succeed(struct kend_store *store, int number, uint64_t size, int64_t now)
{
    OK(store_suite_create(store, number, 10));
    finish_next(store, size, now);
}

static void gives_up(struct kend_store *store, const char *owner, const char *id)
{
    struct kend_job *job;
    OK(store->ops->evict(store, owner, 1000, 1000, &job));
    ck_assert_str_eq(job->id, id);
    kend_job_free(&job);
}

/* However much older those of others are. */
void the_owners_own_artifacts_are_evicted_first(struct kend_store *store)
{
    const char *const owners[] = {"alice", "bob", "bob"};
    for (int i = 0; i < 3; i++) {
        struct suite_id id = suite_id_of(i + 1);
        struct kend_new_job new_job = suite_new_job(id.text, 10);
        new_job.owner = owners[i];
        OK(store->ops->create(store, &new_job, NULL));
        finish_next(store, 1, 100 + i);
    }
    gives_up(store, "bob", ID(2));
    gives_up(store, "carol", ID(1));
    gives_up(store, "alice", ID(3));
}

void the_oldest_artifacts_are_evicted(struct kend_store *store)
{
    struct kend_job *job;
    struct kend_artifact_list list;
    uint64_t bytes;
    GIVES(KEND_STORE_NONE, store->ops->evict(store, NULL, 1000, 1000, &job));
    ck_assert_ptr_null(job);
    succeed(store, 3, 1, 100);
    succeed(store, 1, 20, 200);
    succeed(store, 2, 300, 300);
    OK(store_suite_create(store, 4, 10));
    struct suite_lease failed = suite_claim(store, "a", 50);
    OK(suite_finish(store, &failed, PROTO_FAIL, 60));
    OK(store->ops->evictable(store, 300, &bytes));
    ck_assert_uint_eq(bytes, 21);
    GIVES(KEND_STORE_NONE, store->ops->evict(store, NULL, 100, 1000, &job));
    OK(store->ops->evict(store, NULL, 300, 1000, &job));
    ck_assert_str_eq(job->id, ID(3));
    ck_assert_int_eq(job->evicted_at, 1000);
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    kend_job_free(&job);
    job = suite_get(store, 3);
    ck_assert_int_eq(job->evicted_at, 1000);
    ck_assert_int_eq(job->finished_at, 100);
    ck_assert_str_eq(job->summary, "{}");
    kend_job_free(&job);
    suite_check_last_event(store, 3, 4, 1000, "log",
                           "{\"level\":\"info\",\"message\":\"the artifacts were deleted to make room for those of other jobs "
                           "(artifacts.max_bytes)\"}");
    OK(store->ops->artifacts(store, ID(3), &list));
    ck_assert_uint_eq(list.count, 0);
    ck_assert_uint_eq(artifact_bytes(store), 320);
    OK(store->ops->evict(store, NULL, 300, 1001, &job));
    ck_assert_str_eq(job->id, ID(1));
    kend_job_free(&job);
    GIVES(KEND_STORE_NONE, store->ops->evict(store, NULL, 300, 1002, &job));
    OK(store->ops->evictable(store, 300, &bytes));
    ck_assert_uint_eq(bytes, 0);
    OK(store->ops->remove(store, ID(3), NULL));
    ck_assert_uint_eq(artifact_bytes(store), 300);
}
