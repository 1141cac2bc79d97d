/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: lists and counts. */
#include "store_suite_parts.h"

/* Jobs 1..6: odd ones are alice's; 3 and 6 have team=nlp, 6 and 4 have tier=1. */
static void make_mixed(struct kend_store *store)
{
    const struct kend_pair pairs[] = {{"team", "nlp"}, {"tier", "1"}, {"team", "cv"}};
    for (int i = 1; i <= 6; i++) {
        struct suite_id id = suite_id_of(i);
        struct kend_new_job new = suite_new_job(id.text, 100 + i);
        if (i % 2 == 0) new.owner = "bob";
        new.metadata = i == 4 ? &pairs[1] : i == 1 ? &pairs[2] : pairs;
        new.metadata_count = i == 6 ? 2 : i == 3 || i == 4 || i == 1 ? 1 : 0;
        OK(store->ops->create(store, &new, NULL));
    }
    OK(store->ops->cancel(store, ID(2), NULL, 200, NULL));
    OK(store->ops->cancel(store, ID(5), NULL, 200, NULL));
}

void lists_are_newest_first_in_pages(struct kend_store *store)
{
    struct suite_id three = suite_id_of(3), six = suite_id_of(6);
    make_mixed(store);
    suite_check_list(store, (struct kend_job_filter){0}, "654321", false);
    suite_check_list(store, (struct kend_job_filter){.limit = 4}, "6543", true);
    suite_check_list(store, (struct kend_job_filter){.limit = 6}, "654321", false);
    suite_check_list(store, (struct kend_job_filter){.after = three.text}, "21", false);
    suite_check_list(store, (struct kend_job_filter){.after = six.text, .limit = 2}, "54", true);
    suite_check_list(store, (struct kend_job_filter){.owner = "alice"}, "531", false);
    suite_check_list(store, (struct kend_job_filter){.owner = "bob", .limit = 2}, "64", true);
    suite_check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_CANCELLED}, "52", false);
    suite_check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_QUEUED, .owner = "alice"}, "31", false);
    suite_check_list(store, (struct kend_job_filter){.has_status = true, .status = PROTO_FAILED}, "", false);
}

void lists_filter_by_metadata(struct kend_store *store)
{
    const struct kend_pair nlp = {"team", "nlp"}, both[] = {{"team", "nlp"}, {"tier", "1"}}, none = {"team", "NLP"},
                           swapped = {"nlp", "team"};
    struct suite_id six = suite_id_of(6);
    make_mixed(store);
    suite_check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1}, "63", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .limit = 1}, "6", true);
    suite_check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .after = six.text}, "3", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = both, .metadata_count = 2}, "6", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = &both[1], .metadata_count = 1}, "64", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = &nlp, .metadata_count = 1, .owner = "alice"}, "3", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = &none, .metadata_count = 1}, "", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = &swapped, .metadata_count = 1}, "", false);
    struct kend_pair many[17];
    for (int i = 0; i < 17; i++) many[i] = nlp;
    suite_check_list(store, (struct kend_job_filter){.metadata = many, .metadata_count = 16}, "63", false);
    suite_check_list(store, (struct kend_job_filter){.metadata = many, .metadata_count = 17}, "", false);
}

void counts_follow_every_change(struct kend_store *store)
{
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){0}, 0);
    for (int i = 1; i <= 5; i++) OK(store_suite_create(store, i, 10 * i));
    struct suite_lease one = suite_claim(store, "a", 100), two = suite_claim(store, "a", 100), three = suite_claim(store, "a", 100);
    OK(suite_finish(store, &one, PROTO_SUCCEED, 110));
    OK(suite_finish(store, &two, PROTO_FAIL, 110));
    OK(store->ops->cancel(store, ID(4), NULL, 110, NULL));
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){1, 1, 1, 1, 1}, 50);
    OK(store->ops->hand_back(store, three.id.text, three.token, 120, NULL));
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2, 0, 1, 1, 1}, 30);
    OK(store->ops->remove(store, ID(2), NULL));
    suite_check_counts(store, (const uint64_t[PROTO_STATUS_COUNT]){2, 0, 1, 0, 1}, 30);
}
