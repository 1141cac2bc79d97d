/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to SQLite that keeps its prepared statements, and typed values to bind. One thread at a time uses a connection.
 * Results are those of a store: OK, NONE (no further row), NO_SPACE, UNAVAILABLE; the last two have been logged.
 */
#ifndef KEND_SQL_H
#define KEND_SQL_H

#include "jobs/store.h"

#include <sqlite3.h>

enum { KEND_SQL_KEPT = 48 };
struct kend_sql {
    sqlite3 *db;
    struct {
        const char *text; /* identity of the statement: a string literal */
        sqlite3_stmt *statement;
    } kept[KEND_SQL_KEPT];
    size_t kept_count;
};

/* Opens the file, which exists. On failure nothing is open and *why says what (a static text). */
enum kend_store_result kend_sql_open(struct kend_sql *sql, const char *path, const char **why);
void kend_sql_close(struct kend_sql *sql);

struct kend_sql_value {
    enum { KEND_SQL_END, KEND_SQL_TEXT, KEND_SQL_INTEGER, KEND_SQL_REAL, KEND_SQL_BLOB } kind;
    const void *bytes; /* borrowed until the statement has ended */
    size_t length;
    int64_t integer;
    double real;
};
/* NULL text is NULL in SQL. */
#define SQL_TEXT(t) ((struct kend_sql_value){.kind = KEND_SQL_TEXT, .bytes = (t)})
#define SQL_INTEGER(i) ((struct kend_sql_value){.kind = KEND_SQL_INTEGER, .integer = (i)})
#define SQL_REAL(r) ((struct kend_sql_value){.kind = KEND_SQL_REAL, .real = (r)})
#define SQL_BLOB(b, n) ((struct kend_sql_value){.kind = KEND_SQL_BLOB, .bytes = (b), .length = (n)})
#define SQL_VALUES(...) ((const struct kend_sql_value[]){__VA_ARGS__ __VA_OPT__(, ){.kind = KEND_SQL_END}})

/* Starts a statement that is kept; text must be a literal. */
enum kend_store_result kend_sql_start(struct kend_sql *sql, const char *text, const struct kend_sql_value *values,
                                      sqlite3_stmt **statement);
/* OK: there is a row. Anything else: the statement has ended. */
enum kend_store_result kend_sql_next(struct kend_sql *sql, sqlite3_stmt *statement);
/* Ends a statement before its last row. */
void kend_sql_end(sqlite3_stmt *statement);
/* Runs a statement without rows. OK, or a failure. */
enum kend_store_result kend_sql_run(struct kend_sql *sql, const char *text, const struct kend_sql_value *values);
/* As kend_sql_start for a text that was put together: the statement is the caller's, to be finalized. */
enum kend_store_result kend_sql_start_once(struct kend_sql *sql, const char *text, const struct kend_sql_value *values,
                                           sqlite3_stmt **statement);
/* The result that the connection's last failure is; logs it. */
enum kend_store_result kend_sql_failed(struct kend_sql *sql, const char *doing);

/* A malloc'ed copy of a column's text; *text is NULL for NULL. False if out of memory. */
bool kend_sql_text(sqlite3_stmt *statement, int column, char **text);

#endif
