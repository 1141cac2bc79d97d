/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a location as a byte source. */
#ifndef KEND_FETCH_SOURCE_H
#define KEND_FETCH_SOURCE_H

#include "fetch/fetch.h"
#include "fetch/location.h"

/* Embedded by what a source is of: an entry of the cache, or a file in place. */
struct kend_source {
    struct ken_source base;
    struct kend_location *location; /* retained */
    struct kend_source *next;       /* the location's list */
    const struct kend_source_ops *more;
};

struct kend_cached;

struct kend_source_ops {
    /* From now on all of it is wanted. */
    void (*fetch)(struct kend_source *source);
    /* Adds to *state. */
    void (*state)(struct kend_source *source, struct kend_location_state *state);
    /* Blocks until it is whole; `sha256` [32] may be NULL. KEN_EDIGEST: it is another. */
    int (*whole)(struct kend_source *source, const unsigned char *sha256, struct ken_error *error);
    /* The entry of the cache that it is read from; NULL: none. */
    struct kend_cached *(*cached)(const struct kend_source *source);
    /* The location is over: nothing more is fetched for this source. */
    void (*stop)(struct kend_source *source);
};

/* Adds it to its location, set from its making on (the fetcher's thread may look at it), which it retains; and takes it away again. */
void kend_source_join(struct kend_source *source);
void kend_source_leave(struct kend_source *source);

/* Opens a file: URL in place: regular, below one of the roots after symbolic links were resolved. KEN_EADDRESS, KEN_ENOT_FOUND, KEN_EFETCH.
 */
int kend_file_scheme_open(struct kend_location *location, const struct kend_url *url, struct ken_source **source, struct ken_error *error);
/* As kend_url_parse's result, but a file: URL that names a folder below the roots is made to end in '/'. */
int kend_file_scheme_mark_folder(const struct kend_fetcher *fetcher, struct kend_url *url, struct ken_error *error);

/* Opens an http(s) URL through the cache; blocks until its size is known and the origin has vouched for what the cache has. */
int kend_entry_source_open(struct kend_location *location, const struct kend_url *url, struct ken_source **source, struct ken_error *error);
/* Opens what the cache has of an http(s) URL for the location's owner, whole, and asks nobody. KEN_ENOT_FOUND. */
int kend_held_source_open(struct kend_location *location, const struct kend_url *url, struct ken_source **source, struct ken_error *error);

#endif
