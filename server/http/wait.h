/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait, and streams of events between two of them: their connections are suspended, so that no HTTP thread waits with them.
 * One thread of its own resumes them when their job changes, when their time is over, or when their client has gone away.
 */
#ifndef KEND_HTTP_WAIT_H
#define KEND_HTTP_WAIT_H

#include "error.h"
#include "http/feed.h"
#include "id.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct kend_waits;

/* One request's place among the waiting, embedded in it; zeroed at its start. Fields belong to kend_waits. */
struct kend_wait {
    struct MHD_Connection *connection;
    char job[PROTO_ID_SIZE]; /* "" for one that is woken by kend_wait_wake alone */
    int64_t deadline;        /* monotonic ms */
    int socket;
    bool suspended, woken, gone;
    bool stream; /* has a place of its own, suspended or not */
    uint32_t slot;
    struct kend_wait *next, **self; /* of the same hash of job ids */
    int64_t since, suspended_ms;    /* monotonic ms: of this suspension; of all that have ended */
};

/* How many there may be at once: streams (whether they wait or send), others that wait, and of both together. */
struct kend_wait_places {
    uint32_t streams, others, all;
};

/* Starts the thread. KEN_ENOMEM, KEN_EIO. */
int kend_waits_create(struct kend_waits **waits, const struct kend_wait_places *most, struct ken_error *error);
/* Nobody may be suspended: kend_waits_close first. */
void kend_waits_destroy(struct kend_waits **waits);
/* Resumes all; from now on kend_wait_suspend answers KEND_WAIT_CLOSING. */
void kend_waits_close(struct kend_waits *waits);
/* The row of an owner's job has changed: resumes whoever waits for it. Any thread; opaque is the kend_waits (fits kend_parts.changed). */
void kend_waits_changed(void *opaque, const char *job, const char *owner);
/* The same of a job that was removed, and whose it was (fits kend_parts.removed). */
void kend_waits_removed(void *opaque, const char *job, const char *owner);
/* What has changed: it is there before those are woken who wait for KEND_WAIT_ANY. */
struct kend_feed *kend_waits_feed(struct kend_waits *waits);
/* How many wait now, streams left out; how many streams there are. */
uint32_t kend_waits_count(struct kend_waits *waits);
uint32_t kend_waits_streams(struct kend_waits *waits);

/* In place of a job's id: whichever changes. */
#define KEND_WAIT_ANY "*"

/* What to pass to kend_wait_suspend: read it before the job is read from the store, so that no change in between is missed. */
uint64_t kend_waits_seen(struct kend_waits *waits, const char *job);

enum kend_wait_result {
    KEND_WAIT_SUSPENDED, /* return MHD_YES; the handler is called again when it is resumed */
    KEND_WAIT_CHANGED,   /* something happened meanwhile: look again */
    KEND_WAIT_FULL,      /* no place left, or the client has gone: answer now */
    KEND_WAIT_CLOSING,   /* nobody waits any more: answer now */
};
/* Suspends the connection until the job changes (job not NULL), kend_wait_wake, `deadline` (kend_monotonic_ms) or the client goes. HTTP
 * threads. */
enum kend_wait_result kend_wait_suspend(struct kend_waits *waits, struct kend_wait *wait, struct MHD_Connection *connection,
                                        const char *job, uint64_t seen, int64_t deadline);
/* Takes a place for a stream, which it keeps until its end: it always finds one to wait in. False: there is none left, or closing. */
bool kend_wait_begin_stream(struct kend_waits *waits, struct kend_wait *wait);
void kend_wait_end_stream(struct kend_waits *waits, struct kend_wait *wait);
/* Resumes this one, or makes its next kend_wait_suspend answer KEND_WAIT_CHANGED. Any thread that knows the request to be alive. */
void kend_wait_wake(struct kend_waits *waits, struct kend_wait *wait);

#endif
