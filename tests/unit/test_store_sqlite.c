/* SPDX-License-Identifier: Apache-2.0 */
/* What is SQLite's own: files, locks, versions, crashes, faults, scale. */
#include "store_suite.h"
#include "unit.h"
#include "unit_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

struct place {
    struct unit_folder folder;
    char path[PATH_MAX];
    char url[PATH_MAX + 8];
    struct kend_store *store;
};

static void begin(struct place *place)
{
    place->store = NULL;
    unit_folder_make(&place->folder);
    unit_path(place->path, &place->folder, "kend.db");
    snprintf(place->url, sizeof place->url, "sqlite:%s", place->path);
}

static void open_store(struct place *place)
{
    char message[256] = "";
    ck_assert_msg(kend_store_open(&place->store, place->url, message) == KEND_STORE_OK, "%s", message);
}

static void end(struct place *place)
{
    kend_store_close(&place->store);
    unit_folder_remove(&place->folder);
}

/* The store cannot be opened, for a reason that begins with the path and goes on with `reason`. */
static void check_refused(struct place *place, const char *reason)
{
    char message[256], expected[PATH_MAX + 256];
    struct kend_store *store;
    snprintf(expected, sizeof expected, "%s%s", place->path, reason);
    ck_assert_int_eq(kend_store_open(&store, place->url, message), KEND_STORE_UNAVAILABLE);
    ck_assert_ptr_null(store);
    ck_assert_str_eq(message, expected);
}

/* Runs SQL on the file beside the store; the first column of the last row, if wanted, into `text` [TEXT_SIZE]. */
enum { TEXT_SIZE = 1 << 14 };

static void run_sql(const struct place *place, const char *sql, char text[TEXT_SIZE])
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(place->path, &db), SQLITE_OK);
    while (*sql) {
        sqlite3_stmt *statement;
        ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, &sql) == SQLITE_OK, "%s", sqlite3_errmsg(db));
        if (!statement) break;
        int rc;
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
            if (text) snprintf(text, TEXT_SIZE, "%s", (const char *)sqlite3_column_text(statement, 0));
        ck_assert_msg(rc == SQLITE_DONE, "%s", sqlite3_errmsg(db));
        sqlite3_finalize(statement);
    }
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void check_sql(const struct place *place, const char *sql, const char *expected)
{
    char text[TEXT_SIZE] = "";
    run_sql(place, sql, text);
    ck_assert_str_eq(text, expected);
}

/* Counters agree with the rows, every job has its events without a hole, nothing dangles. */
static void check_consistent(const struct place *place)
{
    check_sql(place, "PRAGMA integrity_check", "ok");
    check_sql(place, "SELECT count(*) FROM pragma_foreign_key_check", "0");
    check_sql(place, "SELECT count(*) FROM counter WHERE jobs <> (SELECT count(*) FROM job WHERE job.status = counter.status)", "0");
    check_sql(place, "SELECT bytes = (SELECT coalesce(sum(size), 0) FROM artifact) FROM artifact_total", "1");
    check_sql(place,
              "SELECT count(*) FROM job WHERE sequence <> (SELECT count(*) FROM event WHERE event.id = job.id)"
              " OR sequence <> (SELECT max(sequence) FROM event WHERE event.id = job.id)",
              "0");
}

START_TEST(files_are_their_owners_alone)
{
    struct place place;
    begin(&place);
    mode_t mask = umask(0);
    open_store(&place);
    umask(mask);
    ck_assert_int_eq(store_suite_create(place.store, 1, 10), KEND_STORE_OK);
    const char *const names[] = {"kend.db", "kend.db-wal", "kend.db-shm", "kend.db.lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX];
        struct stat status;
        ck_assert_int_eq(stat(unit_path(path, &place.folder, names[i]), &status), 0);
        ck_assert_uint_eq(status.st_mode & 0777, 0600);
    }
    end(&place);
}
END_TEST

START_TEST(a_file_is_open_once)
{
    struct place place;
    char reason[64];
    begin(&place);
    open_store(&place);
    snprintf(reason, sizeof reason, " is open in another process (pid %ld)", (long)getpid());
    check_refused(&place, reason);
    kend_store_close(&place.store);
    open_store(&place);
    end(&place);
}
END_TEST

START_TEST(what_is_not_kends_is_refused_and_left_alone)
{
    struct place place;
    char text[2048], after[2048] = "";
    begin(&place);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    unit_write(place.path, text);
    check_refused(&place, ": file is not a database");
    FILE *file = fopen(place.path, "r");
    ck_assert_ptr_nonnull(fgets(after, sizeof after, file));
    fclose(file);
    ck_assert_str_eq(after, text);

    ck_assert_int_eq(unlink(place.path), 0);
    run_sql(&place, "CREATE TABLE job (id)", NULL);
    check_refused(&place, ": a SQLite database, but not one of kend");
    check_sql(&place, "PRAGMA journal_mode", "delete");
    check_sql(&place, "SELECT count(*) FROM sqlite_schema", "1");
    end(&place);
}
END_TEST

START_TEST(a_newer_schema_is_refused)
{
    struct place place;
    begin(&place);
    open_store(&place);
    kend_store_close(&place.store);
    run_sql(&place, "INSERT INTO schema_version VALUES (99)", NULL);
    check_refused(&place, ": schema version 99 is of a newer kend; this one knows versions 1 to 2");
    end(&place);
}
END_TEST

START_TEST(a_schema_without_a_version_is_damaged)
{
    struct place place;
    begin(&place);
    open_store(&place);
    kend_store_close(&place.store);
    run_sql(&place, "DELETE FROM schema_version", NULL);
    check_refused(&place, ": damaged: it does not tell the version of its schema");
    run_sql(&place, "INSERT INTO schema_version VALUES (-1)", NULL);
    check_refused(&place, ": damaged: it does not tell the version of its schema");
    end(&place);
}
END_TEST

START_TEST(a_damaged_file_is_refused)
{
    struct place place;
    begin(&place);
    open_store(&place);
    kend_store_close(&place.store);
    ck_assert_int_eq(truncate(place.path, 5 * 4096), 0);
    check_refused(&place, ": database disk image is malformed");
    end(&place);
}
END_TEST

START_TEST(a_place_that_is_not_there_is_told)
{
    struct place place;
    struct kend_store *store;
    char message[256], expected[PATH_MAX + 64], url[PATH_MAX + 64];
    begin(&place);
    snprintf(url, sizeof url, "sqlite:%s/missing/kend.db", place.folder.path);
    snprintf(expected, sizeof expected, "%s/missing/kend.db.lock: No such file or directory", place.folder.path);
    ck_assert_int_eq(kend_store_open(&store, url, message), KEND_STORE_UNAVAILABLE);
    ck_assert_str_eq(message, expected);
    end(&place);
}
END_TEST

static char *read_golden(const char *name)
{
    char path[PATH_MAX];
    const char *golden = getenv("KEND_TEST_GOLDEN");
    ck_assert_ptr_nonnull(golden);
    snprintf(path, sizeof path, "%s/%s", golden, name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    char *text = calloc(1, 1 << 16);
    ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, file), (1 << 16) - 1);
    fclose(file);
    return text;
}

static struct kend_job *get(struct place *place, const char *id)
{
    struct kend_job *job;
    ck_assert_int_eq(place->store->ops->get(place->store, id, NULL, &job), KEND_STORE_OK);
    return job;
}

/* A database as version 1 made it, with a job in each status, works under this program as one that it has made itself. */
START_TEST(version_1_is_migrated)
{
    struct place place, fresh;
    begin(&place);
    char *golden = read_golden("store-v1.sql");
    run_sql(&place, golden, NULL);
    free(golden);
    open_store(&place);
    struct kend_store_counts counts;
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    for (int i = 0; i < PROTO_STATUS_COUNT; i++) ck_assert_uint_eq(counts.by_status[i], 1);
    ck_assert_uint_eq(counts.artifact_bytes, 7);
    struct kend_job *job = get(&place, "job_01ARZ3NDEKTSV4RRFF00000001");
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    ck_assert_str_eq(job->summary, "{\"kept\":1}");
    ck_assert_double_eq(job->timings[PROTO_PRUNING], 1.5);
    ck_assert_int_eq(job->expires_at, 1090);
    ck_assert_ptr_null(job->trace);
    kend_job_free(&job);
    job = get(&place, "job_01ARZ3NDEKTSV4RRFF00000002");
    ck_assert_int_eq(job->error, PROTO_JOB_FETCH_FAILED);
    ck_assert_str_eq(job->error_message, "404");
    kend_job_free(&job);
    struct kend_artifact_list artifacts;
    ck_assert_int_eq(place.store->ops->artifacts(place.store, "job_01ARZ3NDEKTSV4RRFF00000001", &artifacts), KEND_STORE_OK);
    ck_assert_uint_eq(artifacts.count, 1);
    ck_assert_str_eq(artifacts.item[0].name, "report.json");
    kend_artifact_list_clear(&artifacts);
    char token[KEND_TOKEN_SIZE];
    ck_assert_int_eq(place.store->ops->abandon(place.store, "old", 2000), KEND_STORE_OK);
    ck_assert_int_eq(place.store->ops->claim(place.store, "new", 2000, 1000, &job, token), KEND_STORE_OK);
    ck_assert_str_eq(job->id, "job_01ARZ3NDEKTSV4RRFF00000003");
    ck_assert_int_eq(job->deaths, 1);
    kend_job_free(&job);
    kend_store_close(&place.store);
    check_consistent(&place);

    static char migrated[TEXT_SIZE], made[TEXT_SIZE];
    const char *shape = "SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
    begin(&fresh);
    open_store(&fresh);
    kend_store_close(&fresh.store);
    run_sql(&place, shape, migrated);
    run_sql(&fresh, shape, made);
    ck_assert_str_eq(migrated, made);
    end(&fresh);
    end(&place);
}
END_TEST

START_TEST(events_of_removed_jobs_are_swept_at_open)
{
    struct place place;
    begin(&place);
    open_store(&place);
    ck_assert_int_eq(store_suite_create(place.store, 1, 10), KEND_STORE_OK);
    kend_store_close(&place.store);
    run_sql(&place,
            "INSERT INTO removed VALUES ('a'), ('b');"
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
            " INSERT INTO event SELECT 'a', i, 0, 'log', '{}' FROM n;",
            NULL);
    open_store(&place);
    kend_store_close(&place.store);
    check_sql(&place, "SELECT count(*) FROM event", "1");
    check_sql(&place, "SELECT count(*) FROM removed", "0");
    end(&place);
}
END_TEST

START_TEST(readers_do_not_wait_for_a_writer)
{
    struct place place;
    begin(&place);
    open_store(&place);
    char id[PROTO_ID_SIZE];
    store_suite_id(id, 1);
    ck_assert_int_eq(store_suite_create(place.store, 1, 10), KEND_STORE_OK);
    sqlite3 *writer;
    ck_assert_int_eq(sqlite3_open(place.path, &writer), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(writer, "BEGIN IMMEDIATE; UPDATE job SET owner = 'x'", NULL, NULL, NULL), SQLITE_OK);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    struct kend_job *job = get(&place, id);
    ck_assert_str_eq(job->owner, "alice");
    kend_job_free(&job);
    struct kend_store_counts counts;
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_lt(after.tv_sec - before.tv_sec, 3); /* a writer would wait for 5 s */
    sqlite3_close(writer);
    end(&place);
}
END_TEST

/* Creates, claims and logs as fast as it can, and reports each job that it was told is stored. */
static void write_until_killed(struct place *place, int from, int report)
{
    open_store(place);
    for (int number = from;; number++) {
        struct kend_job *job;
        char token[KEND_TOKEN_SIZE];
        if (store_suite_create(place->store, number, number) != KEND_STORE_OK) _exit(2);
        if (write(report, &number, sizeof number) != sizeof number) _exit(3);
        if (place->store->ops->claim(place->store, "child", number, 1000, &job, token) != KEND_STORE_OK) _exit(4);
        place->store->ops->log(place->store, job->id, token, number, "{}");
        kend_job_free(&job);
    }
}

START_TEST(what_was_reported_survives_a_kill)
{
    enum { KILLS = 8 };
    struct place place;
    int last = 0;
    begin(&place);
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        int channel[2];
        ck_assert_int_eq(pipe(channel), 0);
        pid_t child = fork();
        if (child == 0) write_until_killed(&place, last + 1, channel[1]);
        close(channel[1]);
        int number, reported = 0;
        while (read(channel[0], &number, sizeof number) == sizeof number) {
            last = number;
            if (++reported == 10 + 3 * kill_number) kill(child, SIGKILL);
        }
        close(channel[0]);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
        open_store(&place);
        for (int i = 1; i <= last; i++) {
            char id[PROTO_ID_SIZE];
            store_suite_id(id, i);
            struct kend_job *job = get(&place, id);
            ck_assert_int_eq(job->created_at, i);
            kend_job_free(&job);
        }
        struct kend_store_counts counts;
        ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
        uint64_t jobs = counts.by_status[PROTO_QUEUED] + counts.by_status[PROTO_RUNNING];
        ck_assert(jobs == (uint64_t)last || jobs == (uint64_t)last + 1);
        last = (int)jobs;
        kend_store_close(&place.store);
        check_consistent(&place);
    }
    end(&place);
}
END_TEST

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

START_TEST(a_hundred_thousand_queued_jobs_slow_nothing)
{
    struct place empty, full;
    begin(&empty);
    begin(&full);
    open_store(&full);
    kend_store_close(&full.store);
    run_sql(&full,
            "PRAGMA synchronous = OFF; BEGIN;"
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
            " INSERT INTO job (id, owner, spec, body_sha256, status, created_at, sequence)"
            " SELECT printf('job_01ARZ3NDEKTSV4RRFF%08d', i), 'alice', printf('%500s', ''), zeroblob(32), 'queued', i, 1 FROM n;"
            "INSERT INTO event SELECT id, 1, 0, 'status', '{}' FROM job; COMMIT;",
            NULL);
    open_store(&empty);
    open_store(&full);
    int64_t create[2] = {0}, claim[2] = {0};
    bool good = false;
    for (int try = 0; try < 3 && !good; try++) { /* others use this disk, too */
        measure(&empty, 200000 + try * SAMPLES, &create[0], &claim[0]);
        measure(&full, 200000 + try * SAMPLES, &create[1], &claim[1]);
        good = create[1] <= 2 * create[0] && claim[1] <= 2 * claim[0];
    }
    ck_assert_msg(good, "create %lld ns, with 100000 jobs %lld; claim %lld, %lld", (long long)create[0], (long long)create[1],
                  (long long)claim[0], (long long)claim[1]);
    /* a scan would take a thousand times as long */
    int64_t small = measure_reads(&empty), large = measure_reads(&full);
    ck_assert_msg(large <= 10 * small, "pages and counts take %lld ns, with 100000 jobs %lld", (long long)small, (long long)large);
    end(&empty);
    end(&full);
}
END_TEST

UNIT_MAIN("store_sqlite", files_are_their_owners_alone, a_file_is_open_once, what_is_not_kends_is_refused_and_left_alone,
          a_newer_schema_is_refused, a_schema_without_a_version_is_damaged, a_damaged_file_is_refused, a_place_that_is_not_there_is_told,
          version_1_is_migrated, events_of_removed_jobs_are_swept_at_open, readers_do_not_wait_for_a_writer,
          what_was_reported_survives_a_kill, a_hundred_thousand_queued_jobs_slow_nothing)
