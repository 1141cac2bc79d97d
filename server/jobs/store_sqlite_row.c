/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
    ID,
    OWNER,
    SPEC,
    STATUS,
    STAGE,
    ATTEMPT,
    CREATED_AT,
    STARTED_AT,
    FINISHED_AT,
    CANCEL_REQUESTED_AT,
    EXPIRES_AT,
    BYTES_FETCHED,
    BYTES_TOTAL,
    ROWS_DONE,
    ROWS_TOTAL,
    SECONDS, /* PROTO_CHECKING .. PROTO_PUBLISHING */
    JOB_ERROR = SECONDS + PROTO_STAGE_COUNT - PROTO_CHECKING,
    ERROR_STAGE,
    ERROR_MESSAGE,
    SUMMARY,
    SEQUENCE,
    DEATHS,
    HOLDER,
    TOKEN,
    LEASE_UNTIL,
    MARKER,
    TRACE,
    EVICTED_AT,
};

/* SQLite's integers are signed; the sizes and counts of a checkpoint never come near. */
static int64_t signed_of(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static const char *plain_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text ? text : "";
}

/* A short text into buffer [size]; false if out of memory. */
static bool copy_text(sqlite3_stmt *statement, int column, char *buffer, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text) snprintf(buffer, size, "%s", text);
    return text != NULL;
}

static bool parse_error(const char *code, enum proto_job_error *error)
{
    for (unsigned i = 0; i < PROTO_JOB_ERROR_COUNT; i++) {
        if (strcmp(proto_job_error_code((enum proto_job_error)i), code) != 0) continue;
        *error = (enum proto_job_error)i;
        return true;
    }
    return false;
}

static void read_numbers(sqlite3_stmt *statement, struct kend_job *job)
{
    job->attempt = sqlite3_column_int64(statement, ATTEMPT);
    job->created_at = sqlite3_column_int64(statement, CREATED_AT);
    job->started_at = sqlite3_column_int64(statement, STARTED_AT);
    job->finished_at = sqlite3_column_int64(statement, FINISHED_AT);
    job->cancel_requested_at = sqlite3_column_int64(statement, CANCEL_REQUESTED_AT);
    job->expires_at = sqlite3_column_int64(statement, EXPIRES_AT);
    job->evicted_at = sqlite3_column_int64(statement, EVICTED_AT);
    job->progress.bytes_fetched = (uint64_t)sqlite3_column_int64(statement, BYTES_FETCHED);
    job->progress.bytes_total = (uint64_t)sqlite3_column_int64(statement, BYTES_TOTAL);
    job->progress.rows_done = (uint64_t)sqlite3_column_int64(statement, ROWS_DONE);
    job->progress.rows_total = (uint64_t)sqlite3_column_int64(statement, ROWS_TOTAL);
    for (int i = PROTO_CHECKING; i < PROTO_STAGE_COUNT; i++)
        job->timings[i] = sqlite3_column_double(statement, SECONDS + i - PROTO_CHECKING);
    job->sequence = sqlite3_column_int64(statement, SEQUENCE);
    job->deaths = sqlite3_column_int64(statement, DEATHS);
}

/* False if out of memory, or if a word is none that this program knows. */
static bool read_words(sqlite3_stmt *statement, struct kend_record *record)
{
    struct kend_job *job = record->job;
    job->has_error = sqlite3_column_type(statement, JOB_ERROR) != SQLITE_NULL;
    return copy_text(statement, ID, job->id, sizeof job->id) && copy_text(statement, TOKEN, record->token, sizeof record->token) &&
           proto_status_parse(plain_text(statement, STATUS), &job->status) &&
           proto_stage_parse(plain_text(statement, STAGE), &job->stage) &&
           proto_stage_parse(plain_text(statement, ERROR_STAGE), &job->error_stage) &&
           (!job->has_error || parse_error(plain_text(statement, JOB_ERROR), &job->error)) &&
           kend_sql_text(statement, OWNER, &job->owner) && kend_sql_text(statement, SPEC, &job->spec) &&
           kend_sql_text(statement, ERROR_MESSAGE, &job->error_message) && kend_sql_text(statement, SUMMARY, &job->summary) &&
           kend_sql_text(statement, TRACE, &job->trace) && kend_sql_text(statement, HOLDER, &record->holder);
}

enum kend_store_result kend_sqlite_row(sqlite3_stmt *statement, struct kend_record *record)
{
    *record = (struct kend_record){.job = calloc(1, sizeof *record->job)};
    if (!record->job) return KEND_STORE_UNAVAILABLE;
    if (!read_words(statement, record)) {
        kend_record_clear(record);
        return KEND_STORE_UNAVAILABLE;
    }
    read_numbers(statement, record->job);
    record->lease_until = sqlite3_column_int64(statement, LEASE_UNTIL);
    record->marker = (uint64_t)sqlite3_column_int64(statement, MARKER);
    return KEND_STORE_OK;
}

enum kend_store_result kend_sqlite_one(struct kend_sql *sql, const char *text, const struct kend_sql_value *values,
                                       struct kend_record *record)
{
    *record = (struct kend_record){0};
    sqlite3_stmt *statement;
    enum kend_store_result result = kend_sql_start(sql, text, values, &statement);
    if (result != KEND_STORE_OK) return result;
    result = kend_sql_next(sql, statement);
    if (result != KEND_STORE_OK) return result;
    result = kend_sqlite_row(statement, record);
    kend_sql_end(statement);
    return result;
}

enum kend_store_result kend_sqlite_load(struct kend_sql *sql, const char *id, const char *owner, struct kend_record *record)
{
    return kend_sqlite_one(sql, "SELECT " KEND_SQLITE_JOB " FROM job WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)",
                           SQL_VALUES(SQL_TEXT(id), SQL_TEXT(owner)), record);
}

enum kend_store_result kend_sqlite_append(struct kend_sql *sql, struct kend_record *record, int64_t now, const char *type, const char *data)
{
    return kend_sql_run(
        sql,
        "INSERT INTO event (id, sequence, time, type, data)"
        " VALUES (?1, ?2, max(?3, coalesce((SELECT time FROM event WHERE id = ?1 AND sequence = ?2 - 1), 0)), ?4, ?5)",
        SQL_VALUES(SQL_TEXT(record->job->id), SQL_INTEGER(++record->job->sequence), SQL_INTEGER(now), SQL_TEXT(type), SQL_TEXT(data)));
}

void kend_sqlite_hand_out(struct kend_record *record, bool wanted, struct kend_job **job)
{
    if (job) {
        *job = wanted ? record->job : NULL;
        if (wanted) record->job = NULL;
    }
    kend_record_clear(record);
}

static enum kend_store_result announce(struct kend_sql *sql, struct kend_record *record, int64_t now)
{
    char *data = kend_record_status_event(record);
    if (!data) return KEND_STORE_UNAVAILABLE;
    enum kend_store_result result = kend_sqlite_append(sql, record, now, "status", data);
    free(data);
    record->announce = false;
    return result;
}

static enum kend_store_result update(struct kend_sql *sql, const struct kend_record *record)
{
    const struct kend_job *job = record->job;
    return kend_sql_run(
        sql,
        "UPDATE job SET status = ?2, stage = ?3, attempt = ?4, started_at = ?5, finished_at = ?6, cancel_requested_at = ?7,"
        " expires_at = ?8, bytes_fetched = ?9, bytes_total = ?10, rows_done = ?11, rows_total = ?12, seconds_checking = ?13,"
        " seconds_fetching = ?14, seconds_pruning = ?15, seconds_publishing = ?16, error = ?17, error_stage = ?18, error_message = ?19,"
        " summary = ?20, sequence = ?21, deaths = ?22, holder = ?23, token = ?24, lease_until = ?25, marker = ?26,"
        " evicted_at = ?27 WHERE id = ?1",
        SQL_VALUES(SQL_TEXT(job->id), SQL_TEXT(proto_status_name(job->status)), SQL_TEXT(proto_stage_name(job->stage)),
                   SQL_INTEGER(job->attempt), SQL_INTEGER(job->started_at), SQL_INTEGER(job->finished_at),
                   SQL_INTEGER(job->cancel_requested_at), SQL_INTEGER(job->expires_at), SQL_INTEGER(signed_of(job->progress.bytes_fetched)),
                   SQL_INTEGER(signed_of(job->progress.bytes_total)), SQL_INTEGER(signed_of(job->progress.rows_done)),
                   SQL_INTEGER(signed_of(job->progress.rows_total)), SQL_REAL(job->timings[PROTO_CHECKING]),
                   SQL_REAL(job->timings[PROTO_FETCHING]), SQL_REAL(job->timings[PROTO_PRUNING]), SQL_REAL(job->timings[PROTO_PUBLISHING]),
                   SQL_TEXT(job->has_error ? proto_job_error_code(job->error) : NULL), SQL_TEXT(proto_stage_name(job->error_stage)),
                   SQL_TEXT(job->error_message), SQL_TEXT(job->summary), SQL_INTEGER(job->sequence), SQL_INTEGER(job->deaths),
                   SQL_TEXT(record->holder), SQL_TEXT(record->token), SQL_INTEGER(record->lease_until),
                   SQL_INTEGER(signed_of(record->marker)), SQL_INTEGER(job->evicted_at)));
}

enum kend_store_result kend_sqlite_save(struct kend_sql *sql, struct kend_record *record, int64_t now)
{
    enum kend_store_result result = record->announce ? announce(sql, record, now) : KEND_STORE_OK;
    return result == KEND_STORE_OK ? update(sql, record) : result;
}
