/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the suite of the store share. Nobody else includes this. */
#ifndef KEND_TESTS_STORE_SUITE_PARTS_H
#define KEND_TESTS_STORE_SUITE_PARTS_H

#include "store_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE = 60000 };

#define OK(call) ck_assert_str_eq(kend_store_result_text(call), kend_store_result_text(KEND_STORE_OK))
#define GIVES(result, call) ck_assert_str_eq(kend_store_result_text(call), kend_store_result_text(result))

#define STORE_CASE_MAP(X)                                \
    X(a_created_job_is_there_as_given)                   \
    X(an_owner_sees_only_its_own)                        \
    X(a_key_gives_the_same_job_once)                     \
    X(jobs_without_a_key_are_all_new)                    \
    X(a_full_queue_refuses)                              \
    X(an_owners_full_queue_refuses_it_alone)             \
    X(an_owners_documents_have_a_limit)                  \
    X(lists_are_newest_first_in_pages)                   \
    X(lists_filter_by_metadata)                          \
    X(counts_follow_every_change)                        \
    X(the_oldest_is_claimed_first)                       \
    X(a_claimed_job_runs)                                \
    X(what_has_begun_goes_first)                         \
    X(owners_take_turns)                                 \
    X(an_owner_that_comes_back_is_served_first)          \
    X(an_owner_runs_no_more_than_its_share)              \
    X(a_lowered_share_holds_for_what_was_handed_back)    \
    X(a_job_handed_back_keeps_its_place)                 \
    X(without_the_token_nothing_is_written)              \
    X(an_expired_lease_is_taken_by_another_only)         \
    X(abandoned_leases_end_at_once)                      \
    X(three_deaths_in_a_row_exhaust_a_job)               \
    X(durable_progress_forgives_deaths)                  \
    X(a_suspect_is_alone)                                \
    X(another_process_is_no_neighbour)                   \
    X(durable_progress_ends_doubt)                       \
    X(a_suspect_waits_for_what_is_in_doubt)              \
    X(nobody_waits_for_what_stands_still)                \
    X(a_suspect_that_was_handed_back_is_one)             \
    X(times_of_events_never_go_back)                     \
    X(progress_is_kept)                                  \
    X(a_queued_job_is_cancelled_at_once)                 \
    X(a_running_job_is_asked_to_stop)                    \
    X(a_job_asked_to_stop_does_not_go_back_to_the_queue) \
    X(success_brings_artifacts_and_summary)              \
    X(failure_brings_an_error)                           \
    X(events_come_in_pages)                              \
    X(only_ended_jobs_are_removed)                       \
    X(ended_jobs_expire)                                 \
    X(the_oldest_artifacts_are_evicted)                  \
    X(the_owners_own_artifacts_are_evicted_first)        \
    X(sequences_have_no_holes_under_threads)             \
    X(a_job_is_claimed_once_under_threads)               \
    X(limits_of_owners_hold_under_threads)
#define X(name) void name(struct kend_store *store);
STORE_CASE_MAP(X)
#undef X

struct suite_id {
    char text[PROTO_ID_SIZE];
};
#define ID(number) (suite_id_of(number).text) /* lasts for one expression */

struct suite_lease {
    struct suite_id id;
    char token[KEND_TOKEN_SIZE];
};

struct suite_id suite_id_of(int number);
struct kend_new_job suite_new_job(const char *id, int64_t now);
struct kend_job *suite_get(struct kend_store *store, int number);
enum proto_status suite_status(struct kend_store *store, int number);
struct suite_lease suite_claim(struct kend_store *store, const char *holder, int64_t now);
enum kend_store_result suite_try_claim(struct kend_store *store, const char *holder, int64_t now);
enum kend_store_result suite_finish(struct kend_store *store, const struct suite_lease *lease, enum proto_event event, int64_t now);
void suite_report(struct kend_store *store, const struct suite_lease *lease, enum proto_stage stage, uint64_t marker);
void suite_check_last_event(struct kend_store *store, int number, size_t count, int64_t time, const char *type, const char *data);
void suite_check_counts(struct kend_store *store, const uint64_t expected[PROTO_STATUS_COUNT], int64_t oldest);
void suite_check_list(struct kend_store *store, struct kend_job_filter filter, const char *expected, bool has_more);
void suite_check_all_lost(struct kend_store *store, int number, const char *token);

#endif
