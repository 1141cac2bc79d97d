/* SPDX-License-Identifier: Apache-2.0 */
/* The suite of the store, run against each back end. */
#include "store_fault.h"
#include "store_suite.h"
#include "unit.h"
#include "unit_folder.h"

static struct kend_store *open_sqlite(const struct unit_folder *folder)
{
    char url[PATH_MAX + 8], message[256] = "";
    snprintf(url, sizeof url, "sqlite:%s/kend.db", folder->path);
    struct kend_store *store;
    ck_assert_msg(kend_store_open(&store, url, message) == KEND_STORE_OK, "%s", message);
    return store;
}

/* The store that can fail must be as good as another while it does not. */
static struct kend_store *open_fault(const struct unit_folder *folder)
{
    return store_fault_open(open_sqlite(folder));
}

static struct kend_store *(*const back_ends[])(const struct unit_folder *folder) = {open_sqlite, open_fault};
enum { BACK_ENDS = sizeof back_ends / sizeof *back_ends };

/* _i counts through the cases of each back end. */
START_TEST(conforms)
{
    struct unit_folder folder;
    unit_folder_make(&folder);
    struct kend_store *store = back_ends[(size_t)_i / store_suite_count](&folder);
    store_suite[(size_t)_i % store_suite_count].run(store);
    kend_store_close(&store);
    ck_assert_ptr_null(store);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_failure_can_come_before_or_after_the_work)
{
    struct unit_folder folder;
    unit_folder_make(&folder);
    struct kend_store *store = open_fault(&folder);
    char id[PROTO_ID_SIZE];
    struct kend_job *job;
    store_suite_id(id, 1);
    store_fault_arm(store, 2, KEND_STORE_UNAVAILABLE, STORE_FAULT_BEFORE);
    ck_assert_int_eq(store->ops->check(store), KEND_STORE_OK);
    ck_assert_int_eq(store_suite_create(store, 1, 10), KEND_STORE_UNAVAILABLE);
    ck_assert_int_eq(store->ops->get(store, id, NULL, &job), KEND_STORE_NONE);
    ck_assert_uint_eq(store_fault_calls(store), 3);
    store_fault_arm(store, 1, KEND_STORE_NO_SPACE, STORE_FAULT_AFTER);
    ck_assert_int_eq(store_suite_create(store, 1, 10), KEND_STORE_NO_SPACE);
    store_fault_arm(store, 1, KEND_STORE_UNAVAILABLE, STORE_FAULT_AFTER);
    ck_assert_int_eq(store->ops->get(store, id, NULL, &job), KEND_STORE_UNAVAILABLE);
    ck_assert_ptr_null(job);
    ck_assert_int_eq(store->ops->get(store, id, NULL, &job), KEND_STORE_OK);
    kend_job_free(&job);
    kend_store_close(&store);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(an_unknown_kind_is_refused)
{
    struct kend_store *store;
    char message[256];
    ck_assert_int_eq(kend_store_open(&store, "postgresql://user:secret@host/db", message), KEND_STORE_UNAVAILABLE);
    ck_assert_ptr_null(store);
    ck_assert_str_eq(message, "store.url: unknown kind of store \"postgresql\"; sqlite:PATH is known");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *cases = tcase_create("store");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(cases, conforms, 0, (int)(BACK_ENDS * store_suite_count));
    tcase_add_test(cases, a_failure_can_come_before_or_after_the_work);
    tcase_add_test(cases, an_unknown_kind_is_refused);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
