/* SPDX-License-Identifier: Apache-2.0 */
/* What the holder of a lease writes. */
#include "jobs/store_sqlite.h"

#include "error.h"

#include <string.h>

struct claim {
    const char *holder;
    int64_t now, lease_ms;
    struct kend_record record;
    bool exhausted;
};

/*
 * The next job into claim->record, NONE if there is none; `fresh` tells that it takes its owner's turn. The indexes are named because
 * SQLite would take that of the status and sort the whole queue.
 */
static enum kend_store_result find_next(struct kend_sql *sql, struct claim *claim, int64_t most_of_owner, bool *fresh)
{
    enum kend_store_result result =
        kend_sqlite_one(sql,
                        "SELECT " KEND_SQLITE_JOB " FROM job INDEXED BY job_running WHERE status = 'running'"
                        " AND (holder IS NULL OR (holder <> ?1 AND lease_until <= ?2)) ORDER BY created_at, id LIMIT 1",
                        SQL_VALUES(SQL_TEXT(claim->holder), SQL_INTEGER(claim->now)), &claim->record);
    if (result == KEND_STORE_NONE)
        result = kend_sqlite_one(sql,
                                 "SELECT " KEND_SQLITE_JOB " FROM job INDEXED BY job_begun JOIN owner_load ON owner_load.name = owner"
                                 " WHERE status = 'queued' AND attempt > 0 AND (?1 = 0 OR running < ?1)"
                                 " ORDER BY created_at, id LIMIT 1",
                                 SQL_VALUES(SQL_INTEGER(most_of_owner)), &claim->record);
    *fresh = result == KEND_STORE_NONE;
    if (*fresh)
        result = kend_sqlite_one(
            sql,
            "SELECT " KEND_SQLITE_JOB " FROM job INDEXED BY job_queue WHERE status = 'queued' AND owner ="
            " (SELECT name FROM owner_load INDEXED BY owner_waiting WHERE queued > 0 AND (?1 = 0 OR running < ?1) ORDER BY turn LIMIT 1)"
            " ORDER BY created_at, id LIMIT 1",
            SQL_VALUES(SQL_INTEGER(most_of_owner)), &claim->record);
    return result;
}

/*
 * OK if the holder runs a job in doubt that has died so often, at least; NONE if not. What is in doubt is read from the few jobs that run.
 */
static enum kend_store_result find_doubtful(struct kend_sql *sql, const struct claim *claim, int64_t deaths)
{
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(
        sql,
        "SELECT 1 FROM job INDEXED BY job_running WHERE status = 'running' AND holder = ?1 AND deaths >= ?2 AND (deaths > 0 OR marker = 0)"
        " AND (SELECT time FROM event WHERE event.id = job.id AND event.sequence = job.sequence) > ?3 LIMIT 1",
        SQL_VALUES(SQL_TEXT(claim->holder), SQL_INTEGER(deaths), SQL_INTEGER(claim->now - claim->lease_ms)), &statement);
    if (result == KEND_STORE_OK) result = kend_sql_next(sql, statement);
    if (result == KEND_STORE_OK) kend_sql_end(statement);
    return result;
}

/* NONE if the job that is next has to wait, itself or for another one, so that no job's last death comes from a neighbour. */
static enum kend_store_result check_neighbours(struct kend_sql *sql, const struct claim *claim)
{
    const int64_t deaths = kend_record_deaths(&claim->record);
    if (deaths >= KEND_MAX_DEATHS) return KEND_STORE_OK; /* it will not run */
    const enum kend_store_result doubtful = find_doubtful(sql, claim, deaths >= KEND_SUSPECT_DEATHS ? 0 : KEND_SUSPECT_DEATHS);
    if (doubtful == KEND_STORE_NONE) return KEND_STORE_OK;
    return doubtful == KEND_STORE_OK ? KEND_STORE_NONE : doubtful;
}

static enum kend_store_result take_turn(struct kend_sql *sql, const char *owner)
{
    return kend_sql_run(sql, "UPDATE owner_load SET turn = (SELECT max(turn) + 1 FROM owner_load) WHERE name = ?1",
                        SQL_VALUES(SQL_TEXT(owner)));
}

static enum kend_store_result take(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    struct claim *claim = opaque;
    bool fresh;
    enum kend_store_result result = find_next(sql, claim, sqlite->store.max_running_per_owner, &fresh);
    if (result == KEND_STORE_OK) result = check_neighbours(sql, claim);
    if (result == KEND_STORE_OK && fresh) result = take_turn(sql, claim->record.job->owner);
    if (result != KEND_STORE_OK) return result;
    result = kend_record_claim(&claim->record, claim->holder, claim->now, claim->lease_ms, sqlite->store.keep_ms);
    claim->exhausted = result == KEND_STORE_EXHAUSTED;
    if (result != KEND_STORE_OK && !claim->exhausted) return result;
    return kend_sqlite_save(sql, &claim->record, claim->now);
}

enum kend_store_result kend_sqlite_claim(struct kend_store *store, const char *holder, int64_t now, int64_t lease_ms, struct kend_job **job,
                                         char token[KEND_TOKEN_SIZE])
{
    struct claim claim = {.holder = holder, .now = now, .lease_ms = lease_ms};
    enum kend_store_result result = kend_sqlite_write(kend_sqlite_of(store), take, &claim);
    *job = NULL;
    token[0] = '\0';
    if (result == KEND_STORE_OK) {
        memcpy(token, claim.record.token, KEND_TOKEN_SIZE);
        *job = claim.record.job;
        claim.record.job = NULL;
        if (claim.exhausted) result = KEND_STORE_EXHAUSTED;
    }
    kend_record_clear(&claim.record);
    return result;
}

/* A write under a lease: loads, checks the token, lets `apply` change the record, saves. */
struct held {
    const char *id, *token;
    int64_t now;
    enum kend_store_result (*apply)(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record);
    /* what `apply` needs */
    int64_t lease_ms;
    bool cancel_requested;
    const char *data;
    const double *timings;
    const struct kend_run_state *state;
    const struct kend_outcome *outcome;
};

static enum kend_store_result apply_held(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque)
{
    struct held *held = opaque;
    struct kend_record record;
    enum kend_store_result result = kend_sqlite_load(sql, held->id, NULL, &record);
    if (result != KEND_STORE_OK) return result;
    result = kend_record_held(&record, held->token) ? held->apply(sqlite, sql, held, &record) : KEND_STORE_LOST;
    if (result == KEND_STORE_OK) result = kend_sqlite_save(sql, &record, held->now);
    kend_record_clear(&record);
    return result;
}

static enum kend_store_result renew(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record)
{
    (void)sqlite, (void)sql;
    record->lease_until = held->now + held->lease_ms;
    held->cancel_requested = record->job->cancel_requested_at != 0;
    return KEND_STORE_OK;
}

enum kend_store_result kend_sqlite_renew(struct kend_store *store, const char *id, const char *token, int64_t now, int64_t lease_ms,
                                         bool *cancel_requested)
{
    struct held held = {.id = id, .token = token, .now = now, .apply = renew, .lease_ms = lease_ms};
    enum kend_store_result result = kend_sqlite_write(kend_sqlite_of(store), apply_held, &held);
    *cancel_requested = result == KEND_STORE_OK && held.cancel_requested;
    return result;
}

static enum kend_store_result progress(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record)
{
    (void)sqlite, (void)sql;
    kend_record_progress(record, held->state);
    return KEND_STORE_OK;
}

enum kend_store_result kend_sqlite_progress(struct kend_store *store, const char *id, const char *token, int64_t now,
                                            const struct kend_run_state *state)
{
    struct held held = {.id = id, .token = token, .now = now, .apply = progress, .state = state};
    return kend_sqlite_write(kend_sqlite_of(store), apply_held, &held);
}

static enum kend_store_result append_log(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record)
{
    (void)sqlite;
    return kend_sqlite_append(sql, record, held->now, "log", held->data);
}

enum kend_store_result kend_sqlite_log(struct kend_store *store, const char *id, const char *token, int64_t now, const char *data)
{
    struct held held = {.id = id, .token = token, .now = now, .apply = append_log, .data = data};
    return kend_sqlite_write(kend_sqlite_of(store), apply_held, &held);
}

static enum kend_store_result finish(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record)
{
    const struct kend_outcome *outcome = held->outcome;
    const struct kend_artifact_list *list = outcome->event == PROTO_SUCCEED ? outcome->artifacts : NULL;
    enum kend_store_result result = kend_record_finish(record, outcome, sqlite->store.keep_ms);
    for (size_t i = 0; result == KEND_STORE_OK && list && i < list->count; i++)
        result = kend_sql_run(sql, "INSERT INTO artifact (id, place, name, variant, size, sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                              SQL_VALUES(SQL_TEXT(held->id), SQL_INTEGER((int64_t)i), SQL_TEXT(list->item[i].name),
                                         SQL_TEXT(list->item[i].variant), SQL_INTEGER((int64_t)list->item[i].size),
                                         SQL_BLOB(list->item[i].sha256, sizeof list->item[i].sha256)));
    return result;
}

enum kend_store_result kend_sqlite_finish(struct kend_store *store, const char *id, const char *token, const struct kend_outcome *outcome)
{
    KEN_ASSERT(outcome->event == PROTO_SUCCEED || outcome->event == PROTO_FAIL || outcome->event == PROTO_STOP);
    struct held held = {.id = id, .token = token, .now = outcome->now, .apply = finish, .outcome = outcome};
    return kend_sqlite_write(kend_sqlite_of(store), apply_held, &held);
}

static enum kend_store_result hand_back(struct kend_sqlite *sqlite, struct kend_sql *sql, struct held *held, struct kend_record *record)
{
    (void)sql;
    kend_record_hand_back(record, held->now, held->timings, sqlite->store.keep_ms);
    return KEND_STORE_OK;
}

enum kend_store_result kend_sqlite_hand_back(struct kend_store *store, const char *id, const char *token, int64_t now,
                                             const double *timings)
{
    struct held held = {.id = id, .token = token, .now = now, .apply = hand_back, .timings = timings};
    return kend_sqlite_write(kend_sqlite_of(store), apply_held, &held);
}

static enum kend_store_result abandon(struct kend_sqlite *sqlite, struct kend_sql *sql, void *holder)
{
    (void)sqlite;
    return kend_sql_run(sql, "UPDATE job SET holder = NULL, token = '', lease_until = 0 WHERE status = 'running' AND holder = ?1",
                        SQL_VALUES(SQL_TEXT(holder)));
}

enum kend_store_result kend_sqlite_abandon(struct kend_store *store, const char *holder, int64_t now)
{
    (void)now; /* an abandoned lease has no holder: that is what claim looks for, at any time */
    return kend_sqlite_write(kend_sqlite_of(store), abandon, (void *)(uintptr_t)holder);
}
