/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's row with its lease, and what each write makes of it: the rules that all back ends share. A back end loads a record inside a
 * transaction, calls one of these, stores the record and, where `announce` says so, a "status" event. No statement but the storing of a
 * record changes a status, and no function but those here changes it in the record (through proto_transition).
 */
#ifndef KEND_RECORD_H
#define KEND_RECORD_H

#include "jobs/store.h"

struct kend_record {
    struct kend_job *job;        /* owned */
    char *holder;                /* of the lease; owned; NULL without one */
    char token[KEND_TOKEN_SIZE]; /* "" without a lease */
    int64_t lease_until;
    uint64_t marker;
    bool announce; /* status or stage have changed: a "status" event belongs to this write */
};
void kend_record_clear(struct kend_record *record);

/* Deaths of a job that may be claimed, with the one that left it running. */
int64_t kend_record_deaths(const struct kend_record *record);
/* A new lease for a job that is queued, or running with a lease that has ended. OK, EXHAUSTED (failed, no lease) or UNAVAILABLE. */
enum kend_store_result kend_record_claim(struct kend_record *record, const char *holder, int64_t now, int64_t lease_ms, int64_t keep_ms);
/* Whether the token is that of the job's lease. */
bool kend_record_held(const struct kend_record *record, const char *token);
void kend_record_progress(struct kend_record *record, const struct kend_run_state *state);
/* OK, FINISHED or UNAVAILABLE. The artifacts are the back end's to store. */
enum kend_store_result kend_record_cancel(struct kend_record *record, int64_t now, int64_t keep_ms);
enum kend_store_result kend_record_finish(struct kend_record *record, const struct kend_outcome *outcome, int64_t keep_ms);
void kend_record_hand_back(struct kend_record *record, int64_t now, const double *timings, int64_t keep_ms);
/* The data of the "log" event of an eviction. */
extern const char kend_record_eviction_event[];
/* The data of a "status" event: malloc'ed JSON text, NULL if out of memory. */
char *kend_record_status_event(const struct kend_record *record);

#endif
