/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where jobs live: a const table of functions, implemented by SQLite (PostgreSQL and a back end that fails on purpose share the
 * header and the conformance suite). Every call is thread-safe, blocks for a short time only, and has committed when it returns
 * KEND_STORE_OK.
 */
#ifndef KEND_STORE_H
#define KEND_STORE_H

#include "id.h"
#include "lifecycle.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEND_STORE_RESULT_MAP(X)                                                                           \
    X(KEND_STORE_OK, "ok")                                                                                 \
    X(KEND_STORE_NONE, "no such job")      /* or nothing to claim */                                       \
    X(KEND_STORE_EXISTS, "exists already") /* same idempotency key, same body: the job is returned */      \
    X(KEND_STORE_KEY_MISMATCH, "idempotency key used with another body")                                   \
    X(KEND_STORE_QUEUE_FULL, "queue full")                                                                 \
    X(KEND_STORE_OWNER_QUEUE_FULL, "the owner's queue is full")                                            \
    X(KEND_STORE_OWNER_BYTES_FULL, "the owner's documents take too much")                                  \
    X(KEND_STORE_ACTIVE, "job active")                                                                     \
    X(KEND_STORE_FINISHED, "job finished")                                                                 \
    X(KEND_STORE_LOST, "lease lost")              /* the token is not the job's any more */                \
    X(KEND_STORE_EXHAUSTED, "job died too often") /* of claim: the job is returned, failed by this call */ \
    X(KEND_STORE_NO_SPACE, "no space left")                                                                \
    X(KEND_STORE_UNAVAILABLE, "store unavailable")

#define X(symbol, text) symbol,
enum kend_store_result { KEND_STORE_RESULT_MAP(X) KEND_STORE_RESULT_COUNT };
#undef X
/* Never NULL. */
const char *kend_store_result_text(enum kend_store_result result);

/* A job that has died so often that its next death would be its last is a suspect: claim tells what that means. */
enum { KEND_TOKEN_SIZE = 33, KEND_MAX_DEATHS = 3, KEND_SUSPECT_DEATHS = KEND_MAX_DEATHS - 1 };

struct kend_progress {
    uint64_t bytes_fetched, bytes_total, rows_done, rows_total;
};

/* A job as stored. Strings are owned by it; NULL where not set. Times: ms since 1970, 0 where not set. */
struct kend_job {
    char id[PROTO_ID_SIZE];
    char *owner; /* "" for anonymous */
    char *spec;  /* canonical document, JSON text, URLs as given (secret!) */
    enum proto_status status;
    enum proto_stage stage;
    int64_t attempt; /* claims so far */
    int64_t created_at, started_at, finished_at, cancel_requested_at, expires_at;
    int64_t evicted_at; /* its artifacts were given up to make room */
    struct kend_progress progress;
    double timings[PROTO_STAGE_COUNT]; /* seconds in each stage, over all attempts */
    bool has_error;
    enum proto_job_error error;
    enum proto_stage error_stage;
    char *error_message;
    char *summary;    /* JSON text */
    char *trace;      /* id of the trace in which it was submitted, for the log */
    int64_t sequence; /* of its last durable event */
    int64_t deaths;   /* leases lost in a row without durable progress */
};
void kend_job_free(struct kend_job **job);

struct kend_job_artifact {
    char *name, *variant; /* variant "" without variants */
    uint64_t size;
    unsigned char sha256[32];
};
struct kend_artifact_list {
    struct kend_job_artifact *item;
    size_t count;
};
void kend_artifact_list_clear(struct kend_artifact_list *list);

struct kend_job_list {
    struct kend_job **item; /* owned */
    size_t count;
    bool has_more;
};
void kend_job_list_clear(struct kend_job_list *list);

/* A durable event; the times of a job's never go back, whatever the clock and those who write at once do. type "status": data is
 * {"status","stage","attempt",...}; "log": {"level","message",...}. */
struct kend_event {
    int64_t sequence, time;
    char *type, *data; /* data: JSON text */
};
struct kend_event_list {
    struct kend_event *item;
    size_t count;
    bool has_more;
};
void kend_event_list_clear(struct kend_event_list *list);

struct kend_pair {
    const char *key, *value;
};

struct kend_new_job {
    const char *id;
    const char *owner;
    const char *spec;                 /* canonical */
    const char *name;                 /* or NULL */
    const char *idempotency_key;      /* or NULL; unique per owner */
    unsigned char body_sha256[32];    /* of the canonical document: same key, other digest is a mismatch */
    const char *trace;                /* or NULL */
    const struct kend_pair *metadata; /* [metadata_count], for filtering */
    size_t metadata_count;
    int64_t now;
    int64_t max_queued, max_queued_per_owner; /* 0: no limit */
    int64_t max_bytes_per_owner;              /* of documents, of ended jobs too; 0: no limit */
};

struct kend_job_filter {
    const char *owner; /* NULL: everybody's */
    bool has_status;
    enum proto_status status;
    const char *after;                /* id: only older jobs; or NULL */
    const struct kend_pair *metadata; /* all must match */
    size_t metadata_count;
    size_t limit;
};

/* What a runner tells of its job while it runs. */
struct kend_run_state {
    enum proto_stage stage;
    struct kend_progress progress;
    uint64_t marker; /* grows with every piece of durable work */
    double timings[PROTO_STAGE_COUNT];
};

struct kend_outcome {
    enum proto_event event;     /* PROTO_SUCCEED, PROTO_FAIL or PROTO_STOP */
    enum proto_job_error error; /* PROTO_FAIL */
    enum proto_stage error_stage;
    const char *error_message;
    const char *summary;                        /* JSON text, PROTO_SUCCEED */
    const struct kend_artifact_list *artifacts; /* PROTO_SUCCEED */
    const double *timings;                      /* [PROTO_STAGE_COUNT] so far, over all attempts; or NULL: as stored */
    int64_t now;
};

struct kend_store_counts {
    uint64_t by_status[PROTO_STATUS_COUNT];
    int64_t oldest_queued_at; /* 0: none */
    uint64_t artifact_bytes;  /* of all jobs */
    uint64_t owners_queued;   /* owners with queued jobs */
    uint64_t store_bytes;     /* of disk that the store itself takes, without what it has just written */
    uint64_t store_free;      /* of these, what removed jobs have left */
};

struct kend_store;
struct kend_store_ops {
    void (*close)(struct kend_store *store);
    /* OK when a trivial write transaction can be made. */
    enum kend_store_result (*check)(struct kend_store *store);
    /*
     * *job (may be NULL) is set on OK and EXISTS. Writes a "status" event with the row. QUEUE_FULL, OWNER_QUEUE_FULL and
     * OWNER_BYTES_FULL are decided in the same transaction: the limits hold, however many ask at once.
     */
    enum kend_store_result (*create)(struct kend_store *store, const struct kend_new_job *new_job, struct kend_job **job);
    /* owner NULL: anybody's. */
    enum kend_store_result (*get)(struct kend_store *store, const char *id, const char *owner, struct kend_job **job);
    enum kend_store_result (*list)(struct kend_store *store, const struct kend_job_filter *filter, struct kend_job_list *list);
    /* Those with a sequence above `after`, oldest first. */
    enum kend_store_result (*events)(struct kend_store *store, const char *id, int64_t after, size_t limit, struct kend_event_list *list);
    enum kend_store_result (*artifacts)(struct kend_store *store, const char *id, struct kend_artifact_list *list);
    enum kend_store_result (*counts)(struct kend_store *store, struct kend_store_counts *counts);
    /* Queued: cancelled at once (`now`, with an event). Running: cancel_requested_at is set, once. FINISHED otherwise. *job on OK. */
    enum kend_store_result (*cancel)(struct kend_store *store, const char *id, const char *owner, int64_t now, struct kend_job **job);
    /* The row and all that hangs on it; ACTIVE if not terminal. Out of sight at once, many events are then deleted in small transactions.
     */
    enum kend_store_result (*remove)(struct kend_store *store, const char *id, const char *owner);
    /*
     * Gives a little of what removed jobs have left to the disk, in one short transaction: OK if there may be more, NONE where it is not
     * worth it.
     */
    enum kend_store_result (*shrink)(struct kend_store *store);
    /* Up to `limit` terminal jobs with expires_at <= now, the longest expired first. */
    enum kend_store_result (*expired)(struct kend_store *store, int64_t now, size_t limit, struct kend_job_list *list);
    /* Bytes of the artifacts of all jobs that `evict` would take. */
    enum kend_store_result (*evictable)(struct kend_store *store, int64_t ended_before, uint64_t *bytes);
    /*
     * Gives up the artifacts of the succeeded job that ended longest ago, before `ended_before`, one of `owner` before those of others
     * (NULL: anybody's): its list is empty from now on, evicted_at is `now`, a "log" event tells it. The files are the caller's to remove,
     * after this. *job on OK; NONE if there is none.
     */
    enum kend_store_result (*evict)(struct kend_store *store, const char *owner, int64_t ended_before, int64_t now, struct kend_job **job);

    /* ---- by the holder of a lease; token guards every write: LOST if it is not the job's, or the lease has been taken over */

    /*
     * Takes the next job for `holder` until now + lease_ms; its stage becomes `checking`. First what has begun: a job running with a lease
     * that has ended, then one handed back, the oldest (created_at, then id) each time. Then the oldest of the owner that was served
     * longest ago (a new one counts as served when it came), so that an owner waits for one job of each other owner at most. An owner with
     * max_running_per_owner running jobs, counted by status, is passed over; that is decided in the same transaction, so the limit holds
     * however many claim at once. (Where processes claim at once, a back end may pass over an owner that another one is serving; it may not
     * exceed the limit.) A lease has ended when it was abandoned, or when it has run out
     * and belongs to another holder: a holder's own jobs are never taken from it, so that a step of the clock cannot start a job twice in
     * one process. (Between holders a step forward takes a job over early; the token makes the first runner's writes LOST.) Whoever cannot
     * write the end of its job must go on trying or hand it back. An ended lease is a death: deaths + 1; at KEND_MAX_DEATHS the job becomes
     * failed (attempts_exhausted, with an event) and EXHAUSTED is returned with it, token "": ask again. A running job whose cancel was
     * requested is taken too: its new runner stops it. NONE if there is nothing. *job is set on OK and EXHAUSTED.
     *
     * A death is charged to every job that its process ran, so nobody's last one may come from a neighbour: a suspect, when it is its turn,
     * is taken only if nothing of `holder` is in doubt, and while a suspect is in doubt, `holder` takes nothing else; NONE until then. What
     * runs is in doubt until it has made durable progress since its last death or, lest others wait for what stands still, until its last
     * event is lease_ms old. That is decided in the same transaction; a back end where transactions run at once lets a holder claim one at
     * a time.
     */
    enum kend_store_result (*claim)(struct kend_store *store, const char *holder, int64_t now, int64_t lease_ms, struct kend_job **job,
                                    char token[KEND_TOKEN_SIZE]);
    /* Extends the lease; *cancel_requested tells whether a cancel is wanted. */
    enum kend_store_result (*renew)(struct kend_store *store, const char *id, const char *token, int64_t now, int64_t lease_ms,
                                    bool *cancel_requested);
    /*
     * Stage (with a "status" event if it changes), progress, and timings [PROTO_STAGE_COUNT] so far over all attempts. A marker higher than
     * the stored one is durable progress: deaths become 0.
     */
    enum kend_store_result (*progress)(struct kend_store *store, const char *id, const char *token, int64_t now,
                                       const struct kend_run_state *state);
    /* Appends a "log" event; data is a JSON object's text. */
    enum kend_store_result (*log)(struct kend_store *store, const char *id, const char *token, int64_t now, const char *data);
    enum kend_store_result (*finish)(struct kend_store *store, const char *id, const char *token, const struct kend_outcome *outcome);
    /* Back to the queue, in its old place; counts no death. A job whose cancel was requested is cancelled instead. timings
     * [PROTO_STAGE_COUNT] so far, over all attempts; or NULL: as stored. */
    enum kend_store_result (*hand_back)(struct kend_store *store, const char *id, const char *token, int64_t now, const double *timings);
    /* At start: every lease of this holder ends now (the process that had them is gone). */
    enum kend_store_result (*abandon)(struct kend_store *store, const char *holder, int64_t now);
};

struct kend_store {
    const struct kend_store_ops *ops;
    /* Set by whoever opened the store, before anything ends or is claimed. */
    int64_t keep_ms;               /* expires_at of a job is its end plus this; 0: never */
    int64_t max_running_per_owner; /* 0: no limit */
};

/*
 * Opens a store by URL ("sqlite:PATH"), makes or migrates its schema. On failure *store is NULL and message [256] says why: the file is
 * damaged, is of a newer kend, or is open in another process.
 */
enum kend_store_result kend_store_open(struct kend_store **store, const char *url, char message[256]);
void kend_store_close(struct kend_store **store);
/*
 * Whether a store could be opened, as far as that can be told without a change to it and within ten seconds; else message says why not. One
 * that is not there yet could. Another process may have it open.
 */
enum kend_store_result kend_store_examine(const char *url, char message[256]);

#endif
