/* SPDX-License-Identifier: Apache-2.0 */
/* From URLs to byte sources: one thread with a libuv loop and libcurl's multi interface, a cache on disk, every address vetted. */
#ifndef KEND_FETCH_H
#define KEND_FETCH_H

#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct kend_fetcher;

struct kend_fetch_options {
    const char *cache_dir;                                   /* made if missing */
    uint64_t cache_max_bytes;                                /* 0: no limit */
    uint64_t reserve_bytes;                                  /* free disk never used */
    const char *allow_schemes;                               /* "https,http,file" */
    const char *allow_networks;                              /* CIDRs beyond global addresses, comma-separated; "" none */
    const char *allow_ports;                                 /* comma-separated; "" all */
    const char *file_roots;                                  /* comma-separated folders; "" none */
    uint64_t max_bytes;                                      /* per file; 0: no limit */
    unsigned connections;                                    /* parallel ranges per file */
    const char *ca_file;                                     /* "": the system's */
    const char *proxy;                                       /* "": none; never from the environment */
    unsigned connect_timeout_seconds, stall_timeout_seconds; /* stall: slower than the least rate for that long */
    unsigned least_rate;                                     /* bytes a second of one transfer, at least 1 */
    unsigned retries;                                        /* per request, of what can pass */
};

/* Whether a fetcher can have these options; nothing is made. KEN_EINVALID names the option and the place. */
int kend_fetcher_check(const struct kend_fetch_options *options, struct ken_error *error);
/* KEN_EINVALID names the option and the place. */
int kend_fetcher_create(struct kend_fetcher **fetcher, const struct kend_fetch_options *options, struct ken_error *error);
void kend_fetcher_destroy(struct kend_fetcher **fetcher);
/* Bytes that the cache holds. */
uint64_t kend_fetcher_cache_bytes(struct kend_fetcher *fetcher);
/* Room on the disk of the cache. */
struct kend_cache_room {
    uint64_t free, evictable; /* evictable: held by the cache for nobody in particular */
    uint64_t device;          /* st_dev */
};
void kend_fetcher_room(struct kend_fetcher *fetcher, struct kend_cache_room *room);
/*
 * What else is written to the cache's file system: `promised` tells how many bytes more that may become, and room in the cache is only
 * granted beside them. It is asked by any thread, which holds nothing it could need. NULL: nothing any more; it is not being asked then.
 */
void kend_fetcher_share_disk(struct kend_fetcher *fetcher, uint64_t (*promised)(void *opaque), void *opaque);
/* Evicts until `bytes` are free beside the reserve, or nothing is left to evict. Blocks on the disk. */
void kend_fetcher_make_room(struct kend_fetcher *fetcher, uint64_t bytes);
/* Bytes received since start from "http" (http and https) or "file". */
uint64_t kend_fetcher_received(struct kend_fetcher *fetcher, const char *source);

/* ---- one location (the URL of a job's model or base), used by one runner thread and the threads of its pruning */

struct kend_location;

struct kend_location_request {
    const char *url;
    const unsigned char *sha256;     /* [32] or NULL: wanted of a single file */
    const char *owner;               /* whose request it is: the cache answers nobody through another's credentials */
    bool hasty;                      /* somebody waits for the answer: at most one short retry */
    bool held;                       /* only what the owner's cache has whole, as it lies there: nobody is asked, nothing is fetched */
    bool (*cancelled)(void *opaque); /* asked at least every 100 ms while something blocks; true ends it with KEN_ECANCELLED */
    /* A line worth a durable event ("resuming at ...", "retrying ..."): called one after another, from threads that may block. May be NULL.
     */
    void (*note)(void *opaque, const char *text);
    void *opaque; /* the same for all locations of a job, and for no other */
};

/* Parses and vets the URL; nothing is connected yet. KEN_EADDRESS, KEN_EFETCH. */
int kend_location_open(struct kend_location **location, struct kend_fetcher *fetcher, const struct kend_location_request *request,
                       struct ken_error *error);
/*
 * Opens its files for ken_checkpoint_open: each source revalidates or starts its cache entry, and fetches only what is waited for
 * (Range reads of headers) until kend_location_fetch.
 */
struct ken_opener *kend_location_opener(struct kend_location *location);
/*
 * What was read of its files makes no sense. True, once, if some of it was in the cache before: then its files, closed by now, can be
 * opened anew, and are fetched anew, whatever the origin says of the copies that were there.
 */
bool kend_location_refresh(struct kend_location *location);
/* From now on everything of every file opened so far is fetched, ascending, in parallel ranges. */
void kend_location_fetch(struct kend_location *location);
struct kend_location_state {
    uint64_t bytes_total, bytes_there, bytes_durable; /* of the files opened so far; `there` includes what the cache had */
    uint64_t bytes_resumed;                           /* were there when the location was opened */
    bool complete;
};
void kend_location_state(struct kend_location *location, struct kend_location_state *state);
/* Blocks until every byte is there and digests hold. Errors: the first of any file. */
int kend_location_wait(struct kend_location *location, struct ken_error *error);
/* The sources may outlive it. Unpins the cache entries when the last one is closed; unfinished ones stay for a resume. *location becomes
 * NULL. */
void kend_location_close(struct kend_location **location);

/* ---- room in the cache for all of a job's files */

/*
 * A job's place in the line for room. Zeroed: it does not wait. Used by one thread. Whoever waits has closed its locations, so that those
 * who wait keep nothing from each other.
 */
struct kend_turn {
    struct kend_turn *next; /* the fetcher's line, under its mutex */
    bool queued;
    uint64_t bytes; /* that it asked for last */
    unsigned tries;
};
/*
 * Reserves room for all files opened so far by the locations, at once or not at all. KEN_EBUSY: running jobs hold too much, or another job
 * waits already: close the locations, kend_turn_wait, and begin again. KEN_ETOO_LARGE, KEN_ENO_SPACE: it can never be had. Without a turn
 * (NULL) nothing is reserved; what can never be had is told all the same.
 */
int kend_fetcher_reserve(struct kend_fetcher *fetcher, struct kend_turn *turn, struct kend_location *const *locations, size_t count,
                         struct ken_error *error);
/* Bytes of the cache: what the locations' files still need, were they reserved, and of all other files what is reserved but not there yet.
 */
struct kend_coming {
    uint64_t own, others;
    uint64_t held; /* there for others, which may give it up when they end */
};
/* KEN_ENOMEM. */
int kend_fetcher_coming(struct kend_fetcher *fetcher, struct kend_location *const *locations, size_t count, struct kend_coming *coming,
                        struct ken_error *error);
/* Blocks until it is worthwhile to try again. `cancelled` as in kend_location_request: KEN_ECANCELLED. */
int kend_turn_wait(struct kend_fetcher *fetcher, struct kend_turn *turn, bool (*cancelled)(void *opaque), void *opaque,
                   struct ken_error *error);
/* Gives the place up; nothing if it has none. */
void kend_turn_leave(struct kend_fetcher *fetcher, struct kend_turn *turn);

#endif
