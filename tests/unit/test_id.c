/* SPDX-License-Identifier: Apache-2.0 */
#include "id.h"
#include "unit.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, EACH = 5000 };

START_TEST(a_ulid_is_spelled_as_specified)
{
    char text[PROTO_ULID_TEXT + 1];
    struct proto_ulid ulid = {.time = 1469918176385}; /* the example of the ULID specification */
    proto_ulid_format(text, &ulid);
    ck_assert_str_eq(text, "01ARYZ6S410000000000000000");
    memset(ulid.random, 0xff, sizeof ulid.random);
    ulid.time = PROTO_ULID_MAX_TIME;
    proto_ulid_format(text, &ulid);
    ck_assert_str_eq(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    ulid = (struct proto_ulid){.time = 0, .random = {[9] = 33}};
    proto_ulid_format(text, &ulid);
    ck_assert_str_eq(text, "00000000000000000000000011");
}
END_TEST

START_TEST(within_a_millisecond_it_counts_up)
{
    const unsigned char low[PROTO_ULID_RANDOM] = {0}, high[PROTO_ULID_RANDOM] = {0x80, [8] = 0xff, [9] = 0xff};
    struct proto_ulid ulid = {.time = 0};
    proto_ulid_next(&ulid, 100, high);
    ck_assert_uint_eq(ulid.time, 100);
    proto_ulid_next(&ulid, 100, low); /* same time, lower random bytes: counted, not taken */
    ck_assert_uint_eq(ulid.random[0], 0x80);
    ck_assert_uint_eq(ulid.random[7], 1);
    ck_assert_uint_eq(ulid.random[9], 0);
    proto_ulid_next(&ulid, 50, low); /* the clock went back */
    ck_assert_uint_eq(ulid.time, 100);
    ck_assert_uint_eq(ulid.random[9], 1);
    proto_ulid_next(&ulid, 101, low);
    ck_assert_uint_eq(ulid.time, 101);
    ck_assert_uint_eq(ulid.random[0], 0);
}
END_TEST

START_TEST(an_overflow_goes_into_the_time)
{
    const unsigned char fresh[PROTO_ULID_RANDOM] = {7};
    struct proto_ulid ulid = {.time = 100};
    memset(ulid.random, 0xff, sizeof ulid.random);
    proto_ulid_next(&ulid, 100, fresh);
    ck_assert_uint_eq(ulid.time, 101);
    ck_assert_uint_eq(ulid.random[0], 7);
    proto_ulid_next(&ulid, UINT64_MAX, fresh);
    ck_assert_uint_eq(ulid.time, PROTO_ULID_MAX_TIME);
}
END_TEST

static void *make_many(void *opaque)
{
    char(*ids)[PROTO_ID_SIZE] = opaque;
    for (int i = 0; i < EACH; i++) proto_id_make(ids[i], 1000);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

START_TEST(ids_are_unique_and_rise_in_every_thread)
{
    char(*ids)[EACH][PROTO_ID_SIZE] = calloc(THREADS, sizeof *ids);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, make_many, ids[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int j = 1; j < EACH; j++) ck_assert_int_lt(strcmp(ids[i][j - 1], ids[i][j]), 0);
    char(*all)[PROTO_ID_SIZE] = (void *)ids;
    qsort(all, THREADS * EACH, PROTO_ID_SIZE, compare);
    for (int i = 1; i < THREADS * EACH; i++) ck_assert_int_lt(strcmp(all[i - 1], all[i]), 0);
    for (int i = 0; i < THREADS * EACH; i++) ck_assert(proto_id_is(all[i]));
    free(ids);
}
END_TEST

START_TEST(what_is_an_id)
{
    static const char *const none[] = {"",
                                       "job_",
                                       "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FA",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAVX",
                                       "job_81ARZ3NDEKTSV4RRFFQ69G5FAV",
                                       "job_01arz3ndektsv4rrffq69g5fav",
                                       "JOB_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAI",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAL",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAO",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAU",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5F/V",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAV\n"};
    ck_assert(proto_id_is("job_01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    ck_assert(proto_id_is("job_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) ck_assert_msg(!proto_id_is(none[i]), "%s", none[i]);
}
END_TEST

START_TEST(times_are_rfc_3339)
{
    char text[PROTO_TIME_SIZE];
    proto_time_format(text, 0);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    proto_time_format(text, 1767323045678);
    ck_assert_str_eq(text, "2026-01-02T03:04:05.678Z");
    proto_time_format(text, 1709208000009); /* a 29th of February */
    ck_assert_str_eq(text, "2024-02-29T12:00:00.009Z");
    proto_time_format(text, INT64_MAX);
    ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    proto_time_format(text, -5);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    ck_assert_int_gt(proto_now_ms(), 1700000000000);
}
END_TEST

UNIT_MAIN("id", a_ulid_is_spelled_as_specified, within_a_millisecond_it_counts_up, an_overflow_goes_into_the_time,
          ids_are_unique_and_rise_in_every_thread, what_is_an_id, times_are_rfc_3339)
