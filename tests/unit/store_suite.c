/* SPDX-License-Identifier: Apache-2.0 */
/* The table of cases, and what they share. */
#include "store_suite_parts.h"

void store_suite_id(char id[PROTO_ID_SIZE], int number)
{
    snprintf(id, PROTO_ID_SIZE, "job_01ARZ3NDEKTSV4RRFF%08d", number);
}

struct suite_id suite_id_of(int number)
{
    struct suite_id id;
    store_suite_id(id.text, number);
    return id;
}

struct kend_new_job suite_new_job(const char *id, int64_t now)
{
    return (struct kend_new_job){.id = id, .owner = "alice", .spec = "{\"k\":3}", .now = now};
}

enum kend_store_result store_suite_create(struct kend_store *store, int number, int64_t now)
{
    struct suite_id id = suite_id_of(number);
    struct kend_new_job job = suite_new_job(id.text, now);
    return store->ops->create(store, &job, NULL);
}

struct kend_job *suite_get(struct kend_store *store, int number)
{
    struct kend_job *job;
    OK(store->ops->get(store, ID(number), NULL, &job));
    return job;
}

enum proto_status suite_status(struct kend_store *store, int number)
{
    struct kend_job *job = suite_get(store, number);
    enum proto_status status = job->status;
    kend_job_free(&job);
    return status;
}

struct suite_lease suite_claim(struct kend_store *store, const char *holder, int64_t now)
{
    struct suite_lease lease;
    struct kend_job *job;
    OK(store->ops->claim(store, holder, now, LEASE, &job, lease.token));
    memcpy(lease.id.text, job->id, sizeof lease.id.text);
    kend_job_free(&job);
    return lease;
}

enum kend_store_result suite_try_claim(struct kend_store *store, const char *holder, int64_t now)
{
    struct kend_job *job;
    char token[KEND_TOKEN_SIZE];
    enum kend_store_result result = store->ops->claim(store, holder, now, LEASE, &job, token);
    if (result != KEND_STORE_OK) ck_assert_str_eq(token, "");
    if (result != KEND_STORE_OK && result != KEND_STORE_EXHAUSTED) ck_assert_ptr_null(job);
    kend_job_free(&job);
    return result;
}

enum kend_store_result suite_finish(struct kend_store *store, const struct suite_lease *lease, enum proto_event event, int64_t now)
{
    struct kend_outcome outcome = {.event = event, .error = PROTO_JOB_INTERNAL, .error_message = "m", .summary = "{}", .now = now};
    return store->ops->finish(store, lease->id.text, lease->token, &outcome);
}

void suite_report(struct kend_store *store, const struct suite_lease *lease, enum proto_stage stage, uint64_t marker)
{
    struct kend_run_state state = {.stage = stage, .marker = marker};
    OK(store->ops->progress(store, lease->id.text, lease->token, 55, &state));
}

/* The last event's sequence, type and data; frees nothing twice and checks that there are `count` without a hole. */
void suite_check_last_event(struct kend_store *store, int number, size_t count, int64_t time, const char *type, const char *data)
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

void suite_check_counts(struct kend_store *store, const uint64_t expected[PROTO_STATUS_COUNT], int64_t oldest)
{
    struct kend_store_counts counts;
    OK(store->ops->counts(store, &counts));
    for (int i = 0; i < PROTO_STATUS_COUNT; i++) ck_assert_uint_eq(counts.by_status[i], expected[i]);
    ck_assert_int_eq(counts.oldest_queued_at, oldest);
}

void suite_check_list(struct kend_store *store, struct kend_job_filter filter, const char *expected, bool has_more)
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

void suite_check_all_lost(struct kend_store *store, int number, const char *token)
{
    struct suite_id id = suite_id_of(number);
    struct suite_lease lease = {.id = id};
    snprintf(lease.token, sizeof lease.token, "%s", token);
    struct kend_run_state state = {.stage = PROTO_PRUNING};
    bool cancel = true;
    GIVES(KEND_STORE_LOST, store->ops->renew(store, id.text, token, 60, LEASE, &cancel));
    ck_assert(!cancel);
    GIVES(KEND_STORE_LOST, store->ops->progress(store, id.text, token, 60, &state));
    GIVES(KEND_STORE_LOST, store->ops->log(store, id.text, token, 60, "{}"));
    GIVES(KEND_STORE_LOST, suite_finish(store, &lease, PROTO_SUCCEED, 60));
    GIVES(KEND_STORE_LOST, suite_finish(store, &lease, PROTO_FAIL, 60));
    GIVES(KEND_STORE_LOST, suite_finish(store, &lease, PROTO_STOP, 60));
    GIVES(KEND_STORE_LOST, store->ops->hand_back(store, id.text, token, 60, NULL));
}

#define X(name) {#name, name},
const struct store_case store_suite[] = {STORE_CASE_MAP(X)};
#undef X
const size_t store_suite_count = sizeof store_suite / sizeof *store_suite;
