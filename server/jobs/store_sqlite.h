/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store in a SQLite file, in WAL mode: one writer at a time under a mutex, a few connections for readers, which see the last committed
 * state and never wait for the writer. What store_sqlite*.c share.
 */
#ifndef KEND_STORE_SQLITE_H
#define KEND_STORE_SQLITE_H

#include "jobs/record.h"
#include "jobs/sql.h"
#include "jobs/store.h"

#include <pthread.h>

enum { KEND_SQLITE_READERS = 4, KEND_SQLITE_SWEEP = 500 };

struct kend_sqlite {
    struct kend_store store; /* first: what others see */
    int lock;                /* descriptor whose flock keeps other processes out */
    pthread_mutex_t writing;
    struct kend_sql writer;
    pthread_mutex_t borrowing;
    pthread_cond_t returned;
    struct kend_sql reader[KEND_SQLITE_READERS];
    struct kend_sql *idle[KEND_SQLITE_READERS];
    size_t idle_count;
};

enum kend_store_result kend_store_sqlite_open(struct kend_store **store, const char *path, char message[256]);
enum kend_store_result kend_store_sqlite_examine(const char *path, char message[256]);
struct kend_sqlite *kend_sqlite_of(struct kend_store *store);

/* The version of the file's schema: 0 if it is empty. Refuses files of other programs and of newer versions of this one. */
enum kend_store_result kend_sqlite_find_version(struct kend_sql *sql, const char *path, int64_t *version, char message[256]);
/* Makes the schema or brings it up to this program's version. */
enum kend_store_result kend_sqlite_migrate(struct kend_sql *sql, const char *path, char message[256]);

/* Lets a database that cannot be shrunk bit by bit, as earlier versions made it, be so from now on. What stands in the way is logged. */
void kend_sqlite_make_shrinkable(struct kend_sql *sql, const char *path);
/* The first number that a query gives; a statement of its own, since it is asked once. */
enum kend_store_result kend_sqlite_number(struct kend_sql *sql, const char *text, int64_t *value);

/* One write transaction: committed if body says OK, else rolled back; what body has put out then counts for nothing. */
typedef enum kend_store_result kend_sqlite_body(struct kend_sqlite *sqlite, struct kend_sql *sql, void *opaque);
enum kend_store_result kend_sqlite_write(struct kend_sqlite *sqlite, kend_sqlite_body *body, void *opaque);
struct kend_sql *kend_sqlite_borrow(struct kend_sqlite *sqlite);
void kend_sqlite_return(struct kend_sqlite *sqlite, struct kend_sql *sql);
/* Deletes the events of removed jobs, a few in each transaction. */
enum kend_store_result kend_sqlite_sweep(struct kend_sqlite *sqlite);

/* ---- rows: store_sqlite_row.c */

/* The columns of a record, in the order that kend_sqlite_row reads them. */
#define KEND_SQLITE_JOB                                                                                                             \
    "job.id, job.owner, spec, status, stage, attempt, created_at, started_at, finished_at, cancel_requested_at, expires_at, "       \
    "bytes_fetched, bytes_total, rows_done, rows_total, seconds_checking, seconds_fetching, seconds_pruning, "                      \
    "seconds_publishing, error, error_stage, error_message, summary, sequence, deaths, holder, token, lease_until, marker, trace, " \
    "evicted_at"

/* Reads a row of those columns. On failure the record is empty. */
enum kend_store_result kend_sqlite_row(sqlite3_stmt *statement, struct kend_record *record);
/* The first row of a kept statement as a record; NONE if there is no row. */
enum kend_store_result kend_sqlite_one(struct kend_sql *sql, const char *text, const struct kend_sql_value *values,
                                       struct kend_record *record);
/* owner NULL: anybody's. */
enum kend_store_result kend_sqlite_load(struct kend_sql *sql, const char *id, const char *owner, struct kend_record *record);
/* Stores the record, with a "status" event if it announces one. */
enum kend_store_result kend_sqlite_save(struct kend_sql *sql, struct kend_record *record, int64_t now);
/* Hands the record's job to the caller (who may not want it) and lets go of the rest. */
void kend_sqlite_hand_out(struct kend_record *record, bool wanted, struct kend_job **job);
/* Appends an event and counts the record's sequence up; the record is to be saved after. */
enum kend_store_result kend_sqlite_append(struct kend_sql *sql, struct kend_record *record, int64_t now, const char *type,
                                          const char *data);

/* ---- the functions of the store, as documented in store.h */
enum kend_store_result kend_sqlite_get(struct kend_store *store, const char *id, const char *owner, struct kend_job **job);
enum kend_store_result kend_sqlite_list(struct kend_store *store, const struct kend_job_filter *filter, struct kend_job_list *list);
enum kend_store_result kend_sqlite_events(struct kend_store *store, const char *id, int64_t after, size_t limit,
                                          struct kend_event_list *list);
enum kend_store_result kend_sqlite_artifacts(struct kend_store *store, const char *id, struct kend_artifact_list *list);
enum kend_store_result kend_sqlite_counts(struct kend_store *store, struct kend_store_counts *counts);
enum kend_store_result kend_sqlite_shrink(struct kend_store *store);
enum kend_store_result kend_sqlite_expired(struct kend_store *store, int64_t now, size_t limit, struct kend_job_list *list);
enum kend_store_result kend_sqlite_evictable(struct kend_store *store, int64_t ended_before, uint64_t *bytes);
enum kend_store_result kend_sqlite_evict(struct kend_store *store, const char *owner, int64_t ended_before, int64_t now,
                                         struct kend_job **job);
enum kend_store_result kend_sqlite_check(struct kend_store *store);
enum kend_store_result kend_sqlite_create(struct kend_store *store, const struct kend_new_job *new_job, struct kend_job **job);
enum kend_store_result kend_sqlite_cancel(struct kend_store *store, const char *id, const char *owner, int64_t now, struct kend_job **job);
enum kend_store_result kend_sqlite_remove(struct kend_store *store, const char *id, const char *owner);
enum kend_store_result kend_sqlite_claim(struct kend_store *store, const char *holder, int64_t now, int64_t lease_ms, struct kend_job **job,
                                         char token[KEND_TOKEN_SIZE]);
enum kend_store_result kend_sqlite_renew(struct kend_store *store, const char *id, const char *token, int64_t now, int64_t lease_ms,
                                         bool *cancel_requested);
enum kend_store_result kend_sqlite_progress(struct kend_store *store, const char *id, const char *token, int64_t now,
                                            const struct kend_run_state *state);
enum kend_store_result kend_sqlite_log(struct kend_store *store, const char *id, const char *token, int64_t now, const char *data);
enum kend_store_result kend_sqlite_finish(struct kend_store *store, const char *id, const char *token, const struct kend_outcome *outcome);
enum kend_store_result kend_sqlite_hand_back(struct kend_store *store, const char *id, const char *token, int64_t now,
                                             const double *timings);
enum kend_store_result kend_sqlite_abandon(struct kend_store *store, const char *holder, int64_t now);

#endif
