/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/sql.h"

#include "error.h"
#include "log.h"

#include <errno.h>
#include <string.h>

enum { BUSY_MS = 5000 };

enum kend_store_result kend_sql_open(struct kend_sql *sql, const char *path, const char **why)
{
    *sql = (struct kend_sql){0};
    /* A connection has one user at a time, so SQLite need not lock it. */
    int rc = sqlite3_open_v2(path, &sql->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(sql->db, BUSY_MS);
    if (rc == SQLITE_OK) return KEND_STORE_OK;
    *why = sqlite3_errstr(rc);
    kend_sql_close(sql);
    return KEND_STORE_UNAVAILABLE;
}

void kend_sql_close(struct kend_sql *sql)
{
    for (size_t i = 0; i < sql->kept_count; i++) sqlite3_finalize(sql->kept[i].statement);
    KEN_ASSERT(sqlite3_close(sql->db) == SQLITE_OK);
    *sql = (struct kend_sql){0};
}

enum kend_store_result kend_sql_failed(struct kend_sql *sql, const char *doing)
{
    int code = sqlite3_extended_errcode(sql->db);
    int cause = sqlite3_system_errno(sql->db);
    bool full = (code & 0xff) == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
    kend_log(KEND_LOG_ERROR, "store failed", KEND_S("doing", doing), KEND_S("reason", sqlite3_errmsg(sql->db)), KEND_I("code", code),
             KEND_I("errno", cause));
    return full ? KEND_STORE_NO_SPACE : KEND_STORE_UNAVAILABLE;
}

static int bind(sqlite3_stmt *statement, int place, const struct kend_sql_value *value)
{
    switch (value->kind) {
    case KEND_SQL_TEXT: return sqlite3_bind_text(statement, place, value->bytes, -1, SQLITE_STATIC);
    case KEND_SQL_INTEGER: return sqlite3_bind_int64(statement, place, value->integer);
    case KEND_SQL_REAL: return sqlite3_bind_double(statement, place, value->real);
    case KEND_SQL_BLOB: return sqlite3_bind_blob64(statement, place, value->bytes, value->length, SQLITE_STATIC);
    case KEND_SQL_END: break;
    }
    return SQLITE_MISUSE;
}

static enum kend_store_result bind_all(struct kend_sql *sql, sqlite3_stmt *statement, const struct kend_sql_value *values)
{
    for (int i = 0; values[i].kind != KEND_SQL_END; i++) {
        if (bind(statement, i + 1, &values[i]) == SQLITE_OK) continue;
        enum kend_store_result result = kend_sql_failed(sql, "binding");
        kend_sql_end(statement);
        return result;
    }
    return KEND_STORE_OK;
}

static enum kend_store_result keep(struct kend_sql *sql, const char *text, sqlite3_stmt **statement)
{
    for (size_t i = 0; i < sql->kept_count; i++) {
        if (sql->kept[i].text != text) continue;
        *statement = sql->kept[i].statement;
        return KEND_STORE_OK;
    }
    KEN_ASSERT(sql->kept_count < KEND_SQL_KEPT);
    if (sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK) return kend_sql_failed(sql, text);
    sql->kept[sql->kept_count].text = text;
    sql->kept[sql->kept_count++].statement = *statement;
    return KEND_STORE_OK;
}

enum kend_store_result kend_sql_start(struct kend_sql *sql, const char *text, const struct kend_sql_value *values, sqlite3_stmt **statement)
{
    enum kend_store_result result = keep(sql, text, statement);
    return result == KEND_STORE_OK ? bind_all(sql, *statement, values) : result;
}

enum kend_store_result kend_sql_start_once(struct kend_sql *sql, const char *text, const struct kend_sql_value *values,
                                           sqlite3_stmt **statement)
{
    if (sqlite3_prepare_v2(sql->db, text, -1, statement, NULL) != SQLITE_OK) return kend_sql_failed(sql, text);
    enum kend_store_result result = bind_all(sql, *statement, values);
    if (result == KEND_STORE_OK) return KEND_STORE_OK;
    sqlite3_finalize(*statement);
    *statement = NULL;
    return result;
}

enum kend_store_result kend_sql_next(struct kend_sql *sql, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) return KEND_STORE_OK;
    enum kend_store_result result = rc == SQLITE_DONE ? KEND_STORE_NONE : kend_sql_failed(sql, sqlite3_sql(statement));
    kend_sql_end(statement);
    return result;
}

void kend_sql_end(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

enum kend_store_result kend_sql_run(struct kend_sql *sql, const char *text, const struct kend_sql_value *values)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, text, values, &statement);
    if (result != KEND_STORE_OK) return result;
    do result = kend_sql_next(sql, statement);
    while (result == KEND_STORE_OK);
    return result == KEND_STORE_NONE ? KEND_STORE_OK : result;
}

bool kend_sql_text(sqlite3_stmt *statement, int column, char **text)
{
    *text = NULL;
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) return true;
    const char *value = (const char *)sqlite3_column_text(statement, column);
    if (value) *text = strdup(value);
    return *text != NULL;
}
