/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for tests with a store of SQLite in it. */
#ifndef KEND_TESTS_STORE_PLACE_H
#define KEND_TESTS_STORE_PLACE_H

#include "jobs/store.h"
#include "unit_folder.h"

#include <check.h>
#include <sqlite3.h>

struct place {
    struct unit_folder folder;
    char path[PATH_MAX];
    char url[PATH_MAX + 8];
    struct kend_store *store;
};

static inline void begin(struct place *place)
{
    place->store = NULL;
    unit_folder_make(&place->folder);
    unit_path(place->path, &place->folder, "kend.db");
    snprintf(place->url, sizeof place->url, "sqlite:%s", place->path);
}

static inline void open_store(struct place *place)
{
    char message[256] = "";
    ck_assert_msg(kend_store_open(&place->store, place->url, message) == KEND_STORE_OK, "%s", message);
}

static inline void end(struct place *place)
{
    kend_store_close(&place->store);
    unit_folder_remove(&place->folder);
}

/* Runs SQL on the file beside the store; the first column of the last row, if wanted, into `text` [TEXT_SIZE]. */
enum { TEXT_SIZE = 1 << 14 };

static inline void run_sql(const struct place *place, const char *sql, char text[TEXT_SIZE])
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

static inline void check_sql(const struct place *place, const char *sql, const char *expected)
{
    char text[TEXT_SIZE] = "";
    run_sql(place, sql, text);
    ck_assert_str_eq(text, expected);
}

/* Counters agree with the rows, every job has its events without a hole, nothing dangles. */
static inline void check_consistent(const struct place *place)
{
    check_sql(place, "PRAGMA integrity_check", "ok");
    check_sql(place, "SELECT count(*) FROM pragma_foreign_key_check", "0");
    check_sql(place, "SELECT count(*) FROM counter WHERE jobs <> (SELECT count(*) FROM job WHERE job.status = counter.status)", "0");
    check_sql(
        place,
        "SELECT count(*) FROM owner_load WHERE queued <> (SELECT count(*) FROM job WHERE owner = owner_load.name AND status = 'queued')"
        " OR running <> (SELECT count(*) FROM job WHERE owner = owner_load.name AND status = 'running')",
        "0");
    check_sql(place, "SELECT count(*) FROM job WHERE owner NOT IN (SELECT name FROM owner_load)", "0");
    check_sql(place, "SELECT bytes = (SELECT coalesce(sum(size), 0) FROM artifact) FROM artifact_total", "1");
    check_sql(place,
              "SELECT count(*) FROM owner_store"
              " WHERE bytes <> (SELECT coalesce(sum(length(CAST(spec AS BLOB))), 0) FROM job WHERE owner = owner_store.name)",
              "0");
    check_sql(place, "SELECT count(*) FROM job WHERE owner NOT IN (SELECT name FROM owner_store)", "0");
    check_sql(place, "PRAGMA auto_vacuum", "2");
    check_sql(place,
              "SELECT count(*) FROM job WHERE sequence <> (SELECT count(*) FROM event WHERE event.id = job.id)"
              " OR sequence <> (SELECT max(sequence) FROM event WHERE event.id = job.id)",
              "0");
}

static inline struct kend_job *get_job(struct place *place, const char *id)
{
    struct kend_job *job;
    ck_assert_int_eq(place->store->ops->get(place->store, id, NULL, &job), KEND_STORE_OK);
    return job;
}

#endif
