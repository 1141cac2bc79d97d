/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts that are given up to make room; the jobs stay. */
#include "jobs/store_sqlite.h"

enum kend_store_result kend_sqlite_evictable(struct kend_store *store, int64_t ended_before, uint64_t *bytes)
{
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    sqlite3_stmt *statement;
    *bytes = 0;
    enum kend_store_result result =
        kend_sql_start(sql,
                       "SELECT coalesce(sum(size), 0) FROM job INDEXED BY job_evictable JOIN artifact USING (id)"
                       " WHERE status = 'succeeded' AND evicted_at = 0 AND finished_at < ?1",
                       SQL_VALUES(SQL_INTEGER(ended_before)), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    if (result == KEND_STORE_OK) {
        *bytes = (uint64_t)sqlite3_column_int64(statement, 0);
        kend_sql_end(statement);
    }
    kend_sqlite_return(sqlite, sql);
    return result;
}

struct eviction {
    const char *owner;
    int64_t ended_before, now;
    struct kend_record record;
};

static enum kend_store_result find(struct kend_sql *sql, struct eviction *eviction)
{
    struct kend_record *record = &eviction->record;
    enum kend_store_result result = KEND_STORE_NONE;
    if (eviction->owner)
        result = kend_sqlite_one(sql,
                                 "SELECT " KEND_SQLITE_JOB " FROM job INDEXED BY job_evictable_of_owner WHERE status = 'succeeded'"
                                 " AND evicted_at = 0 AND owner = ?1 AND finished_at < ?2 ORDER BY finished_at, id LIMIT 1",
                                 SQL_VALUES(SQL_TEXT(eviction->owner), SQL_INTEGER(eviction->ended_before)), record);
    if (result != KEND_STORE_NONE) return result;
    return kend_sqlite_one(sql,
                           "SELECT " KEND_SQLITE_JOB " FROM job INDEXED BY job_evictable WHERE status = 'succeeded'"
                           " AND evicted_at = 0 AND finished_at < ?1 ORDER BY finished_at, id LIMIT 1",
                           SQL_VALUES(SQL_INTEGER(eviction->ended_before)), record);
}

static enum kend_store_result evict(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite;
    struct eviction *eviction = opaque;
    struct kend_record *record = &eviction->record;
    enum kend_store_result result = find(sql, eviction);
    if (result != KEND_STORE_OK) return result;
    record->job->evicted_at = eviction->now;
    result = kend_sql_run(sql, "DELETE FROM artifact WHERE id = ?1", SQL_VALUES(SQL_TEXT(record->job->id)));
    if (result == KEND_STORE_OK) result = kend_sqlite_append(sql, record, eviction->now, "log", kend_record_eviction_event);
    return result == KEND_STORE_OK ? kend_sqlite_save(sql, record, eviction->now) : result;
}

enum kend_store_result kend_sqlite_evict(struct kend_store *store, const char *owner, int64_t ended_before, int64_t now,
                                         struct kend_job **job)
{
    struct eviction eviction = {.owner = owner, .ended_before = ended_before, .now = now};
    enum kend_store_result result = kend_sqlite_write(kend_sqlite_of(store), evict, &eviction);
    kend_sqlite_hand_out(&eviction.record, result == KEND_STORE_OK, job);
    return result;
}
