/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http/wait.h"
#include "unit.h"

#include <string.h>
#include <unistd.h>

/* Without a connection there is nothing to suspend, but everything else goes its way. */
static enum kend_wait_result suspend(struct kend_waits *waits, struct kend_wait *wait, const char *job, int64_t ms)
{
    return kend_wait_suspend(waits, wait, NULL, job, job ? kend_waits_seen(waits, job) : 0, kend_monotonic_ms() + ms);
}

static struct kend_waits *create_for(uint32_t streams, uint32_t others, uint32_t all)
{
    const struct kend_wait_places most = {streams, others, all};
    struct kend_waits *waits;
    ck_assert_int_eq(kend_waits_create(&waits, &most, NULL), KEN_OK);
    return waits;
}

static struct kend_waits *create(uint32_t places)
{
    return create_for(0, places, places);
}

static void end(struct kend_waits *waits)
{
    kend_waits_close(waits);
    kend_waits_destroy(&waits);
    ck_assert_ptr_null(waits);
}

START_TEST(a_change_wakes_those_of_its_job)
{
    struct kend_waits *waits = create(8);
    struct kend_wait a = {0}, b = {0}, other = {0};
    ck_assert_int_eq(suspend(waits, &a, "job_a", 60000), KEND_WAIT_SUSPENDED);
    ck_assert_int_eq(suspend(waits, &b, "job_a", 60000), KEND_WAIT_SUSPENDED);
    ck_assert_int_eq(suspend(waits, &other, "job_b", 60000), KEND_WAIT_SUSPENDED);
    ck_assert_uint_eq(kend_waits_count(waits), 3);
    kend_waits_changed(waits, "job_a", "nlp");
    ck_assert(!a.suspended && !b.suspended && other.suspended);
    ck_assert_uint_eq(kend_waits_count(waits), 1);
    end(waits);
    ck_assert(!other.suspended);
}
END_TEST

START_TEST(a_change_before_the_suspension_is_not_missed)
{
    struct kend_waits *waits = create(2);
    struct kend_wait wait = {0};
    uint64_t seen = kend_waits_seen(waits, "job_a");
    kend_waits_changed(waits, "job_a", "nlp");
    ck_assert_int_eq(kend_wait_suspend(waits, &wait, NULL, "job_a", seen, kend_monotonic_ms() + 60000), KEND_WAIT_CHANGED);
    ck_assert_int_eq(suspend(waits, &wait, "job_a", 60000), KEND_WAIT_SUSPENDED);
    end(waits);
}
END_TEST

START_TEST(waking_one_works_before_and_after)
{
    struct kend_waits *waits = create(2);
    struct kend_wait wait = {0};
    kend_wait_wake(waits, &wait);
    ck_assert_int_eq(suspend(waits, &wait, NULL, 60000), KEND_WAIT_CHANGED);
    ck_assert_int_eq(suspend(waits, &wait, NULL, 60000), KEND_WAIT_SUSPENDED);
    kend_wait_wake(waits, &wait);
    ck_assert(!wait.suspended);
    ck_assert_int_eq(suspend(waits, &wait, NULL, 60000), KEND_WAIT_SUSPENDED);
    end(waits);
}
END_TEST

START_TEST(places_are_bounded_and_come_back)
{
    struct kend_waits *waits = create(2);
    struct kend_wait a = {0}, b = {0}, c = {0};
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(suspend(waits, &a, "job_a", 60000), KEND_WAIT_SUSPENDED);
        ck_assert_int_eq(suspend(waits, &b, "job_b", 60000), KEND_WAIT_SUSPENDED);
        ck_assert_int_eq(suspend(waits, &c, "job_c", 60000), KEND_WAIT_FULL);
        kend_waits_changed(waits, "job_b", "nlp");
        kend_waits_changed(waits, "job_a", "nlp");
    }
    end(waits);
}
END_TEST

START_TEST(a_stream_has_its_place)
{
    struct kend_waits *waits = create_for(2, 2, 3);
    struct kend_wait streams[3] = {0}, others[3] = {0};
    ck_assert(kend_wait_begin_stream(waits, &streams[0]));
    ck_assert(kend_wait_begin_stream(waits, &streams[1]));
    ck_assert(!kend_wait_begin_stream(waits, &streams[2])); /* streams are two at most */
    ck_assert_int_eq(suspend(waits, &others[0], "job_a", 60000), KEND_WAIT_SUSPENDED);
    ck_assert_int_eq(suspend(waits, &others[1], "job_a", 60000), KEND_WAIT_FULL); /* both streams have their place, waiting or not */
    for (int i = 0; i < 2; i++) ck_assert_int_eq(suspend(waits, &streams[i], "job_a", 60000), KEND_WAIT_SUSPENDED);
    ck_assert_uint_eq(kend_waits_count(waits), 1);
    ck_assert_uint_eq(kend_waits_streams(waits), 2);
    kend_wait_wake(waits, &streams[0]);
    kend_wait_end_stream(waits, &streams[0]);
    ck_assert_int_eq(suspend(waits, &others[1], "job_a", 60000), KEND_WAIT_SUSPENDED);
    ck_assert(!kend_wait_begin_stream(waits, &streams[2])); /* all three are taken */
    ck_assert_int_eq(suspend(waits, &others[2], "job_a", 60000), KEND_WAIT_FULL);
    kend_waits_close(waits);
    ck_assert(!kend_wait_begin_stream(waits, &streams[2]));
    kend_wait_end_stream(waits, &streams[1]);
    kend_waits_destroy(&waits);
}
END_TEST

START_TEST(whichever_job_changes)
{
    struct kend_waits *waits = create(3);
    struct kend_wait any = {0}, one = {0};
    struct kend_feed_entry entry;
    uint64_t position = kend_feed_end(kend_waits_feed(waits));
    ck_assert_int_eq(suspend(waits, &any, KEND_WAIT_ANY, 60000), KEND_WAIT_SUSPENDED);
    ck_assert_int_eq(suspend(waits, &one, "job_a", 60000), KEND_WAIT_SUSPENDED);
    kend_waits_removed(waits, "job_b", "nlp");
    ck_assert(!any.suspended && one.suspended);
    ck_assert_int_eq(kend_feed_take(kend_waits_feed(waits), &position, &entry), KEND_FEED_TAKEN);
    ck_assert_str_eq(entry.job, "job_b");
    uint64_t seen = kend_waits_seen(waits, KEND_WAIT_ANY);
    kend_waits_changed(waits, "job_c", "nlp");
    ck_assert_int_eq(kend_wait_suspend(waits, &any, NULL, KEND_WAIT_ANY, seen, kend_monotonic_ms() + 60000), KEND_WAIT_CHANGED);
    end(waits);
}
END_TEST

START_TEST(after_closing_nobody_waits)
{
    struct kend_waits *waits = create(2);
    struct kend_wait wait = {0};
    kend_waits_close(waits);
    ck_assert_int_eq(suspend(waits, &wait, "job_a", 60000), KEND_WAIT_CLOSING);
    end(waits);
}
END_TEST

/* Waits until the registry is down to `count`. */
static int64_t until(struct kend_waits *waits, uint32_t count)
{
    int64_t begin = kend_monotonic_ms();
    while (kend_waits_count(waits) > count && kend_monotonic_ms() - begin < 20000) usleep(1000);
    ck_assert_uint_eq(kend_waits_count(waits), count);
    return kend_monotonic_ms() - begin;
}

START_TEST(deadlines_come_in_their_order)
{
    enum { COUNT = 64 };
    struct kend_waits *waits = create(COUNT);
    struct kend_wait wait[COUNT];
    memset(wait, 0, sizeof wait);
    int64_t start = kend_monotonic_ms();
    int64_t due[COUNT], by[COUNT];    /* by then it was suspended */
    for (int i = 0; i < COUNT; i++) { /* 7 and 64 have no common divisor: every deadline once, in a mixed order */
        due[i] = start + 20 + (i * 7 % COUNT) * 4;
        ck_assert_int_eq(kend_wait_suspend(waits, &wait[i], NULL, "job_a", 0, due[i]), KEND_WAIT_SUSPENDED);
        by[i] = kend_monotonic_ms();
    }
    until(waits, 0);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_ge(wait[i].suspended_ms, due[i] - by[i]);
        ck_assert(!wait[i].suspended);
    }
    end(waits);
}
END_TEST

START_TEST(an_earlier_deadline_shortens_the_sleep)
{
    struct kend_waits *waits = create(2);
    struct kend_wait late = {0}, soon = {0};
    ck_assert_int_eq(suspend(waits, &late, "job_a", 60000), KEND_WAIT_SUSPENDED);
    usleep(20000); /* the thread sleeps for a minute now */
    ck_assert_int_eq(suspend(waits, &soon, "job_b", 30), KEND_WAIT_SUSPENDED);
    ck_assert_int_lt(until(waits, 1), 10000);
    ck_assert(late.suspended && !soon.suspended);
    end(waits);
}
END_TEST

START_TEST(any_order_of_leaving_keeps_the_heap)
{
    enum { COUNT = 50 };
    struct kend_waits *waits = create(COUNT);
    struct kend_wait wait[COUNT];
    memset(wait, 0, sizeof wait);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            ck_assert_int_eq(suspend(waits, &wait[i], NULL, 60000 + (int64_t)(i * 37 + round * 11) % 97), KEND_WAIT_SUSPENDED);
        for (unsigned i = 0; i < COUNT; i++) kend_wait_wake(waits, &wait[(i * 13 + round) % COUNT]);
        ck_assert_uint_eq(kend_waits_count(waits), 0);
    }
    end(waits);
}
END_TEST

UNIT_MAIN("wait", a_change_wakes_those_of_its_job, a_change_before_the_suspension_is_not_missed, waking_one_works_before_and_after,
          places_are_bounded_and_come_back, a_stream_has_its_place, whichever_job_changes, after_closing_nobody_waits,
          deadlines_come_in_their_order, an_earlier_deadline_shortens_the_sleep, any_order_of_leaving_keeps_the_heap)
