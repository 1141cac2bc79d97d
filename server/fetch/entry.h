/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is fetched or cached, in use: shared by all sources of the same owner and URL.
 *
 *     PROBING -- the origin said what it is --> OPEN -- every byte there --> OPEN and complete
 *        |                                        |
 *        +--------- cannot be had ----------------+--> FAILED
 *
 * Bytes that a reader may have seen never change: what comes again (a stream that starts over, another ETag) is compared with them.
 * The state is level-triggered: callbacks record what happened and poke, kend_entry_tick alone decides what is to be done.
 */
#ifndef KEND_ENTRY_H
#define KEND_ENTRY_H

#include "fetch/fetcher.h"
#include "fetch/fetch_source.h"

enum {
    KEND_MAX_PIECES = 33,
    KEND_ENTRY_POLL_MS = 50 /* how often whoever waits asks whether it was cancelled */
};

enum kend_entry_state { KEND_ENTRY_PROBING, KEND_ENTRY_OPEN, KEND_ENTRY_FAILED };

/* Somebody who waits for bytes; lives on their stack. */
struct kend_waiter {
    uint64_t first, end;
    struct kend_waiter *next;
};

struct kend_entry_source {
    struct kend_source source;
    struct kend_entry *entry;
    struct kend_entry_source *next; /* the entry's list; all below under its mutex */
    bool active;                    /* its location is not over */
    bool fetching;
    uint64_t resumed; /* bytes that were there when it was opened */
};

struct kend_entry {
    struct kend_tick tick;
    struct kend_fetcher *fetcher;
    struct kend_url url;
    struct kend_cached *cached;
    struct kend_entry *next; /* the fetcher's list */
    char key[KEND_CACHE_KEY];
    bool opening; /* under the fetcher's mutex: somebody reads what the cache has of it, and has it alone */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex; written by the loop's thread except where said. */
    struct kend_entry_source *sources; /* by anyone; none left: it is being closed */
    struct kend_waiter *waiters;       /* by anyone */
    enum kend_entry_state state;
    struct ken_error error;
    bool has_size, complete, has_sha256;
    bool was_cached;  /* some of it was in the cache; set once, before others see it */
    bool unwanted;    /* by anyone: nobody may build on it any more, the cache is to let go of it */
    bool detached;    /* the cache has; the fetcher's list does not find it any more */
    bool closing;     /* it is on its way out */
    bool revalidate;  /* by anyone: somebody wants the origin asked again */
    bool stale;       /* the origin has another file now */
    bool want_digest; /* by anyone */
    uint64_t size;
    struct kend_ranges good; /* there, and of the state of the file that the validators stand for */
    uint64_t durable;        /* bytes of good that were saved */
    int64_t validated_at;
    unsigned char sha256[KEN_SHA256_SIZE];
    struct kend_validators validators;

    /* The loop's thread only. */
    struct kend_ranges seen; /* readers may have read these: good, and what was good before the file was started anew */
    struct kend_piece *pieces[KEND_MAX_PIECES];
    unsigned piece_count;
    /* writing.c */
    struct kend_block *writing;             /* the pool has them */
    struct kend_block *blocks, *last_block; /* next, in the order in which they came */
    struct kend_ranges written;             /* seen, as it was when writing began: the pool's */
    uint64_t pending;                       /* bytes of all of these blocks */
    uv_work_t write_work;
    struct kend_entry *next_starved; /* the fetcher's */
    bool no_ranges, anew, doubtful;
    unsigned failures;
    uint64_t progress; /* bytes of seen when the count of failures began anew */
    int64_t retry_at;
    uv_timer_t timer;
    /* durable.c */
    struct kend_meta saving_meta;
    struct ken_digest digest;
    uint64_t hashed, hash_end, reserved, room_least, room_most, asked_least, asked_most, room_granted;
    int64_t saved_at;
    bool saving, hashing, reserving, dropping, dirty;
    uv_work_t save_work, hash_work, room_work, drop_work;
    struct ken_error save_error, hash_error, room_error;
};

/* ---- entry.c */

/* Looks at the entry and does what is due. Run by the loop; anyone pokes it with the mutex held. */
void kend_entry_poke(struct kend_entry *entry);
/* The first failure counts. Loop's thread. */
void kend_entry_fail(struct kend_entry *entry, const struct ken_error *error);
/* From now on nobody builds on it any more; soon it is out of the cache, too. Any thread that has it. */
void kend_entry_drop(struct kend_entry *entry);
/* A line for all locations that use it. Loop's thread, mutex not held. */
void kend_entry_note(struct kend_entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * Makes *source one of the entry of this owner and URL, a new one where there is none, or where the present one has failed or is of an
 * older state of the file. Waits for an earlier one to end. KEN_ECANCELLED: the location is over.
 */
int kend_entry_acquire(struct kend_entry_source *source, struct kend_location *location, const struct kend_url *url,
                       struct ken_error *error);
/* The digest of an entry that somebody uses, whole; false: there is none such. */
bool kend_entry_digest(struct kend_fetcher *fetcher, const char *key, unsigned char sha256[KEN_SHA256_SIZE]);
/* The last one closes the entry. */
void kend_entry_release(struct kend_entry_source *source);
/* With the mutex held. */
bool kend_entry_is_fetching(const struct kend_entry *entry);

/* ---- pieces.c: the transfers of an entry; loop's thread */

/* Starts what is wanted and not yet under way. Returns when to be called again, in kend_monotonic_ms; INT64_MAX: when something happens. */
int64_t kend_pieces_schedule(struct kend_entry *entry);
void kend_pieces_cancel(struct kend_entry *entry);
/* After room was granted. */
void kend_pieces_resume(struct kend_entry *entry);
/* After bytes were written: those that waited for it go on, or end. */
void kend_pieces_written(struct kend_entry *entry);

/* ---- durable.c: what of an entry runs in libuv's pool; loop's thread */

/* Starts saving, hashing, making room and letting go where due. As kend_pieces_schedule. `last`: save now. */
int64_t kend_durable_schedule(struct kend_entry *entry, bool last);
bool kend_durable_is_busy(const struct kend_entry *entry);
/* Whether `bytes` of data may be there; false: room for them is asked for. */
bool kend_durable_has_room(struct kend_entry *entry, uint64_t bytes);

#endif
