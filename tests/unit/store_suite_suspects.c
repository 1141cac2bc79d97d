/* SPDX-License-Identifier: Apache-2.0 */
/* Of the store: jobs whose next death would be their last, and what is claimed beside them. */
#include "store_suite_parts.h"

/* The process of a holder ends, and the next one claims these jobs, up to a 0, of those that it left. */
static void restart(struct kend_store *store, const char *holder, const int *numbers)
{
    OK(store->ops->abandon(store, holder, 50));
    for (; *numbers; numbers++) ck_assert_str_eq(suite_claim(store, holder, 50).id.text, ID(*numbers));
}

/* Jobs 1 and 2 are suspects as soon as they are claimed; 3 waits. */
static void make_suspects(struct kend_store *store)
{
    for (int i = 1; i <= 3; i++) OK(store_suite_create(store, i, 10 * i));
    for (int i = 0; i < KEND_SUSPECT_DEATHS; i++) restart(store, "a", (const int[]){1, 2, 0});
    OK(store->ops->abandon(store, "a", 50));
}

/* Whoever kills the process is found out alone; a neighbour of the first deaths gets its own try. */
void a_suspect_is_alone(struct kend_store *store)
{
    make_suspects(store);
    restart(store, "a", (const int[]){1, 0});
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 50));
    OK(store->ops->abandon(store, "a", 51));
    GIVES(KEND_STORE_EXHAUSTED, suite_try_claim(store, "a", 51));
    struct suite_lease neighbour = suite_claim(store, "a", 51);
    ck_assert_str_eq(neighbour.id.text, ID(2));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 51));
    OK(suite_finish(store, &neighbour, PROTO_SUCCEED, 52));
    ck_assert_str_eq(suite_claim(store, "a", 52).id.text, ID(3));
}

void another_process_is_no_neighbour(struct kend_store *store)
{
    make_suspects(store);
    ck_assert_str_eq(suite_claim(store, "a", 60).id.text, ID(1));
    ck_assert_str_eq(suite_claim(store, "b", 60).id.text, ID(2));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 60));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "b", 60));
    ck_assert_str_eq(suite_claim(store, "c", 60).id.text, ID(3));
}

/* What has got further since it died is a suspect no more, and no danger to one. */
void durable_progress_ends_doubt(struct kend_store *store)
{
    make_suspects(store);
    struct suite_lease first = suite_claim(store, "a", 60);
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 60));
    suite_report(store, &first, PROTO_FETCHING, 1);
    struct suite_lease second = suite_claim(store, "a", 60);
    ck_assert_str_eq(second.id.text, ID(2));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 60));
    suite_report(store, &second, PROTO_FETCHING, 1);
    ck_assert_str_eq(suite_claim(store, "a", 60).id.text, ID(3));
}

/* Whoever runs already, and has shown nothing yet; what is new has to wait, too, lest the suspect wait forever. */
void a_suspect_waits_for_what_is_in_doubt(struct kend_store *store)
{
    OK(store_suite_create(store, 4, 1));
    struct suite_lease running = suite_claim(store, "b", 50);
    make_suspects(store);
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "b", 60));
    suite_report(store, &running, PROTO_FETCHING, 1);
    ck_assert_str_eq(suite_claim(store, "b", 60).id.text, ID(1));
}

/* One lease's time after its last event, at most. */
void nobody_waits_for_what_stands_still(struct kend_store *store)
{
    make_suspects(store);
    ck_assert_str_eq(suite_claim(store, "a", 60).id.text, ID(1));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 59 + LEASE));
    ck_assert_str_eq(suite_claim(store, "a", 60 + LEASE).id.text, ID(2));
    GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 59 + 2 * LEASE));
    ck_assert_str_eq(suite_claim(store, "a", 60 + 2 * LEASE).id.text, ID(3));
}

/* However often: it counts no death, and forgives none. */
void a_suspect_that_was_handed_back_is_one(struct kend_store *store)
{
    make_suspects(store);
    for (int i = 0; i < KEND_MAX_DEATHS; i++) {
        struct suite_lease lease = suite_claim(store, "a", 60);
        ck_assert_str_eq(lease.id.text, i == 1 ? ID(2) : ID(1));
        GIVES(KEND_STORE_NONE, suite_try_claim(store, "a", 60));
        OK(store->ops->hand_back(store, lease.id.text, lease.token, 60, NULL));
    }
}
