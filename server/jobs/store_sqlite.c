/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/store_sqlite.h"

#include "error.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* FULL: a commit is on disk before it is answered for. */
static const char writer_settings[] = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                                      "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;";
static const char reader_settings[] = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"
                                      "PRAGMA cache_size = -512;";

struct kend_sqlite *kend_sqlite_of(struct kend_store *store)
{
    return (struct kend_sqlite *)store;
}

struct kend_sql *kend_sqlite_borrow(struct kend_sqlite *sqlite)
{
    pthread_mutex_lock(&sqlite->borrowing);
    while (!sqlite->idle_count) pthread_cond_wait(&sqlite->returned, &sqlite->borrowing);
    struct kend_sql *sql = sqlite->idle[--sqlite->idle_count];
    pthread_mutex_unlock(&sqlite->borrowing);
    return sql;
}

void kend_sqlite_return(struct kend_sqlite *sqlite, struct kend_sql *sql)
{
    pthread_mutex_lock(&sqlite->borrowing);
    sqlite->idle[sqlite->idle_count++] = sql;
    pthread_cond_signal(&sqlite->returned);
    pthread_mutex_unlock(&sqlite->borrowing);
}

/* Rolling back needs memory, too: a transaction that could not be is rolled back before the next one. SQLite may have done it by itself. */
static void roll_back(struct kend_sql *sql)
{
    if (!sqlite3_get_autocommit(sql->db)) kend_sql_run(sql, "ROLLBACK", SQL_VALUES());
}

enum kend_store_result kend_sqlite_write(struct kend_sqlite *sqlite, kend_sqlite_body *body, void *opaque)
{
    struct kend_sql *sql = &sqlite->writer;
    pthread_mutex_lock(&sqlite->writing);
    roll_back(sql);
    enum kend_store_result result = kend_sql_run(sql, "BEGIN IMMEDIATE", SQL_VALUES());
    if (result == KEND_STORE_OK) {
        result = body(sqlite, sql, opaque);
        if (result == KEND_STORE_OK) result = kend_sql_run(sql, "COMMIT", SQL_VALUES());
    }
    roll_back(sql);
    pthread_mutex_unlock(&sqlite->writing);
    return result;
}

static void close_store(struct kend_store *store)
{
    struct kend_sqlite *sqlite = kend_sqlite_of(store);
    for (size_t i = 0; i < KEND_SQLITE_READERS; i++) kend_sql_close(&sqlite->reader[i]);
    kend_sql_close(&sqlite->writer);
    if (sqlite->lock >= 0) close(sqlite->lock);
    pthread_cond_destroy(&sqlite->returned);
    pthread_mutex_destroy(&sqlite->borrowing);
    pthread_mutex_destroy(&sqlite->writing);
    free(sqlite);
}

static const struct kend_store_ops operations = {
    .close = close_store,
    .check = kend_sqlite_check,
    .create = kend_sqlite_create,
    .get = kend_sqlite_get,
    .list = kend_sqlite_list,
    .events = kend_sqlite_events,
    .artifacts = kend_sqlite_artifacts,
    .counts = kend_sqlite_counts,
    .cancel = kend_sqlite_cancel,
    .remove = kend_sqlite_remove,
    .shrink = kend_sqlite_shrink,
    .expired = kend_sqlite_expired,
    .evictable = kend_sqlite_evictable,
    .evict = kend_sqlite_evict,
    .claim = kend_sqlite_claim,
    .renew = kend_sqlite_renew,
    .progress = kend_sqlite_progress,
    .log = kend_sqlite_log,
    .finish = kend_sqlite_finish,
    .hand_back = kend_sqlite_hand_back,
    .abandon = kend_sqlite_abandon,
};

/* Takes the lock that keeps a second process from the same file, for as long as the store is open. */
static enum kend_store_result take_lock(struct kend_sqlite *sqlite, const char *path, char message[256])
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name) {
        snprintf(message, 256, "store.url: the path is too long");
        return KEND_STORE_UNAVAILABLE;
    }
    sqlite->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sqlite->lock < 0) {
        int cause = errno;
        snprintf(message, 256, "%.180s: %s", name, strerrordesc_np(cause));
        return cause == ENOSPC || cause == EDQUOT ? KEND_STORE_NO_SPACE : KEND_STORE_UNAVAILABLE;
    }
    if (flock(sqlite->lock, LOCK_EX | LOCK_NB) == 0) {
        /* Only for the message below: the lock holds without it. */
        if (ftruncate(sqlite->lock, 0) == 0) dprintf(sqlite->lock, "%ld\n", (long)getpid());
        return KEND_STORE_OK;
    }
    char pid[24] = "";
    ssize_t length = pread(sqlite->lock, pid, sizeof pid - 1, 0);
    pid[length > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    snprintf(message, 256, "%s is open in another process%s%s%s", path, *pid ? " (pid " : "", pid, *pid ? ")" : "");
    return KEND_STORE_UNAVAILABLE;
}

/* Specs may hold secrets, so the file is its owner's alone; SQLite gives its companions the same mode. */
static enum kend_store_result make_file(const char *path, char message[256])
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        close(file);
        return KEND_STORE_OK;
    }
    int cause = errno;
    snprintf(message, 256, "%s: %s", path, strerrordesc_np(cause));
    return cause == ENOSPC || cause == EDQUOT ? KEND_STORE_NO_SPACE : KEND_STORE_UNAVAILABLE;
}

static enum kend_store_result connect(struct kend_sql *sql, const char *path, const char *settings, char message[256])
{
    const char *why;
    if (kend_sql_open(sql, path, &why) != KEND_STORE_OK) {
        snprintf(message, 256, "%s: %s", path, why);
        return KEND_STORE_UNAVAILABLE;
    }
    if (sqlite3_exec(sql->db, settings, NULL, NULL, NULL) == SQLITE_OK) return KEND_STORE_OK;
    snprintf(message, 256, "%s: %s", path, sqlite3_errmsg(sql->db));
    return kend_sql_failed(sql, "opening the database");
}

static enum kend_store_result open_readers(struct kend_sqlite *sqlite, const char *path, char message[256])
{
    for (size_t i = 0; i < KEND_SQLITE_READERS; i++) {
        enum kend_store_result result = connect(&sqlite->reader[i], path, reader_settings, message);
        if (result != KEND_STORE_OK) return result;
        sqlite->idle[sqlite->idle_count++] = &sqlite->reader[i];
    }
    return KEND_STORE_OK;
}

enum kend_store_result kend_store_sqlite_open(struct kend_store **store, const char *path, char message[256])
{
    *store = NULL;
    struct kend_sqlite *sqlite = calloc(1, sizeof *sqlite);
    if (!sqlite) {
        snprintf(message, 256, "out of memory");
        return KEND_STORE_UNAVAILABLE;
    }
    sqlite->store.ops = &operations;
    sqlite->lock = -1;
    pthread_mutex_init(&sqlite->writing, NULL);
    pthread_mutex_init(&sqlite->borrowing, NULL);
    pthread_cond_init(&sqlite->returned, NULL);

    enum kend_store_result result = take_lock(sqlite, path, message);
    if (result == KEND_STORE_OK) result = make_file(path, message);
    if (result == KEND_STORE_OK) result = connect(&sqlite->writer, path, writer_settings, message);
    if (result == KEND_STORE_OK) result = kend_sqlite_migrate(&sqlite->writer, path, message);
    if (result == KEND_STORE_OK) result = open_readers(sqlite, path, message);
    if (result == KEND_STORE_OK && (result = kend_sqlite_sweep(sqlite)) != KEND_STORE_OK)
        snprintf(message, 256, "%s: removed jobs could not be swept: %s", path, kend_store_result_text(result));
    if (result == KEND_STORE_OK)
        *store = &sqlite->store;
    else
        close_store(&sqlite->store);
    return result;
}
