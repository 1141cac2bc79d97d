/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema as the steps that lead to it. A step that has been released is never changed: a change is a new step at the end (and a copy
 * of what the steps before it make goes to tests/golden).
 */
#include "jobs/store_sqlite.h"

#include <stdio.h>
#include <string.h>

#define APPLICATION_ID 1801809508 /* "kend": what `file` and we know the file by */
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* Of step 3, in triggers: a job that waits or runs is now its owner's; one is no longer. */
#define OWNER_GAINS                                                                            \
    " INSERT INTO owner_load SELECT NEW.owner, NEW.status = 'queued', NEW.status = 'running'," \
    " (SELECT coalesce(max(turn), 0) + 1 FROM owner_load) WHERE TRUE"                          \
    " ON CONFLICT (name) DO UPDATE SET queued = queued + excluded.queued, running = running + excluded.running;"
#define OWNER_LOSES                                                                                                  \
    " UPDATE owner_load SET queued = queued - (OLD.status = 'queued'), running = running - (OLD.status = 'running')" \
    " WHERE name = OLD.owner;"

static const char *const steps[] = {
    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT;"
    "CREATE TABLE job ("
    " id TEXT PRIMARY KEY NOT NULL,"
    " owner TEXT NOT NULL,"
    " name TEXT,"
    " spec TEXT NOT NULL,"
    " idempotency_key TEXT,"
    " body_sha256 BLOB NOT NULL,"
    " status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),"
    " stage TEXT NOT NULL DEFAULT '',"
    " attempt INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL DEFAULT 0,"
    " finished_at INTEGER NOT NULL DEFAULT 0,"
    " cancel_requested_at INTEGER NOT NULL DEFAULT 0,"
    " expires_at INTEGER NOT NULL DEFAULT 0,"
    " bytes_fetched INTEGER NOT NULL DEFAULT 0,"
    " bytes_total INTEGER NOT NULL DEFAULT 0,"
    " rows_done INTEGER NOT NULL DEFAULT 0,"
    " rows_total INTEGER NOT NULL DEFAULT 0,"
    " seconds_checking REAL NOT NULL DEFAULT 0,"
    " seconds_fetching REAL NOT NULL DEFAULT 0,"
    " seconds_pruning REAL NOT NULL DEFAULT 0,"
    " seconds_publishing REAL NOT NULL DEFAULT 0,"
    " error TEXT,"
    " error_stage TEXT NOT NULL DEFAULT '',"
    " error_message TEXT,"
    " summary TEXT,"
    " sequence INTEGER NOT NULL DEFAULT 0,"
    " deaths INTEGER NOT NULL DEFAULT 0,"
    " holder TEXT,"
    " token TEXT NOT NULL DEFAULT '',"
    " lease_until INTEGER NOT NULL DEFAULT 0,"
    " marker INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    /* One for each order that jobs are asked for in: pages of a list, the head of the queue, leases, retention. */
    "CREATE UNIQUE INDEX job_by_key ON job (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;"
    "CREATE INDEX job_by_owner ON job (owner, id);"
    "CREATE INDEX job_by_status ON job (status, id);"
    "CREATE INDEX job_by_owner_status ON job (owner, status, id);"
    "CREATE INDEX job_queued ON job (created_at, id) WHERE status = 'queued';"
    "CREATE INDEX job_running ON job (created_at, id) WHERE status = 'running';"
    "CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at > 0;"
    "CREATE TABLE metadata ("
    " id TEXT NOT NULL REFERENCES job ON DELETE CASCADE,"
    " key TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (id, key)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX metadata_by_value ON metadata (key, value, id);"
    "CREATE TABLE artifact ("
    " id TEXT NOT NULL REFERENCES job ON DELETE CASCADE,"
    " place INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " variant TEXT NOT NULL,"
    " size INTEGER NOT NULL,"
    " sha256 BLOB NOT NULL,"
    " PRIMARY KEY (id, place),"
    " UNIQUE (id, name)"
    ") STRICT, WITHOUT ROWID;"
    /* No foreign key: events may outlive their job until they are swept, so that removing a job is a short transaction. */
    "CREATE TABLE event ("
    " id TEXT NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " time INTEGER NOT NULL,"
    " type TEXT NOT NULL,"
    " data TEXT NOT NULL,"
    " PRIMARY KEY (id, sequence)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE removed (id TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;"
    /* Counted as jobs change, for the limit of the queue and for metrics. */
    "CREATE TABLE counter (status TEXT PRIMARY KEY NOT NULL, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO counter VALUES ('queued', 0), ('running', 0), ('succeeded', 0), ('failed', 0), ('cancelled', 0);"
    "CREATE TRIGGER job_inserted AFTER INSERT ON job BEGIN"
    " UPDATE counter SET jobs = jobs + 1 WHERE status = NEW.status;"
    "END;"
    "CREATE TRIGGER job_moved AFTER UPDATE OF status ON job WHEN OLD.status <> NEW.status BEGIN"
    " UPDATE counter SET jobs = jobs - 1 WHERE status = OLD.status;"
    " UPDATE counter SET jobs = jobs + 1 WHERE status = NEW.status;"
    "END;"
    "CREATE TRIGGER job_deleted AFTER DELETE ON job BEGIN"
    " UPDATE counter SET jobs = jobs - 1 WHERE status = OLD.status;"
    "END;"
    /* Written to see whether writing works. */
    "CREATE TABLE probe (beats INTEGER NOT NULL) STRICT;"
    "INSERT INTO probe VALUES (0);"
    "PRAGMA application_id = " TEXT(APPLICATION_ID) ";",

    "ALTER TABLE job ADD COLUMN trace TEXT;"
    /* Added up as artifacts come and go, for metrics. */
    "CREATE TABLE artifact_total (bytes INTEGER NOT NULL) STRICT;"
    "INSERT INTO artifact_total SELECT coalesce(sum(size), 0) FROM artifact;"
    "CREATE TRIGGER artifact_inserted AFTER INSERT ON artifact BEGIN"
    " UPDATE artifact_total SET bytes = bytes + NEW.size;"
    "END;"
    "CREATE TRIGGER artifact_deleted AFTER DELETE ON artifact BEGIN"
    " UPDATE artifact_total SET bytes = bytes - OLD.size;"
    "END;",

    "ALTER TABLE job ADD COLUMN evicted_at INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX job_evictable ON job (finished_at, id) WHERE status = 'succeeded' AND evicted_at = 0;"
    "CREATE INDEX job_begun ON job (created_at, id) WHERE status = 'queued' AND attempt > 0;"
    "CREATE INDEX job_queue ON job (owner, created_at, id) WHERE status = 'queued';"
    /*
     * Each owner there ever was, with the number of its jobs that wait and run, counted as they change. The least `turn` is next: who is
     * served gets the highest, as does a new one.
     */
    "CREATE TABLE owner_load ("
    " name TEXT PRIMARY KEY NOT NULL,"
    " queued INTEGER NOT NULL,"
    " running INTEGER NOT NULL,"
    " turn INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO owner_load SELECT owner, sum(status = 'queued'), sum(status = 'running'),"
    " row_number() OVER (ORDER BY max(started_at), min(created_at), owner) FROM job GROUP BY owner;"
    "CREATE INDEX owner_by_turn ON owner_load (turn);"
    "CREATE INDEX owner_waiting ON owner_load (turn) WHERE queued > 0;"
    "CREATE TRIGGER owner_gains AFTER INSERT ON job BEGIN" OWNER_GAINS "END;"
    "CREATE TRIGGER owner_loses AFTER DELETE ON job BEGIN" OWNER_LOSES "END;"
    "CREATE TRIGGER owner_moves AFTER UPDATE OF status ON job WHEN OLD.status <> NEW.status BEGIN" OWNER_GAINS OWNER_LOSES "END;",

    /* An owner's filters go through its own pairs alone: how long they take tells nothing of those of others. */
    "ALTER TABLE metadata ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
    "UPDATE metadata SET owner = (SELECT job.owner FROM job WHERE job.id = metadata.id);"
    "CREATE INDEX metadata_of_owner ON metadata (owner, key, value, id);"
    "CREATE INDEX job_evictable_of_owner ON job (owner, finished_at, id) WHERE status = 'succeeded' AND evicted_at = 0;",

    /* What each owner's documents take, added up as jobs come and go. */
    "CREATE TABLE owner_store (name TEXT PRIMARY KEY NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO owner_store SELECT owner, sum(length(CAST(spec AS BLOB))) FROM job GROUP BY owner;"
    "CREATE TRIGGER owner_stores AFTER INSERT ON job BEGIN"
    " INSERT INTO owner_store VALUES (NEW.owner, length(CAST(NEW.spec AS BLOB)))"
    " ON CONFLICT (name) DO UPDATE SET bytes = bytes + excluded.bytes;"
    "END;"
    "CREATE TRIGGER owner_drops AFTER DELETE ON job BEGIN"
    " UPDATE owner_store SET bytes = bytes - length(CAST(OLD.spec AS BLOB)) WHERE name = OLD.owner;"
    "END;",
};
enum { LATEST = sizeof steps / sizeof *steps };

enum kend_store_result kend_sqlite_number(struct kend_sql *sql, const char *text, int64_t *value)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start_once(sql, text, SQL_VALUES(), &statement);
    if (result != KEND_STORE_OK) return result;
    result = kend_sql_next(sql, statement);
    if (result == KEND_STORE_OK) *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return result;
}

static enum kend_store_result execute(struct kend_sql *sql, const char *text)
{
    return sqlite3_exec(sql->db, text, NULL, NULL, NULL) == SQLITE_OK ? KEND_STORE_OK : kend_sql_failed(sql, "migrating");
}

static enum kend_store_result take_step(struct kend_sql *sql, int64_t from)
{
    char record[64];
    snprintf(record, sizeof record, "INSERT INTO schema_version VALUES (%d)", (int)from + 1);
    enum kend_store_result result = execute(sql, "BEGIN IMMEDIATE");
    if (result == KEND_STORE_OK) result = execute(sql, steps[from]);
    if (result == KEND_STORE_OK) result = execute(sql, record);
    if (result == KEND_STORE_OK) result = execute(sql, "COMMIT");
    if (!sqlite3_get_autocommit(sql->db)) sqlite3_exec(sql->db, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

static enum kend_store_result unreadable(struct kend_sql *sql, const char *path, char message[256])
{
    snprintf(message, 256, "%s: %s", path, sqlite3_errmsg(sql->db));
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_sqlite_find_version(struct kend_sql *sql, const char *path, int64_t *version, char message[256])
{
    int64_t tables, application;
    if (kend_sqlite_number(sql, "SELECT count(*) FROM sqlite_schema", &tables) != KEND_STORE_OK) return unreadable(sql, path, message);
    if (kend_sqlite_number(sql, "PRAGMA application_id", &application) != KEND_STORE_OK) return unreadable(sql, path, message);
    *version = 0;
    if (!tables && !application) return KEND_STORE_OK;
    if (application != APPLICATION_ID) {
        snprintf(message, 256, "%s: a SQLite database, but not one of kend", path);
        return KEND_STORE_UNAVAILABLE;
    }
    if (kend_sqlite_number(sql, "SELECT max(version) FROM schema_version", version) != KEND_STORE_OK) return unreadable(sql, path, message);
    if (*version >= 1 && *version <= LATEST) return KEND_STORE_OK;
    if (*version < 1)
        snprintf(message, 256, "%s: damaged: it does not tell the version of its schema", path);
    else
        snprintf(message, 256, "%s: schema version %lld is of a newer kend; this one knows versions 1 to %d", path, (long long)*version,
                 (int)LATEST);
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_sqlite_migrate(struct kend_sql *sql, const char *path, char message[256])
{
    int64_t version;
    enum kend_store_result result = kend_sqlite_find_version(sql, path, &version, message);
    /* Only now is the file known to be kend's, or new: WAL mode changes it. The first has to be said before anything is in it. */
    if (result == KEND_STORE_OK && !version && execute(sql, "PRAGMA auto_vacuum = INCREMENTAL") != KEND_STORE_OK)
        result = unreadable(sql, path, message);
    if (result == KEND_STORE_OK && execute(sql, "PRAGMA journal_mode = WAL") != KEND_STORE_OK) result = unreadable(sql, path, message);
    for (; result == KEND_STORE_OK && version < LATEST; version++) {
        result = take_step(sql, version);
        if (result != KEND_STORE_OK)
            snprintf(message, 256, "%s: migrating to schema version %d failed: %s", path, (int)version + 1, sqlite3_errmsg(sql->db));
    }
    if (result == KEND_STORE_OK) kend_sqlite_make_shrinkable(sql, path);
    return result;
}
