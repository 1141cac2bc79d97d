/* SPDX-License-Identifier: Apache-2.0 */
/* Giving the disk back what removed jobs have left: pages of the file that nothing is in. */
#include "jobs/store_sqlite.h"

#include "log.h"

#include <sys/statvfs.h>

enum { INCREMENTAL = 2 /* of PRAGMA auto_vacuum */, KEPT_PAGES = 256 /* a MiB: they are soon taken again */ };
#define STEP "PRAGMA incremental_vacuum(16)" /* pages: others wait some milliseconds for it */

/* More would keep kend from starting for too long, and take too much of the disk beside the file. */
#define REWRITTEN_BYTES (INT64_C(1) << 30)

/* The copy and the log of it take twice what is in the file; of what is free no more than half goes, though only for now. */
static bool has_room(const char *path, int64_t bytes)
{
    struct statvfs disk;
    return statvfs(path, &disk) || (uint64_t)disk.f_bavail * disk.f_frsize / 4 >= (uint64_t)bytes; /* one that does not tell may have it */
}

/* Rewriting the file once is what SQLite asks for. It is there whole, the old one or the new one, whatever happens meanwhile. */
static void rewrite(struct kend_sql *sql, const char *path, int64_t bytes)
{
    kend_log(KEND_LOG_INFO, "rewriting the job store once, so that it can shrink", KEND_S("path", path), KEND_I("bytes", bytes));
    /* The copy may be large: not in memory. */
    const int failed = sqlite3_exec(
        sql->db, "PRAGMA temp_store = FILE; PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    if (failed)
        kend_log(KEND_LOG_WARN, "the job store could not be rewritten: it keeps its size, and takes new jobs into it", KEND_S("path", path),
                 KEND_S("reason", sqlite3_errmsg(sql->db)));
    sqlite3_exec(sql->db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
}

void kend_sqlite_make_shrinkable(struct kend_sql *sql, const char *path)
{
    int64_t kind, bytes;
    if (kend_sqlite_number(sql, "PRAGMA auto_vacuum", &kind) != KEND_STORE_OK || kind == INCREMENTAL) return;
    if (kend_sqlite_number(sql,
                           "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count,"
                           " pragma_page_size",
                           &bytes) != KEND_STORE_OK)
        return;
    if (bytes <= REWRITTEN_BYTES && has_room(path, bytes))
        rewrite(sql, path, bytes);
    else if (bytes <= REWRITTEN_BYTES)
        kend_log(
            KEND_LOG_WARN,
            "the job store is not rewritten, for which four times its bytes are to be free: it keeps its size, and takes new jobs into it",
            KEND_S("path", path), KEND_I("bytes", bytes));
    else
        kend_log(KEND_LOG_WARN, "the job store is too large to be rewritten at start: it keeps its size, and takes new jobs into it",
                 KEND_S("path", path), KEND_I("bytes", bytes));
}

static enum kend_store_result find_free(struct kend_sql *sql, int64_t *pages)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, "PRAGMA freelist_count", SQL_VALUES(), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    if (result != KEND_STORE_OK) return result;
    *pages = sqlite3_column_int64(statement, 0);
    kend_sql_end(statement);
    return KEND_STORE_OK;
}

struct shrinking {
    bool last; /* nothing is left that is worth giving */
};

static enum kend_store_result give_some(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    (void)sqlite;
    struct shrinking *shrinking = opaque;
    int64_t before, after;
    enum kend_store_result result = find_free(sql, &before);
    if (result != KEND_STORE_OK) return result;
    if (before <= 2 * KEPT_PAGES) return KEND_STORE_NONE;
    result = kend_sql_run(sql, STEP, SQL_VALUES());
    if (result == KEND_STORE_OK) result = find_free(sql, &after);
    if (result != KEND_STORE_OK) return result;
    shrinking->last = after <= 2 * KEPT_PAGES;
    return after < before ? KEND_STORE_OK : KEND_STORE_NONE; /* a file that was not rewritten gives nothing */
}

/* Most of the time there is nothing to give: whoever writes does not wait for who looks. */
static enum kend_store_result look(struct kend_sqlite *sqlite)
{
    struct kend_sql *sql = kend_sqlite_borrow(sqlite);
    int64_t pages;
    enum kend_store_result result = find_free(sql, &pages);
    kend_sqlite_return(sqlite, sql);
    if (result != KEND_STORE_OK) return result;
    return pages <= 2 * KEPT_PAGES ? KEND_STORE_NONE : KEND_STORE_OK;
}

enum kend_store_result kend_sqlite_shrink(struct kend_store *store)
{
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    struct shrinking shrinking = {false};
    enum kend_store_result result = look(sqlite);
    if (result == KEND_STORE_OK) result = kend_sqlite_write(sqlite, give_some, &shrinking);
    if (result != KEND_STORE_OK || !shrinking.last) return result;
    /* The file gets shorter when the log goes into it; where a reader keeps it from that, with the next one. */
    pthread_mutex_lock(&sqlite->writing);
    (void)kend_sql_run(&sqlite->writer, "PRAGMA wal_checkpoint(PASSIVE)", SQL_VALUES());
    pthread_mutex_unlock(&sqlite->writing);
    return KEND_STORE_OK;
}
