/* SPDX-License-Identifier: Apache-2.0 */
#include "http/feed.h"
#include "unit.h"

#include <stdio.h>

static struct kend_feed *create(void)
{
    struct kend_feed *feed;
    ck_assert_int_eq(kend_feed_create(&feed, NULL), KEN_OK);
    return feed;
}

static void expect(struct kend_feed *feed, uint64_t *position, const char *job, bool removed, const char *owner)
{
    struct kend_feed_entry entry;
    ck_assert_int_eq(kend_feed_take(feed, position, &entry), KEND_FEED_TAKEN);
    ck_assert_str_eq(entry.job, job);
    ck_assert_str_eq(entry.owner, owner);
    ck_assert(entry.removed == removed);
}

static void expect_nothing(struct kend_feed *feed, uint64_t *position)
{
    struct kend_feed_entry entry;
    ck_assert_int_eq(kend_feed_take(feed, position, &entry), KEND_FEED_NOTHING);
    ck_assert_uint_eq(*position, kend_feed_end(feed));
}

START_TEST(each_reader_gets_what_came_since)
{
    struct kend_feed *feed = create();
    uint64_t early = kend_feed_end(feed);
    kend_feed_put(feed, "job_a", "nlp", false);
    uint64_t late = kend_feed_end(feed);
    kend_feed_put(feed, "job_b", "nlp", false);
    expect(feed, &early, "job_a", false, "nlp");
    expect(feed, &early, "job_b", false, "nlp");
    expect_nothing(feed, &early);
    expect(feed, &late, "job_b", false, "nlp");
    expect_nothing(feed, &late);
    kend_feed_destroy(&feed);
    ck_assert_ptr_null(feed);
}
END_TEST

START_TEST(of_a_job_the_last_change_alone)
{
    struct kend_feed *feed = create();
    uint64_t position = 0;
    kend_feed_put(feed, "job_a", "nlp", false);
    kend_feed_put(feed, "job_b", "nlp", false);
    kend_feed_put(feed, "job_a", "nlp", false);
    kend_feed_put(feed, "job_b", "nlp", true);
    kend_feed_put(feed, "job_b", "nlp", true);
    expect(feed, &position, "job_a", false, "nlp");
    expect(feed, &position, "job_b", true, "nlp");
    expect_nothing(feed, &position);
    kend_feed_put(feed, "job_c", "", true);
    expect(feed, &position, "job_c", true, "");
    kend_feed_destroy(&feed);
}
END_TEST

START_TEST(nothing_comes_behind_a_removal)
{
    struct kend_feed *feed = create();
    uint64_t position = 0, later;
    kend_feed_put(feed, "job_a", "nlp", false);
    kend_feed_put(feed, "job_a", "nlp", true);
    kend_feed_put(feed, "job_b", "nlp", true);
    later = kend_feed_end(feed);
    kend_feed_put(feed, "job_b", "nlp", false);
    kend_feed_put(feed, "job_a", "nlp", false);
    expect(feed, &position, "job_a", true, "nlp");
    expect(feed, &position, "job_b", true, "nlp");
    expect_nothing(feed, &position);
    expect_nothing(feed, &later);
    kend_feed_destroy(&feed);
}
END_TEST

START_TEST(who_falls_behind_is_told)
{
    struct kend_feed *feed = create();
    struct kend_feed_entry entry;
    char job[PROTO_ID_SIZE];
    uint64_t lost = 0, just = 0;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < KEND_FEED_SLOTS; i++) {
            snprintf(job, sizeof job, "job_%d", i * (round + 1));
            kend_feed_put(feed, job, "nlp", false);
        }
    ck_assert_int_eq(kend_feed_take(feed, &lost, &entry), KEND_FEED_LOST);
    just = kend_feed_end(feed) - KEND_FEED_SLOTS;
    for (int i = 0; i < KEND_FEED_SLOTS; i++) {
        snprintf(job, sizeof job, "job_%d", i * 3);
        expect(feed, &just, job, false, "nlp");
    }
    expect_nothing(feed, &just);
    kend_feed_destroy(&feed);
}
END_TEST

UNIT_MAIN("feed", each_reader_gets_what_came_since, of_a_job_the_last_change_alone, nothing_comes_behind_a_removal,
          who_falls_behind_is_told)
