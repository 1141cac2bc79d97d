/* SPDX-License-Identifier: Apache-2.0 */
#include "store_suite.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE = 60000 };

#define OK(call) ck_assert_str_eq(kend_store_result_text(call), kend_store_result_text(KEND_STORE_OK))
#define GIVES(result, call) ck_assert_str_eq(kend_store_result_text(call), kend_store_result_text(result))

void store_suite_id(char id[PROTO_ID_SIZE], int number)
{
    snprintf(id, PROTO_ID_SIZE, "job_01ARZ3NDEKTSV4RRFF%08d", number);
}

struct id {
    char text[PROTO_ID_SIZE];
};

static struct id id_of(int number)
{
    struct id id;
    store_suite_id(id.text, number);
    return id;
}
#define ID(number) (id_of(number).text) /* lasts for one expression */

static struct kend_new_job new_job(const char *id, int64_t now)
{
    return (struct kend_new_job){.id = id, .owner = "alice", .spec = "{\"k\":3}", .now = now};
}

enum kend_store_result store_suite_create(struct kend_store *store, int number, int64_t now)
{
    struct id id = id_of(number);
    struct kend_new_job job = new_job(id.text, now);
    return store->ops->create(store, &job, NULL);
}

static struct kend_job *get(struct kend_store *store, int number)
{
    struct kend_job *job;
    OK(store->ops->get(store, ID(number), NULL, &job));
    return job;
}

static enum proto_status status_of(struct kend_store *store, int number)
{
    struct kend_job *job = get(store, number);
    enum proto_status status = job->status;
    kend_job_free(&job);
    return status;
}

struct lease {
    struct id id;
    char token[KEND_TOKEN_SIZE];
};

static struct lease claim(struct kend_store *store, const char *holder, int64_t now)
{
    struct lease lease;
    struct kend_job *job;
    OK(store->ops->claim(store, holder, now, LEASE, &job, lease.token));
    memcpy(lease.id.text, job->id, sizeof lease.id.text);
    kend_job_free(&job);
    return lease;
}

static enum kend_store_result claim_result(struct kend_store *store, const char *holder, int64_t now)
{
    struct kend_job *job;
    char token[KEND_TOKEN_SIZE];
    enum kend_store_result result = store->ops->claim(store, holder, now, LEASE, &job, token);
    if (result != KEND_STORE_OK) ck_assert_str_eq(token, "");
    if (result != KEND_STORE_OK && result != KEND_STORE_EXHAUSTED) ck_assert_ptr_null(job);
    kend_job_free(&job);
    return result;
}

static enum kend_store_result finish(struct kend_store *store, const struct lease *lease, enum proto_event event, int64_t now)
{
    struct kend_outcome outcome = {.event = event, .error = PROTO_JOB_INTERNAL, .error_message = "m", .summary = "{}", .now = now};
    return store->ops->finish(store, lease->id.text, lease->token, &outcome);
}

/* The last event's sequence, type and data; frees nothing twice and checks that there are `count` without a hole. */
static void check_last_event(struct kend_store *store, int number, size_t count, int64_t time, const char *type, const char *data)
{
    struct kend_event_list list;
    OK(store->ops->events(store, ID(number), 0, 1000, &list));
    ck_assert_uint_eq(list.count, count);
    for (size_t i = 0; i < count; i++) ck_assert_int_eq(list.item[i].sequence, (int64_t)i + 1);
    ck_assert_int_eq(list.item[count - 1].time, time);
    ck_assert_str_eq(list.item[count - 1].type, type);
    ck_assert_str_eq(list.item[count - 1].data, data);
    kend_event_list_clear(&list);
    ck_assert_ptr_null(list.item);
}

static void check_counts(struct kend_store *store, const uint64_t expected[PROTO_STATUS_COUNT], int64_t oldest)
{
    struct kend_store_counts counts;
    OK(store->ops->counts(store, &counts));
    for (int i = 0; i < PROTO_STATUS_COUNT; i++) ck_assert_uint_eq(counts.by_status[i], expected[i]);
    ck_assert_int_eq(counts.oldest_queued_at, oldest);
}

static uint64_t artifact_bytes(struct kend_store *store)
{
    struct kend_store_counts counts;
    OK(store->ops->counts(store, &counts));
    return counts.artifact_bytes;
}

static void a_created_job_is_there_as_given(struct kend_store *store)
{
    struct kend_job *made, *read;
    const char *spec = "{\"name\":\"\xc3\xa9 'quoted' \\\"\"}";
    struct id id = id_of(1);
    struct kend_new_job new = {.id = id.text, .owner = "", .spec = spec, .name = "n", .trace = "4bf9", .now = 1234};
    OK(store->ops->create(store, &new, &made));
    OK(store->ops->get(store, id.text, "", &read));
    struct kend_job *const jobs[] = {made, read};
    for (int i = 0; i < 2; i++) {
        const struct kend_job *job = jobs[i];
        ck_assert_str_eq(job->id, id.text);
        ck_assert_str_eq(job->owner, "");
        ck_assert_str_eq(job->spec, spec);
        ck_assert_int_eq(job->status, PROTO_QUEUED);
        ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
        ck_assert_int_eq(job->created_at, 1234);
        ck_assert_str_eq(job->trace, "4bf9");
        ck_assert_int_eq(job->attempt + job->deaths + job->started_at + job->finished_at + job->cancel_requested_at + job->expires_at, 0);
        ck_assert_int_eq(job->sequence, 1);
        ck_assert(!job->has_error && !job->error_message && !job->summary);
    }
    check_last_event(store, 1, 1, 1234, "status", "{\"status\":\"queued\",\"attempt\":0}");
    kend_job_free(&made);
    kend_job_free(&read);
    ck_assert_ptr_null(read);
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(2), NULL, &read));
    ck_assert_ptr_null(read);
    OK(store->ops->check(store));
}

static void an_owner_sees_only_its_own(struct kend_store *store)
{
    struct kend_job *job;
    OK(store_suite_create(store, 1, 10));
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(1), "bob", &job));
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(1), "", &job));
    GIVES(KEND_STORE_NONE, store->ops->cancel(store, ID(1), "bob", 11, &job));
    ck_assert_ptr_null(job);
    GIVES(KEND_STORE_NONE, store->ops->remove(store, ID(1), "bob"));
    OK(store->ops->get(store, ID(1), "alice", &job));
    ck_assert_int_eq(job->status, PROTO_QUEUED);
    kend_job_free(&job);
    OK(store->ops->get(store, ID(1), NULL, &job));
    kend_job_free(&job);
    struct kend_job_list list;
    struct kend_job_filter filter = {.owner = "bob", .limit = 10};
    OK(store->ops->list(store, &filter, &list));
    ck_assert_uint_eq(list.count, 0);
    kend_job_list_clear(&list);
}

static void a_key_gives_the_same_job_once(struct kend_store *store)
{
    struct kend_job *job;
    struct id one = id_of(1), two = id_of(2), three = id_of(3);
    struct kend_new_job first = new_job(one.text, 10);
    first.idempotency_key = "key";
    OK(store->ops->create(store, &first, NULL));

    struct kend_new_job again = first;
    again.id = two.text;
    again.max_queued = 1; /* the queue is full, but nothing is added */
    GIVES(KEND_STORE_EXISTS, store->ops->create(store, &again, &job));
    ck_assert_str_eq(job->id, one.text);
    kend_job_free(&job);

    struct kend_new_job other_body = again;
    other_body.body_sha256[31] = 1;
    GIVES(KEND_STORE_KEY_MISMATCH, store->ops->create(store, &other_body, &job));
    ck_assert_ptr_null(job);

    struct kend_new_job other_owner = other_body;
    other_owner.owner = "bob";
    other_owner.max_queued = 0;
    OK(store->ops->create(store, &other_owner, NULL));

    struct kend_new_job other_key = first;
    other_key.id = three.text;
    other_key.idempotency_key = "KEY";
    OK(store->ops->create(store, &other_key, NULL));
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){3}, 10);

    /* a removed job leaves its key free */
    OK(store->ops->cancel(store, one.text, NULL, 20, NULL));
    OK(store->ops->remove(store, one.text, NULL));
    struct id four = id_of(4);
    again.id = four.text;
    again.max_queued = 0;
    OK(store->ops->create(store, &again, NULL));
}

static void jobs_without_a_key_are_all_new(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2}, 10);
}

static void a_full_queue_refuses(struct kend_store *store)
{
    struct kend_job *job;
    struct id three = id_of(3);
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 11));
    struct kend_new_job new = new_job(three.text, 12);
    new.max_queued = 2;
    GIVES(KEND_STORE_QUEUE_FULL, store->ops->create(store, &new, &job));
    ck_assert_ptr_null(job);
    claim(store, "a", 20); /* what runs does not count */
    OK(store->ops->create(store, &new, &job));
    kend_job_free(&job);
}

static void check_list(struct kend_store *store, struct kend_job_filter filter, const char *expected, bool has_more)
{
    struct kend_job_list list;
    char got[64] = "";
    if (!filter.limit) filter.limit = 10;
    OK(store->ops->list(store, &filter, &list));
    for (size_t i = 0; i < list.count; i++) snprintf(got + i, 2, "%c", list.item[i]->id[PROTO_ID_SIZE - 2]);
    ck_assert_str_eq(got, expected);
    ck_assert_int_eq(list.has_more, has_more);
    kend_job_list_clear(&list);
    ck_assert_ptr_null(list.item);
}

/* Jobs 1..6: odd ones are alice's; 3 and 6 have team=nlp, 6 and 4 have tier=1. */
static void make_mixed(struct kend_store *store)
{
    const struct kend_pair pairs[] = {{"team", "nlp"}, {"tier", "1"}, {"team", "cv"}};
    for (int i = 1; i <= 6; i++) {
        struct id id = id_of(i);
        struct kend_new_job new = new_job(id.text, 100 + i);
        if (i % 2 == 0) new.owner = "bob";
        new.metadata = i == 4 ? &pairs[1] : i == 1 ? &pairs[2] : pairs;
        new.metadata_count = i == 6 ? 2 : i == 3 || i == 4 || i == 1 ? 1 : 0;
        OK(store->ops->create(store, &new, NULL));
    }
    OK(store->ops->cancel(store, ID(2), NULL, 200, NULL));
    OK(store->ops->cancel(store, ID(5), NULL, 200, NULL));
}

static void lists_are_newest_first_in_pages(struct kend_store *store)
{
    struct id three = id_of(3), six = id_of(6);
    make_mixed(store);
    check_list(store, (struct kend_job_filter){0}, "654321", false);
    check_list(store, (struct kend_job_filter){.limit = 4}, "6543", true);
    check_list(store, (struct kend_job_filter){.limit = 6}, "654321", false);
    check_list(store, (struct kend_job_filter){.after = three.text}, "21", false);
    check_list(store, (struct kend_job_filter){.after = six.text, .limit = 2}, "54", true);
    check_list(store, (struct kend_job_filter){.owner = "alice"}, "531", false);
    check_list(store, (struct kend_job_filter){.owner = "bob", .limit = 2}, "64", true);
    check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_CANCELLED}, "52", false);
    check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_QUEUED, .owner = "alice"}, "31", false);
    check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_FAILED}, "", false);
}

static void lists_filter_by_metadata(struct kend_store *store)
{
    const struct kend_pair nlp = {"team", "nlp"}, both[] = {{"team", "nlp"}, {"tier", "1"}}, none = {"team", "NLP"},
                           swapped = {"nlp", "team"};
    struct id six = id_of(6);
    make_mixed(store);
    check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1}, "63", false);
    check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .limit = 1}, "6", true);
    check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .after = six.text}, "3", false);
    check_list(store, (struct kend_job_filter){.metadata = both, .metadata_count = 2}, "6", false);
    check_list(store, (struct kend_job_filter){.metadata = &both[1], .metadata_count = 1}, "64", false);
    check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .owner = "alice"}, "3", false);
    check_list(store, (struct kend_job_filter){.metadata = &none, .metadata_count = 1}, "", false);
    check_list(store, (struct kend_job_filter){.metadata = &swapped, .metadata_count = 1}, "", false);
    struct kend_pair many[17];
    for (int i = 0; i < 17; i++) many[i] = nlp;
    check_list(store, (struct kend_job_filter){.metadata = many, .metadata_count = 16}, "63", false);
    check_list(store, (struct kend_job_filter){.metadata = many, .metadata_count = 17}, "", false);
}

static void the_oldest_is_claimed_first(struct kend_store *store)
{
    OK(store_suite_create(store, 3, 10));
    OK(store_suite_create(store, 2, 20));
    OK(store_suite_create(store, 1, 10)); /* same time: the lower id */
    const int expected[] = {1, 3, 2};
    for (int i = 0; i < 3; i++) ck_assert_str_eq(claim(store, "a", 50).id.text, ID(expected[i]));
    GIVES(KEND_STORE_NONE, claim_result(store, "a", 50));
}

static void a_claimed_job_runs(struct kend_store *store)
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
    check_last_event(store, 1, 2, 50, "status", "{\"status\":\"running\",\"attempt\":1,\"stage\":\"checking\"}");
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){[PROTO_RUNNING] = 1}, 0);
    bool cancel = true;
    OK(store->ops->renew(store, ID(1), token, 60, LEASE, &cancel));
    ck_assert(!cancel);
    /* renewed until 60 + LEASE */
    GIVES(KEND_STORE_NONE, claim_result(store, "b", 59 + LEASE));
    OK(claim_result(store, "b", 60 + LEASE));
}

static void check_all_lost(struct kend_store *store, int number, const char *token)
{
    struct id id = id_of(number);
    struct lease lease = {.id = id};
    snprintf(lease.token, sizeof lease.token, "%s", token);
    struct kend_run_state state = {.stage = PROTO_PRUNING};
    bool cancel = true;
    GIVES(KEND_STORE_LOST, store->ops->renew(store, id.text, token, 60, LEASE, &cancel));
    ck_assert(!cancel);
    GIVES(KEND_STORE_LOST, store->ops->progress(store, id.text, token, 60, &state));
    GIVES(KEND_STORE_LOST, store->ops->log(store, id.text, token, 60, "{}"));
    GIVES(KEND_STORE_LOST, finish(store, &lease, PROTO_SUCCEED, 60));
    GIVES(KEND_STORE_LOST, finish(store, &lease, PROTO_FAIL, 60));
    GIVES(KEND_STORE_LOST, finish(store, &lease, PROTO_STOP, 60));
    GIVES(KEND_STORE_LOST, store->ops->hand_back(store, id.text, token, 60, NULL));
}

static void without_the_token_nothing_is_written(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    check_all_lost(store, 2, "");
    struct lease lease = claim(store, "a", 50);
    check_all_lost(store, 1, "");
    check_all_lost(store, 1, "00000000000000000000000000000000");
    check_all_lost(store, 2, lease.token);
    ck_assert_int_eq(status_of(store, 1), PROTO_RUNNING);
    bool cancel;
    GIVES(KEND_STORE_NONE, store->ops->renew(store, ID(9), lease.token, 60, LEASE, &cancel));
    OK(finish(store, &lease, PROTO_SUCCEED, 70));
    check_all_lost(store, 1, lease.token);
    check_all_lost(store, 1, "");
}

static void an_expired_lease_is_taken_by_another_only(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct lease old = claim(store, "a", 50);
    GIVES(KEND_STORE_NONE, claim_result(store, "b", 49 + LEASE));
    /* its own holder lives: the clock has made a step */
    GIVES(KEND_STORE_NONE, claim_result(store, "a", 50 + 10 * LEASE));
    bool cancel;
    OK(store->ops->renew(store, ID(1), old.token, 50, LEASE, &cancel));
    struct lease new = claim(store, "b", 50 + LEASE);
    ck_assert_str_ne(new.token, old.token);
    check_all_lost(store, 1, old.token);
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->deaths, 1);
    ck_assert_int_eq(job->attempt, 2);
    ck_assert_int_eq(job->started_at, 50);
    kend_job_free(&job);
    check_last_event(store, 1, 3, 50 + LEASE, "status", "{\"status\":\"running\",\"attempt\":2,\"stage\":\"checking\"}");
}

static void an_ended_lease_goes_before_younger_jobs(struct kend_store *store)
{
    OK(store_suite_create(store, 2, 20));
    claim(store, "a", 50);
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 3, 30));
    ck_assert_str_eq(claim(store, "b", 50 + LEASE).id.text, ID(1));
    ck_assert_str_eq(claim(store, "b", 50 + LEASE).id.text, ID(2));
    ck_assert_str_eq(claim(store, "b", 50 + LEASE).id.text, ID(3));
}

static void abandoned_leases_end_at_once(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    struct lease gone = claim(store, "a", 50), other = claim(store, "b", 50);
    OK(store->ops->abandon(store, "a", 51));
    check_all_lost(store, 1, gone.token);
    bool cancel;
    OK(store->ops->renew(store, ID(2), other.token, 52, LEASE, &cancel));
    ck_assert_str_eq(claim(store, "a", 51).id.text, ID(1));
    GIVES(KEND_STORE_NONE, claim_result(store, "a", 51));
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->deaths, 1);
    kend_job_free(&job);
}

static void die(struct kend_store *store, int64_t now)
{
    claim(store, "a", now);
    OK(store->ops->abandon(store, "a", now));
}

static void three_deaths_in_a_row_exhaust_a_job(struct kend_store *store)
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
    check_last_event(
        store, 1, 5, 60, "status",
        "{\"status\":\"failed\",\"attempt\":3,\"error\":{\"code\":\"attempts_exhausted\",\"message\":\"the job's runner ended 3 "
        "times in a row without new durable progress\",\"stage\":\"checking\"}}");
    ck_assert_str_eq(claim(store, "a", 60).id.text, ID(2));
}

static void report(struct kend_store *store, const struct lease *lease, enum proto_stage stage, uint64_t marker)
{
    struct kend_run_state state = {.stage = stage, .marker = marker};
    OK(store->ops->progress(store, lease->id.text, lease->token, 55, &state));
}

static void durable_progress_forgives_deaths(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    die(store, 50);
    die(store, 50);
    struct lease lease = claim(store, "a", 50);
    report(store, &lease, PROTO_FETCHING, 7);
    OK(store->ops->abandon(store, "a", 50));
    die(store, 50);
    /* the same marker, or a lower one, is not new */
    lease = claim(store, "a", 50);
    report(store, &lease, PROTO_FETCHING, 7);
    report(store, &lease, PROTO_FETCHING, 3);
    OK(store->ops->abandon(store, "a", 50));
    GIVES(KEND_STORE_EXHAUSTED, claim_result(store, "a", 50));
}

static void progress_is_kept(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
    struct kend_run_state state = {
        .stage = PROTO_FETCHING, .progress = {1, (uint64_t)1 << 40, 3, 4}, .marker = 1, .timings = {0, 0.5, 1.25, 2, 3}};
    OK(store->ops->progress(store, ID(1), lease.token, 55, &state));
    check_last_event(store, 1, 3, 55, "status", "{\"status\":\"running\",\"attempt\":1,\"stage\":\"fetching\"}");
    state.progress.rows_done = 4;
    OK(store->ops->progress(store, ID(1), lease.token, 56, &state));
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->sequence, 3); /* no event while the stage stays */
    ck_assert_int_eq(job->stage, PROTO_FETCHING);
    ck_assert_uint_eq(job->progress.bytes_fetched, 1);
    ck_assert_uint_eq(job->progress.bytes_total, (uint64_t)1 << 40);
    ck_assert_uint_eq(job->progress.rows_done, 4);
    ck_assert_uint_eq(job->progress.rows_total, 4);
    for (int i = 0; i < PROTO_STAGE_COUNT; i++) ck_assert_double_eq(job->timings[i], state.timings[i]);
    kend_job_free(&job);
}

static void a_job_handed_back_keeps_its_place(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 20));
    const double timings[PROTO_STAGE_COUNT] = {0, 1, 2, 0, 0};
    for (int i = 0; i < 2 * KEND_MAX_DEATHS; i++) {
        struct lease lease = claim(store, "a", 50 + i);
        ck_assert_str_eq(lease.id.text, ID(1));
        OK(store->ops->hand_back(store, ID(1), lease.token, 51 + i, timings));
        check_all_lost(store, 1, lease.token);
    }
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->status, PROTO_QUEUED);
    ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
    ck_assert_int_eq(job->deaths, 0);
    ck_assert_int_eq(job->attempt, 6);
    ck_assert_int_eq(job->started_at, 50);
    ck_assert_double_eq(job->timings[PROTO_FETCHING], 2);
    kend_job_free(&job);
    check_last_event(store, 1, 13, 56, "status", "{\"status\":\"queued\",\"attempt\":6}");
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2}, 10);
}

static void a_queued_job_is_cancelled_at_once(struct kend_store *store)
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
    check_last_event(store, 1, 2, 30, "status", "{\"status\":\"cancelled\",\"attempt\":0}");
    GIVES(KEND_STORE_FINISHED, store->ops->cancel(store, ID(1), NULL, 31, &job));
    ck_assert_ptr_null(job);
    GIVES(KEND_STORE_NONE, store->ops->cancel(store, ID(9), NULL, 31, &job));
    GIVES(KEND_STORE_NONE, claim_result(store, "a", 50));
}

static void a_running_job_is_asked_to_stop(struct kend_store *store)
{
    struct kend_job *job;
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
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
    OK(finish(store, &lease, PROTO_STOP, 90));
    ck_assert_int_eq(status_of(store, 1), PROTO_CANCELLED);
    GIVES(KEND_STORE_FINISHED, store->ops->cancel(store, ID(1), NULL, 91, NULL));
}

static void a_job_asked_to_stop_does_not_go_back_to_the_queue(struct kend_store *store)
{
    store->keep_ms = 1000;
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
    OK(store->ops->cancel(store, ID(1), NULL, 60, NULL));
    OK(store->ops->hand_back(store, ID(1), lease.token, 70, NULL));
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->status, PROTO_CANCELLED);
    ck_assert_int_eq(job->finished_at, 70);
    ck_assert_int_eq(job->expires_at, 1070);
    kend_job_free(&job);
    check_all_lost(store, 1, lease.token);
}

static void success_brings_artifacts_and_summary(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
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
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    ck_assert_int_eq(job->stage, PROTO_NO_STAGE);
    ck_assert_str_eq(job->summary, "{\"kept\":1}");
    ck_assert_int_eq(job->finished_at, 90);
    ck_assert_int_eq(job->expires_at, 0); /* keep_ms is 0: for ever */
    ck_assert_double_eq(job->timings[PROTO_PUBLISHING], 5);
    ck_assert(!job->has_error);
    kend_job_free(&job);
    check_last_event(store, 1, 3, 90, "status", "{\"status\":\"succeeded\",\"attempt\":1}");
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

static void failure_brings_an_error(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
    report(store, &lease, PROTO_FETCHING, 1);
    struct kend_outcome outcome = {
        .event = PROTO_FAIL, .error = PROTO_JOB_FETCH_FAILED, .error_stage = PROTO_FETCHING, .error_message = "404 \"gone\"", .now = 90};
    OK(store->ops->finish(store, ID(1), lease.token, &outcome));
    struct kend_job *job = get(store, 1);
    ck_assert_int_eq(job->status, PROTO_FAILED);
    ck_assert(job->has_error);
    ck_assert_int_eq(job->error, PROTO_JOB_FETCH_FAILED);
    ck_assert_int_eq(job->error_stage, PROTO_FETCHING);
    ck_assert_str_eq(job->error_message, "404 \"gone\"");
    ck_assert_ptr_null(job->summary);
    kend_job_free(&job);
    check_last_event(store, 1, 4, 90, "status",
                     "{\"status\":\"failed\",\"attempt\":1,\"error\":{\"code\":\"fetch_failed\",\"message\":\"404 \\\"gone\\\"\","
                     "\"stage\":\"fetching\"}}");
}

static void events_come_in_pages(struct kend_store *store)
{
    struct kend_event_list list;
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
    for (int i = 0; i < 5; i++) {
        char data[32];
        snprintf(data, sizeof data, "{\"message\":\"%d\"}", i);
        OK(store->ops->log(store, ID(1), lease.token, 60 + i, data));
    }
    check_last_event(store, 1, 7, 64, "log", "{\"message\":\"4\"}");
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

static void only_ended_jobs_are_removed(struct kend_store *store)
{
    struct kend_job *job;
    struct kend_event_list events;
    struct kend_artifact_list artifacts;
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    GIVES(KEND_STORE_ACTIVE, store->ops->remove(store, ID(1), NULL));
    struct lease lease = claim(store, "a", 50);
    GIVES(KEND_STORE_ACTIVE, store->ops->remove(store, ID(1), "alice"));
    for (int i = 0; i < 1100; i++) OK(store->ops->log(store, ID(1), lease.token, 60, "{}")); /* more than one sweep takes */
    OK(finish(store, &lease, PROTO_SUCCEED, 70));
    OK(store->ops->remove(store, ID(1), "alice"));
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(1), NULL, &job));
    GIVES(KEND_STORE_NONE, store->ops->events(store, ID(1), 0, 10, &events));
    GIVES(KEND_STORE_NONE, store->ops->artifacts(store, ID(1), &artifacts));
    GIVES(KEND_STORE_NONE, store->ops->remove(store, ID(1), NULL));
    check_list(store, (struct kend_job_filter){0}, "2", false);
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){1}, 10);
    /* nothing of it is left: the id could be used again */
    OK(store_suite_create(store, 1, 80));
    check_last_event(store, 1, 1, 80, "status", "{\"status\":\"queued\",\"attempt\":0}");
}

static void ended_jobs_expire(struct kend_store *store)
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

static void counts_follow_every_change(struct kend_store *store)
{
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){0}, 0);
    for (int i = 1; i <= 5; i++) OK(store_suite_create(store, i, 10 * i));
    struct lease one = claim(store, "a", 100), two = claim(store, "a", 100), three = claim(store, "a", 100);
    OK(finish(store, &one, PROTO_SUCCEED, 110));
    OK(finish(store, &two, PROTO_FAIL, 110));
    OK(store->ops->cancel(store, ID(4), NULL, 110, NULL));
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){1, 1, 1, 1, 1}, 50);
    OK(store->ops->hand_back(store, three.id.text, three.token, 120, NULL));
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2, 0, 1, 1, 1}, 30);
    OK(store->ops->remove(store, ID(2), NULL));
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2, 0, 1, 0, 1}, 30);
}

enum { THREADS = 4, EACH = 25 };

struct worker {
    struct kend_store *store;
    struct lease lease;
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

static void sequences_have_no_holes_under_threads(struct kend_store *store)
{
    static struct worker workers[THREADS];
    OK(store_suite_create(store, 1, 10));
    struct lease lease = claim(store, "a", 50);
    for (int i = 0; i < THREADS; i++) workers[i] = (struct worker){.store = store, .lease = lease};
    start(workers, append_logs);
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(workers[i].failed, 0);
    struct kend_event_list list;
    OK(store->ops->events(store, ID(1), 0, 1000, &list));
    ck_assert_uint_ge(list.count, 2 + THREADS * EACH);
    for (size_t i = 0; i < list.count; i++) ck_assert_int_eq(list.item[i].sequence, (int64_t)i + 1);
    struct kend_job *job = get(store, 1);
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

static void a_job_is_claimed_once_under_threads(struct kend_store *store)
{
    static struct worker workers[THREADS];
    int seen[THREADS * EACH] = {0};
    for (int i = 0; i < THREADS; i++) workers[i] = (struct worker){.store = store, .number = i};
    start(workers, create_and_claim);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(workers[i].failed, 0);
        for (int k = 0; k < workers[i].claimed; k++) ck_assert_int_eq(seen[atoi(workers[i].got[k] + PROTO_ID_SIZE - 9)]++, 0);
    }
    check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){[PROTO_RUNNING] = THREADS * EACH}, 0);
}

#define CASE(name)  \
    {               \
#name, name \
    }
const struct store_case store_suite[] = {
    CASE(a_created_job_is_there_as_given),
    CASE(an_owner_sees_only_its_own),
    CASE(a_key_gives_the_same_job_once),
    CASE(jobs_without_a_key_are_all_new),
    CASE(a_full_queue_refuses),
    CASE(lists_are_newest_first_in_pages),
    CASE(lists_filter_by_metadata),
    CASE(the_oldest_is_claimed_first),
    CASE(a_claimed_job_runs),
    CASE(without_the_token_nothing_is_written),
    CASE(an_expired_lease_is_taken_by_another_only),
    CASE(an_ended_lease_goes_before_younger_jobs),
    CASE(abandoned_leases_end_at_once),
    CASE(three_deaths_in_a_row_exhaust_a_job),
    CASE(durable_progress_forgives_deaths),
    CASE(progress_is_kept),
    CASE(a_job_handed_back_keeps_its_place),
    CASE(a_queued_job_is_cancelled_at_once),
    CASE(a_running_job_is_asked_to_stop),
    CASE(a_job_asked_to_stop_does_not_go_back_to_the_queue),
    CASE(success_brings_artifacts_and_summary),
    CASE(failure_brings_an_error),
    CASE(events_come_in_pages),
    CASE(only_ended_jobs_are_removed),
    CASE(ended_jobs_expire),
    CASE(counts_follow_every_change),
    CASE(sequences_have_no_holes_under_threads),
    CASE(a_job_is_claimed_once_under_threads),
};
const size_t store_suite_count = sizeof store_suite / sizeof *store_suite;
