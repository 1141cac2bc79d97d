/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a database that is there could be opened, without a change to it. */
#include "clock.h"
#include "jobs/store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXAMINE_MS = 10000, EXAMINE_STEPS = 100000 };

static bool has_companion(const char *path, const char *suffix)
{
    char *name = NULL;
    const bool there = asprintf(&name, "%s%s", path, suffix) >= 0 && access(name, F_OK) == 0;
    free(name);
    return there;
}

/*
 * The path as SQLite's URI. A database whose log is not there, as after an orderly end, is said not to change: SQLite would make one even
 * to read it. NULL if out of memory.
 */
static char *uri_of(const char *path)
{
    const bool still = !has_companion(path, "-wal") && !has_companion(path, "-shm");
    char *uri = NULL;
    size_t size;
    FILE *out = open_memstream(&uri, &size);
    if (!out) return NULL;
    fputs("file:", out);
    for (; *path; path++) fprintf(out, strchr("?#%", *path) ? "%%%02X" : "%c", (unsigned char)*path);
    if (still) fputs("?immutable=1", out);
    if (fclose(out) == 0) return uri;
    free(uri);
    return NULL;
}

static int is_late(void *opaque)
{
    const int64_t *end = opaque;
    return kend_monotonic_ms() > *end;
}

/* The first row of the check: "ok", or what is wrong. */
static int take_row(void *opaque, int count, char **values, char **names)
{
    char *message = opaque;
    (void)count, (void)names;
    if (values[0] && strcmp(values[0], "ok") != 0) snprintf(message, 128, "%s", values[0]);
    return 0;
}

/* Pages and rows, as far as there is time. */
static enum kend_store_result examine_pages(struct kend_sql *sql, const char *path, char message[256])
{
    int64_t end = kend_monotonic_ms() + EXAMINE_MS;
    char fault[128] = "";
    sqlite3_progress_handler(sql->db, EXAMINE_STEPS, is_late, &end);
    const int code = sqlite3_exec(sql->db, "PRAGMA quick_check(1)", take_row, fault, NULL);
    if (*fault)
        snprintf(message, 256, "%s: damaged: %s", path, fault);
    else if (code != SQLITE_OK && (code & 0xff) != SQLITE_INTERRUPT)
        snprintf(message, 256, "%s: %s", path, sqlite3_errmsg(sql->db));
    else
        return KEND_STORE_OK;
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_store_sqlite_examine(const char *path, char message[256])
{
    struct stat status;
    struct kend_sql sql = {0};
    int64_t version;
    if (stat(path, &status) != 0 && errno == ENOENT) return KEND_STORE_OK; /* it will be made */
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        snprintf(message, 256, "%s: %s", path, S_ISDIR(status.st_mode) ? strerrordesc_np(EISDIR) : "not a file that can be opened");
        return KEND_STORE_UNAVAILABLE;
    }
    char *uri = uri_of(path);
    const int code =
        uri ? sqlite3_open_v2(uri, &sql.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL)
            : SQLITE_NOMEM;
    enum kend_store_result result = code == SQLITE_OK ? KEND_STORE_OK : KEND_STORE_UNAVAILABLE;
    if (result != KEND_STORE_OK) snprintf(message, 256, "%s: %s", path, sqlite3_errstr(code));
    if (result == KEND_STORE_OK) result = kend_sqlite_find_version(&sql, path, &version, message);
    if (result == KEND_STORE_OK) result = examine_pages(&sql, path, message);
    kend_sql_close(&sql);
    free(uri);
    return result;
}
