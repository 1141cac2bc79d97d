/* SPDX-License-Identifier: Apache-2.0 */
/* What only reads: each call borrows a reader, and one statement sees one committed state. */
#include "jobs/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kend_store_result kend_sqlite_get(struct kend_store *store, const char *id, const char *owner, struct kend_job **job)
{
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    struct kend_record record;
    enum kend_store_result result = kend_sqlite_load(sql, id, owner, &record);
    kend_sqlite_return(sqlite, sql);
    *job = record.job;
    record.job = NULL;
    kend_record_clear(&record);
    return result;
}

/* Room for one more item of a growing array; false if out of memory. */
static bool grow(void *items, size_t count, size_t size)
{
    if (count & (count + 1)) return true; /* the array doubles when count + 1 is a power of two */
    void *array;
    memcpy(&array, items, sizeof array);
    array = reallocarray(array, 2 * (count + 1), size);
    if (array) memcpy(items, &array, sizeof array);
    return array != NULL;
}

static enum kend_store_result read_jobs(struct kend_sql *sql, sqlite3_stmt *statement, size_t limit, struct kend_job_list *list)
{
    for (;;) {
        enum kend_store_result result = kend_sql_next(sql, statement);
        if (result != KEND_STORE_OK) return result == KEND_STORE_NONE ? KEND_STORE_OK : result;
        if (list->count == limit) {
            list->has_more = true;
            return KEND_STORE_OK;
        }
        struct kend_record record;
        if (!grow(&list->item, list->count, sizeof(struct kend_job *))) return KEND_STORE_UNAVAILABLE;
        result = kend_sqlite_row(statement, &record);
        if (result != KEND_STORE_OK) return result;
        list->item[list->count++] = record.job;
        record.job = NULL;
        kend_record_clear(&record);
    }
}

enum { LIST_VALUES = 2 * 16 + 4 };

struct list_query {
    char text[4096];
    size_t length;
    struct kend_sql_value values[LIST_VALUES + 1];
    size_t count;
};

static void say(struct list_query *query, const char *text)
{
    size_t length = strlen(text);
    memcpy(query->text + query->length, text, length + 1);
    query->length += length;
}

static void give(struct list_query *query, struct kend_sql_value value)
{
    query->values[query->count++] = value;
    query->values[query->count] = (struct kend_sql_value){.kind = KEND_SQL_END};
}

/* The rarest thing asked for should drive the query: a pair of metadata if there is one, else an index over owner and status. */
static void build_list(struct list_query *query, const struct kend_job_filter *filter)
{
    say(query, "SELECT " KEND_SQLITE_JOB " FROM ");
    say(query, filter->metadata_count ? "metadata AS pair CROSS JOIN job ON job.id = pair.id WHERE pair.key = ? AND pair.value = ?"
                                      : "job WHERE TRUE");
    for (size_t i = 0; i < filter->metadata_count; i++) {
        if (i) say(query, " AND EXISTS (SELECT 1 FROM metadata AS other WHERE other.id = job.id AND other.key = ? AND other.value = ?)");
        give(query, SQL_TEXT(filter->metadata[i].key));
        give(query, SQL_TEXT(filter->metadata[i].value));
    }
    if (filter->owner) {
        say(query, filter->metadata_count ? " AND pair.owner = ?" : " AND owner = ?");
        give(query, SQL_TEXT(filter->owner));
    }
    if (filter->has_status) {
        say(query, " AND status = ?");
        give(query, SQL_TEXT(proto_status_name(filter->status)));
    }
    if (filter->after) {
        say(query, filter->metadata_count ? " AND pair.id < ?" : " AND job.id < ?");
        give(query, SQL_TEXT(filter->after));
    }
    say(query, filter->metadata_count ? " ORDER BY pair.id DESC LIMIT ?" : " ORDER BY job.id DESC LIMIT ?");
    give(query, SQL_INTEGER((int64_t)filter->limit + 1));
}

enum kend_store_result kend_sqlite_list(struct kend_store *store, const struct kend_job_filter *filter, struct kend_job_list *list)
{
    *list = (struct kend_job_list){0};
    /* A document has 16 pairs at most: no job has more. */
    if (filter->metadata_count > 16) return KEND_STORE_OK;
    struct list_query query = {.length = 0};
    build_list(&query, filter);
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start_once(sql, query.text, query.values, &statement);
    if (result == KEND_STORE_OK) {
        result = read_jobs(sql, statement, filter->limit, list);
        sqlite3_finalize(statement);
    }
    kend_sqlite_return(sqlite, sql);
    if (result != KEND_STORE_OK) kend_job_list_clear(list);
    return result;
}

static enum kend_store_result find(struct kend_sql *sql, const char *id)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, "SELECT 1 FROM job WHERE id = ?1", SQL_VALUES(SQL_TEXT(id)), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    if (result == KEND_STORE_OK) kend_sql_end(statement);
    return result;
}

static enum kend_store_result read_events(struct kend_sql *sql, const char *id, int64_t after, size_t limit, struct kend_event_list *list)
{
    sqlite3_stmt *statement;
    enum kend_store_result result =
        kend_sql_start(sql, "SELECT sequence, time, type, data FROM event WHERE id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
                       SQL_VALUES(SQL_TEXT(id), SQL_INTEGER(after), SQL_INTEGER((int64_t)limit + 1)), &statement);
    if (result != KEND_STORE_OK) return result;
    while ((result = kend_sql_next(sql, statement)) == KEND_STORE_OK) {
        if (list->count == limit) {
            list->has_more = true;
            break;
        }
        if (!grow(&list->item, list->count, sizeof *list->item)) goto out_of_memory;
        struct kend_event *event = &list->item[list->count++];
        *event = (struct kend_event){.sequence = sqlite3_column_int64(statement, 0), .time = sqlite3_column_int64(statement, 1)};
        if (!kend_sql_text(statement, 2, &event->type) || !kend_sql_text(statement, 3, &event->data)) goto out_of_memory;
    }
    kend_sql_end(statement);
    return result == KEND_STORE_NONE ? KEND_STORE_OK : result;
out_of_memory:
    kend_sql_end(statement);
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_sqlite_events(struct kend_store *store, const char *id, int64_t after, size_t limit,
                                          struct kend_event_list *list)
{
    *list = (struct kend_event_list){0};
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    enum kend_store_result result = find(sql, id);
    if (result == KEND_STORE_OK) result = read_events(sql, id, after, limit, list);
    kend_sqlite_return(sqlite, sql);
    if (result != KEND_STORE_OK) kend_event_list_clear(list);
    return result;
}

static enum kend_store_result read_artifacts(struct kend_sql *sql, const char *id, struct kend_artifact_list *list)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, "SELECT name, variant, size, sha256 FROM artifact WHERE id = ?1 ORDER BY place",
                                                   SQL_VALUES(SQL_TEXT(id)), &statement);
    if (result != KEND_STORE_OK) return result;
    while ((result = kend_sql_next(sql, statement)) == KEND_STORE_OK) {
        if (!grow(&list->item, list->count, sizeof *list->item)) goto broken;
        struct kend_job_artifact *artifact = &list->item[list->count++];
        *artifact = (struct kend_job_artifact){.size = (uint64_t)sqlite3_column_int64(statement, 2)};
        if (!kend_sql_text(statement, 0, &artifact->name) || !kend_sql_text(statement, 1, &artifact->variant)) goto broken;
        const void *digest = sqlite3_column_blob(statement, 3);
        if (!digest || sqlite3_column_bytes(statement, 3) != sizeof artifact->sha256) goto broken;
        memcpy(artifact->sha256, digest, sizeof artifact->sha256);
    }
    return result == KEND_STORE_NONE ? KEND_STORE_OK : result;
broken:
    kend_sql_end(statement);
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_sqlite_artifacts(struct kend_store *store, const char *id, struct kend_artifact_list *list)
{
    *list = (struct kend_artifact_list){0};
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    enum kend_store_result result = find(sql, id);
    if (result == KEND_STORE_OK) result = read_artifacts(sql, id, list);
    kend_sqlite_return(sqlite, sql);
    if (result != KEND_STORE_OK) kend_artifact_list_clear(list);
    return result;
}

static enum kend_store_result read_counts(struct kend_sql *sql, struct kend_store_counts *counts)
{
    sqlite3_stmt *statement;
    enum kend_store_result result =
        kend_sql_start(sql,
                       "SELECT status, jobs FROM counter UNION ALL SELECT 'bytes', bytes FROM artifact_total"
                       " UNION ALL SELECT 'owners', count(*) FROM owner_load WHERE queued > 0 UNION ALL SELECT 'oldest', min(created_at) "
                       "FROM (SELECT created_at FROM job INDEXED BY job_queued WHERE status = 'queued' ORDER BY created_at LIMIT 1)"
                       " UNION ALL SELECT 'pages', page_count * page_size FROM pragma_page_count, pragma_page_size"
                       " UNION ALL SELECT 'free', freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
                       SQL_VALUES(), &statement);
    if (result != KEND_STORE_OK) return result;
    while ((result = kend_sql_next(sql, statement)) == KEND_STORE_OK) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        enum proto_status status;
        if (!name) { /* out of memory */
            kend_sql_end(statement);
            return KEND_STORE_UNAVAILABLE;
        }
        if (proto_status_parse(name, &status))
            counts->by_status[status] = (uint64_t)sqlite3_column_int64(statement, 1);
        else if (strcmp(name, "bytes") == 0)
            counts->artifact_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
        else if (strcmp(name, "owners") == 0)
            counts->owners_queued = (uint64_t)sqlite3_column_int64(statement, 1);
        else if (strcmp(name, "pages") == 0)
            counts->store_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
        else if (strcmp(name, "free") == 0)
            counts->store_free = (uint64_t)sqlite3_column_int64(statement, 1);
        else
            counts->oldest_queued_at = sqlite3_column_int64(statement, 1);
    }
    return result == KEND_STORE_NONE ? KEND_STORE_OK : result;
}

enum kend_store_result kend_sqlite_counts(struct kend_store *store, struct kend_store_counts *counts)
{
    *counts = (struct kend_store_counts){0};
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    enum kend_store_result result = read_counts(sql, counts);
    kend_sqlite_return(sqlite, sql);
    return result;
}

enum kend_store_result kend_sqlite_expired(struct kend_store *store, int64_t now, size_t limit, struct kend_job_list *list)
{
    *list = (struct kend_job_list){0};
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql,
                                                   "SELECT " KEND_SQLITE_JOB " FROM job WHERE expires_at > 0 AND expires_at <= ?1"
                                                   " ORDER BY expires_at LIMIT ?2",
                                                   SQL_VALUES(SQL_INTEGER(now), SQL_INTEGER((int64_t)limit + 1)), &statement);
    if (result == KEND_STORE_OK) {
        result = read_jobs(sql, statement, limit, list);
        kend_sql_end(statement);
    }
    kend_sqlite_return(sqlite, sql);
    if (result != KEND_STORE_OK) kend_job_list_clear(list);
    return result;
}
