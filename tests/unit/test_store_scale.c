/* SPDX-License-Identifier: Apache-2.0 */
/* Submissions and claims of a store in SQLite, behind many jobs and many owners. */
#include "store_place.h"
#include "store_suite.h"
#include "unit.h"

#include <stdbool.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

enum { SAMPLES = 41 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Medians of the time that a creation and a claim take, in ns. */
static void measure(struct place *place, int from, int64_t *create, int64_t *claim)
{
    int64_t creations[SAMPLES], claims[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        struct kend_job *job;
        char token[KEND_TOKEN_SIZE];
        int64_t start = now_ns();
        ck_assert_int_eq(store_suite_create(place->store, from + i, 1000000 + i), KEND_STORE_OK);
        int64_t between = now_ns();
        ck_assert_int_eq(place->store->ops->claim(place->store, "a", 2000000, 1000, &job, token), KEND_STORE_OK);
        claims[i] = now_ns() - between;
        creations[i] = between - start;
        kend_job_free(&job);
    }
    qsort(creations, SAMPLES, sizeof *creations, compare);
    qsort(claims, SAMPLES, sizeof *claims, compare);
    *create = creations[SAMPLES / 2];
    *claim = claims[SAMPLES / 2];
}

/* The time for counts and for a page of each kind of list, in ns. */
static int64_t measure_reads(struct place *place)
{
    struct kend_store_counts counts;
    struct kend_job_filter filter = {.limit = 20};
    int64_t start = now_ns();
    ck_assert_int_eq(place->store->ops->counts(place->store, &counts), KEND_STORE_OK);
    for (int i = 0; i < 4; i++) {
        struct kend_job_list list;
        filter.owner = i & 1 ? "alice" : NULL;
        filter.has_status = i & 2;
        filter.status = PROTO_RUNNING;
        ck_assert_int_eq(place->store->ops->list(place->store, &filter, &list), KEND_STORE_OK);
        ck_assert_uint_eq(list.count, 20);
        kend_job_list_clear(&list);
    }
    return now_ns() - start;
}

/* A store with 100000 queued jobs, and a page of alice's that run; `owner` is an SQL expression of the job's number i. */
static void begin_full(struct place *place, const char *owner)
{
    char sql[1024];
    begin(place);
    open_store(place);
    kend_store_close(&place->store);
    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = OFF; BEGIN;"
             "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100020)"
             " INSERT INTO job (id, owner, spec, body_sha256, status, holder, created_at, sequence)"
             " SELECT printf('job_01ARZ3NDEKTSV4RRFF%%08d', i), iif(i <= 20, 'alice', %s), printf('%%500s', ''), zeroblob(32),"
             " iif(i <= 20, 'running', 'queued'), iif(i <= 20, 'a', NULL), i, 1 FROM n;"
             "INSERT INTO event SELECT id, 1, 0, 'status', '{}' FROM job; COMMIT;",
             owner);
    run_sql(place, sql, NULL);
    open_store(place);
    place->store->max_running_per_owner = 100000; /* looked at, never reached */
}

/* A submission and a claim are not slower for it than with an empty store. */
static void check_speed(const char *owner)
{
    struct place empty, full;
    begin(&empty);
    open_store(&empty);
    begin_full(&full, owner);
    int64_t create[2] = {0}, claim[2] = {0};
    bool good = false;
    for (int try = 0; try < 3 && !good; try++) { /* others use this disk, too */
        measure(&empty, 200000 + try * SAMPLES, &create[0], &claim[0]);
        measure(&full, 200000 + try * SAMPLES, &create[1], &claim[1]);
        good = create[1] <= 2 * create[0] && claim[1] <= 2 * claim[0];
    }
    ck_assert_msg(good, "create %lld ns, with 100000 jobs of %s %lld; claim %lld, %lld", (long long)create[0], owner, (long long)create[1],
                  (long long)claim[0], (long long)claim[1]);
    /* a scan would take a thousand times as long */
    int64_t small = measure_reads(&empty), large = measure_reads(&full);
    for (int try = 0; try < 5 && large > 10 * small; try++) large = measure_reads(&full); /* something else had the processor */
    ck_assert_msg(large <= 10 * small, "pages and counts take %lld ns, with 100000 jobs of %s %lld", (long long)small, owner,
                  (long long)large);
    end(&empty);
    end(&full);
}

START_TEST(a_hundred_thousand_queued_jobs_slow_nothing)
{
    check_speed("'alice'");
}
END_TEST

START_TEST(ten_thousand_owners_slow_nothing)
{
    check_speed("printf('owner %d', i % 10000)");
}
END_TEST

/* Owners that run as many as they may, which are as many as jobs run at most, are passed over cheaply. */
START_TEST(owners_at_their_limit_slow_nothing)
{
    enum { BUSY = 200 };
    struct place place;
    int64_t first[SAMPLES], later[SAMPLES];
    begin_full(&place, "printf('owner %d', i % 1000)");
    place.store->max_running_per_owner = 1;
    for (int i = 0; i < BUSY + SAMPLES; i++) {
        struct kend_job *job;
        char token[KEND_TOKEN_SIZE];
        int64_t start = now_ns();
        ck_assert_int_eq(place.store->ops->claim(place.store, "a", 2000000, 1000, &job, token), KEND_STORE_OK);
        if (i < SAMPLES) first[i] = now_ns() - start;
        if (i >= BUSY) later[i - BUSY] = now_ns() - start;
        kend_job_free(&job);
    }
    qsort(first, SAMPLES, sizeof *first, compare);
    qsort(later, SAMPLES, sizeof *later, compare);
    ck_assert_msg(later[SAMPLES / 2] <= 3 * first[SAMPLES / 2], "claims take %lld ns, with %d owners at their limit %lld",
                  (long long)first[SAMPLES / 2], BUSY, (long long)later[SAMPLES / 2]);
    end(&place);
}
END_TEST

UNIT_MAIN("store_scale", a_hundred_thousand_queued_jobs_slow_nothing, ten_thousand_owners_slow_nothing, owners_at_their_limit_slow_nothing)
