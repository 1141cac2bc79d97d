/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: jobs as they come in. */
#include "store_suite_parts.h"

void a_created_job_is_there_as_given(struct kend_store *store)
{
    struct kend_job *made, *read;
    const char *spec = "{\"name\":\"\xc3\xa9 'quoted' \\\"\"}";
    struct suite_id id = suite_id_of(1);
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
    suite_check_last_event(store, 1, 1, 1234, "status", "{\"status\":\"queued\",\"attempt\":0}");
    kend_job_free(&made);
    kend_job_free(&read);
    ck_assert_ptr_null(read);
    GIVES(KEND_STORE_NONE, store->ops->get(store, ID(2), NULL, &read));
    ck_assert_ptr_null(read);
    OK(store->ops->check(store));
}

void an_owner_sees_only_its_own(struct kend_store *store)
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

void a_key_gives_the_same_job_once(struct kend_store *store)
{
    struct kend_job *job;
    struct suite_id one = suite_id_of(1), two = suite_id_of(2), three = suite_id_of(3);
    struct kend_new_job first = suite_new_job(one.text, 10);
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
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){3}, 10);

    /* a removed job leaves its key free */
    OK(store->ops->cancel(store, one.text, NULL, 20, NULL));
    OK(store->ops->remove(store, one.text, NULL));
    struct suite_id four = suite_id_of(4);
    again.id = four.text;
    again.max_queued = 0;
    OK(store->ops->create(store, &again, NULL));
}

void jobs_without_a_key_are_all_new(struct kend_store *store)
{
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 10));
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2}, 10);
}

void a_full_queue_refuses(struct kend_store *store)
{
    struct kend_job *job;
    struct suite_id three = suite_id_of(3);
    OK(store_suite_create(store, 1, 10));
    OK(store_suite_create(store, 2, 11));
    struct kend_new_job new = suite_new_job(three.text, 12);
    new.max_queued = 2;
    GIVES(KEND_STORE_QUEUE_FULL, store->ops->create(store, &new, &job));
    ck_assert_ptr_null(job);
    suite_claim(store, "a", 20); /* what runs does not count */
    OK(store->ops->create(store, &new, &job));
    kend_job_free(&job);
}

/* Bytes, not characters; of ended jobs, too, until they are deleted. */
void an_owners_documents_have_a_limit(struct kend_store *store)
{
    struct suite_id ids[] = {suite_id_of(1), suite_id_of(2), suite_id_of(3)};
    struct kend_new_job new = suite_new_job(ids[0].text, 10);
    new.spec = "{\"\u00e4\":1}"; /* 8 bytes */
    new.max_bytes_per_owner = 7;
    GIVES(KEND_STORE_OWNER_BYTES_FULL, store->ops->create(store, &new, NULL));
    new.max_bytes_per_owner = 15;
    OK(store->ops->create(store, &new, NULL));
    new.id = ids[1].text;
    GIVES(KEND_STORE_OWNER_BYTES_FULL, store->ops->create(store, &new, NULL));
    OK(store->ops->cancel(store, ids[0].text, NULL, 11, NULL));
    GIVES(KEND_STORE_OWNER_BYTES_FULL, store->ops->create(store, &new, NULL));
    new.owner = "bob";
    OK(store->ops->create(store, &new, NULL));
    new.owner = "alice";
    new.id = ids[2].text;
    OK(store->ops->remove(store, ids[0].text, NULL));
    OK(store->ops->create(store, &new, NULL));
}

void an_owners_full_queue_refuses_it_alone(struct kend_store *store)
{
    struct suite_id ids[] = {suite_id_of(1), suite_id_of(2), suite_id_of(3), suite_id_of(4)};
    struct kend_new_job new = suite_new_job(ids[0].text, 10);
    new.max_queued_per_owner = 1;
    OK(store->ops->create(store, &new, NULL));
    new.id = ids[1].text;
    GIVES(KEND_STORE_OWNER_QUEUE_FULL, store->ops->create(store, &new, NULL));
    new.max_queued = 1; /* both are full: its own is told */
    GIVES(KEND_STORE_OWNER_QUEUE_FULL, store->ops->create(store, &new, NULL));
    new.owner = "bob";
    GIVES(KEND_STORE_QUEUE_FULL, store->ops->create(store, &new, NULL));
    new.max_queued = 2;
    OK(store->ops->create(store, &new, NULL));
    /* what runs or has ended does not count */
    suite_claim(store, "a", 20);
    new = suite_new_job(ids[2].text, 30);
    new.max_queued_per_owner = 1;
    OK(store->ops->create(store, &new, NULL));
    OK(store->ops->cancel(store, ids[2].text, NULL, 31, NULL));
    new.id = ids[3].text;
    OK(store->ops->create(store, &new, NULL));
    struct kend_store_counts counts;
    OK(store->ops->counts(store, &counts));
    ck_assert_uint_eq(counts.owners_queued, 2);
}
