/* SPDX-License-Identifier: Apache-2.0 */
/* What is SQLite's own: files, locks, crashes. */
#include "store_place.h"
#include "store_suite.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

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
    check_refused(&place, ": schema version 99 is of a newer kend; this one knows versions 1 to 5");
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
    struct kend_job *job = get_job(&place, id);
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
            struct kend_job *job = get_job(&place, id);
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

UNIT_MAIN("store_sqlite", files_are_their_owners_alone, a_file_is_open_once, what_is_not_kends_is_refused_and_left_alone,
          a_newer_schema_is_refused, a_schema_without_a_version_is_damaged, a_damaged_file_is_refused, a_place_that_is_not_there_is_told,
          events_of_removed_jobs_are_swept_at_open, readers_do_not_wait_for_a_writer, what_was_reported_survives_a_kill)
