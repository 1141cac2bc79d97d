/* SPDX-License-Identifier: Apache-2.0 */
/* What clients and retention write: create, cancel, remove. */
#include "jobs/store_sqlite.h"

#include <stdio.h>
#include <string.h>

static enum kend_store_result beat(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite, (void)opaque;
    return kend_sql_run(sql, "UPDATE probe SET beats = beats + 1", SQL_VALUES());
}

enum kend_store_result kend_sqlite_check(struct kend_store *store)
{
    return kend_sqlite_write(kend_sqlite_of(store), beat, NULL);
}

struct creation {
    const struct kend_new_job *new_job;
    struct kend_record record;
};

/* NONE if the key is new; else EXISTS with the record, or KEY_MISMATCH. */
static enum kend_store_result find_key(struct kend_sql *sql, struct creation *creation)
{
    const struct kend_new_job *new_job = creation->new_job;
    if (!new_job->idempotency_key) return KEND_STORE_NONE;
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, "SELECT id, body_sha256 = ?3 FROM job WHERE owner = ?1 AND idempotency_key = ?2",
                                                   SQL_VALUES(SQL_TEXT(new_job->owner), SQL_TEXT(new_job->idempotency_key),
                                                              SQL_BLOB(new_job->body_sha256, sizeof new_job->body_sha256)),
                                                   &statement);
    if (result != KEND_STORE_OK) return result;
    result = kend_sql_next(sql, statement);
    if (result != KEND_STORE_OK) return result;
    result = KEND_STORE_KEY_MISMATCH;
    if (sqlite3_column_int(statement, 1)) {
        result = kend_sqlite_load(sql, (const char *)sqlite3_column_text(statement, 0), new_job->owner, &creation->record);
        if (result == KEND_STORE_OK) result = KEND_STORE_EXISTS;
    }
    kend_sql_end(statement);
    return result;
}

/* Whether what the statement counts has room for `more` below `most`; `full` if not. */
static enum kend_store_result check_limit(struct kend_sql *sql, const char *count, const char *owner, int64_t more, int64_t most,
                                          enum kend_store_result full)
{
    sqlite3_stmt *statement;
    if (!most) return KEND_STORE_OK;
    enum kend_store_result result = kend_sql_start(sql, count, owner ? SQL_VALUES(SQL_TEXT(owner)) : SQL_VALUES(), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    if (result != KEND_STORE_OK) return result == KEND_STORE_NONE ? KEND_STORE_OK : result; /* an owner without jobs has no row */
    const bool is_full = sqlite3_column_int64(statement, 0) > most - more;
    kend_sql_end(statement);
    return is_full ? full : KEND_STORE_OK;
}

/* Those of the owner first: waiting for others' jobs to end would not help. What it has to delete itself before what ends by itself. */
static enum kend_store_result check_limits(struct kend_sql *sql, const struct kend_new_job *new_job)
{
    enum kend_store_result result = check_limit(sql, "SELECT coalesce(max(bytes), 0) FROM owner_store WHERE name = ?1", new_job->owner,
                                                (int64_t)strlen(new_job->spec), new_job->max_bytes_per_owner, KEND_STORE_OWNER_BYTES_FULL);
    if (result != KEND_STORE_OK) return result;
    result = check_limit(sql, "SELECT queued FROM owner_load WHERE name = ?1", new_job->owner, 1, new_job->max_queued_per_owner,
                         KEND_STORE_OWNER_QUEUE_FULL);
    if (result != KEND_STORE_OK) return result;
    return check_limit(sql, "SELECT jobs FROM counter WHERE status = 'queued'", NULL, 1, new_job->max_queued, KEND_STORE_QUEUE_FULL);
}

static enum kend_store_result insert_metadata(struct kend_sql *sql, const struct kend_new_job *new_job)
{
    enum kend_store_result result = KEND_STORE_OK;
    for (size_t i = 0; i < new_job->metadata_count && result == KEND_STORE_OK; i++)
        result = kend_sql_run(sql, "INSERT INTO metadata (id, key, value, owner) VALUES (?1, ?2, ?3, ?4)",
                              SQL_VALUES(SQL_TEXT(new_job->id), SQL_TEXT(new_job->metadata[i].key), SQL_TEXT(new_job->metadata[i].value),
                                         SQL_TEXT(new_job->owner)));
    return result;
}

static enum kend_store_result insert(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite;
    struct creation *creation = opaque;
    const struct kend_new_job *new_job = creation->new_job;
    enum kend_store_result result = find_key(sql, creation);
    if (result != KEND_STORE_NONE) return result;
    result = check_limits(sql, new_job);
    if (result != KEND_STORE_OK) return result;
    result = kend_sql_run(sql,
                          "INSERT INTO job (id, owner, name, spec, idempotency_key, body_sha256, status, created_at, trace)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                          SQL_VALUES(SQL_TEXT(new_job->id), SQL_TEXT(new_job->owner), SQL_TEXT(new_job->name), SQL_TEXT(new_job->spec),
                                     SQL_TEXT(new_job->idempotency_key), SQL_BLOB(new_job->body_sha256, sizeof new_job->body_sha256),
                                     SQL_TEXT(proto_status_name(PROTO_QUEUED)), SQL_INTEGER(new_job->now), SQL_TEXT(new_job->trace)));
    if (result == KEND_STORE_OK) result = insert_metadata(sql, new_job);
    if (result == KEND_STORE_OK) result = kend_sqlite_load(sql, new_job->id, NULL, &creation->record);
    if (result != KEND_STORE_OK) return result;
    creation->record.announce = true;
    return kend_sqlite_save(sql, &creation->record, new_job->now);
}

enum kend_store_result kend_sqlite_create(struct kend_store *store, const struct kend_new_job *new_job, struct kend_job **job)
{
    struct creation creation = {.new_job = new_job};
    enum kend_store_result result = kend_sqlite_write(kend_sqlite_of(store), insert, &creation);
    kend_sqlite_hand_out(&creation.record, result == KEND_STORE_OK || result == KEND_STORE_EXISTS, job);
    return result;
}

struct change {
    const char *id, *owner;
    int64_t now;
    struct kend_record record;
};

static enum kend_store_result cancel(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    struct change *change = opaque;
    enum kend_store_result result = kend_sqlite_load(sql, change->id, change->owner, &change->record);
    if (result == KEND_STORE_OK) result = kend_record_cancel(&change->record, change->now, sqlite->store.keep_ms);
    return result == KEND_STORE_OK ? kend_sqlite_save(sql, &change->record, change->now) : result;
}

enum kend_store_result kend_sqlite_cancel(struct kend_store *store, const char *id, const char *owner, int64_t now, struct kend_job **job)
{
    struct change change = {.id = id, .owner = owner, .now = now};
    enum kend_store_result result = kend_sqlite_write(kend_sqlite_of(store), cancel, &change);
    kend_sqlite_hand_out(&change.record, result == KEND_STORE_OK, job);
    return result;
}

static enum kend_store_result delete_row(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite;
    struct change *change = opaque;
    enum kend_store_result result = kend_sqlite_load(sql, change->id, change->owner, &change->record);
    if (result != KEND_STORE_OK) return result;
    if (!proto_status_is_terminal(change->record.job->status)) return KEND_STORE_ACTIVE;
    result = kend_sql_run(sql, "DELETE FROM job WHERE id = ?1", SQL_VALUES(SQL_TEXT(change->id)));
    if (result != KEND_STORE_OK) return result;
    return kend_sql_run(sql, "INSERT INTO removed (id) VALUES (?1)", SQL_VALUES(SQL_TEXT(change->id)));
}

enum kend_store_result kend_sqlite_remove(struct kend_store *store, const char *id, const char *owner)
{
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct change change = {.id = id, .owner = owner};
    enum kend_store_result result = kend_sqlite_write(sqlite, delete_row, &change);
    kend_record_clear(&change.record);
    /* The job is gone once its row is; what a failure leaves here is swept with the next one. */
    if (result == KEND_STORE_OK) kend_sqlite_sweep(sqlite);
    return result;
}

static enum kend_store_result sweep_some(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite;
    bool *clean = opaque;
    sqlite3_stmt *statement;
    char id[PROTO_ID_SIZE] = "";
    enum kend_store_result result = kend_sql_start(sql, "SELECT id FROM removed LIMIT 1", SQL_VALUES(), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    *clean = result == KEND_STORE_NONE;
    if (result != KEND_STORE_OK) return result;
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    if (text) snprintf(id, sizeof id, "%s", text);
    kend_sql_end(statement);
    if (!text) return KEND_STORE_UNAVAILABLE; /* out of memory */
    result = kend_sql_run(sql,
                          "DELETE FROM event WHERE id = ?1 AND sequence IN"
                          " (SELECT sequence FROM event WHERE id = ?1 ORDER BY sequence LIMIT ?2)",
                          SQL_VALUES(SQL_TEXT(id), SQL_INTEGER(KEND_SQLITE_SWEEP)));
    if (result != KEND_STORE_OK || sqlite3_changes(sql->db) == KEND_SQLITE_SWEEP) return result;
    return kend_sql_run(sql, "DELETE FROM removed WHERE id = ?1", SQL_VALUES(SQL_TEXT(id)));
}

enum kend_store_result kend_sqlite_sweep(struct kend_sqlite *sqlite)
{
    bool clean = false;
    enum kend_store_result result;
    do result = kend_sqlite_write(sqlite, sweep_some, &clean);
    while (result == KEND_STORE_OK);
    return clean ? KEND_STORE_OK : result;
}
