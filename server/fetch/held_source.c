/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the cache as a byte source of what a job has used: read as it lies there, the origin is not asked. */
#include "fetch/entry.h"
#include "fetch/look.h"
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct held_source {
    struct kend_source source;
    struct kend_look look;
    char key[KEND_CACHE_KEY];
    bool known; /* the digest */
    unsigned char sha256[KEN_SHA256_SIZE];
};

/* What the entry is, as it is on disk, or as somebody who uses it knows who has not saved that yet. False: it is not whole. */
static bool find_digest(const struct held_source *source, unsigned char sha256[KEN_SHA256_SIZE], bool *known)
{
    return kend_look_digest(&source->look, sha256, known) ||
           (*known = kend_entry_digest(source->source.location->fetcher, source->key, sha256));
}

static int held_read(struct ken_source *base, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct held_source *source = (const struct held_source *)base;
    ssize_t got = ken_pread(source->look.data, buffer, length, offset);
    if (got < 0) return ken_fail_errno(error, errno, "reading a cached copy");
    return (size_t)got == length ? 0 : ken_fail(error, KEN_EFETCH, "a cached copy was cut off");
}

static int held_digest(struct ken_source *base, unsigned char sha256[32], struct ken_error *error)
{
    const struct held_source *source = (const struct held_source *)base;
    if (!source->known) return ken_fail(error, KEN_ENOT_FOUND, "not known");
    memcpy(sha256, source->sha256, KEN_SHA256_SIZE);
    return 0;
}

static int held_check(struct ken_source *base, struct ken_error *error)
{
    const struct held_source *source = (const struct held_source *)base;
    unsigned char sha256[KEN_SHA256_SIZE];
    bool known;
    return kend_look_is_same(&source->look) && find_digest(source, sha256, &known) && known == source->known &&
                   (!known || memcmp(sha256, source->sha256, KEN_SHA256_SIZE) == 0)
               ? 0
               : ken_fail(error, KEN_EFETCH, "the cache let go of a file while it was read");
}

static void held_close(struct ken_source *base)
{
    struct held_source *source = (struct held_source *)base;
    struct kend_location *location = source->source.location;
    kend_source_leave(&source->source);
    kend_location_release(location);
    kend_look_close(&source->look);
    free(source);
}

static void held_fetch(struct kend_source *source)
{
    (void)source;
}

static void held_state(struct kend_source *source, struct kend_location_state *state)
{
    state->bytes_total += source->base.size;
    state->bytes_there += source->base.size;
    state->bytes_durable += source->base.size;
    state->bytes_resumed += source->base.size;
}

static int held_whole(struct kend_source *source, const unsigned char *wanted, struct ken_error *error)
{
    const struct held_source *held = (const struct held_source *)source;
    return wanted && (!held->known || memcmp(wanted, held->sha256, KEN_SHA256_SIZE) != 0)
               ? ken_fail(error, KEN_EDIGEST, "another file is cached")
               : 0;
}

static struct kend_cached *held_cached(const struct kend_source *source)
{
    (void)source;
    return NULL;
}

static const struct ken_source_ops source_ops = {NULL, held_read, held_digest, held_check, held_close};
static const struct kend_source_ops more_ops = {held_fetch, held_state, held_whole, held_cached, held_fetch};

int kend_held_source_open(struct kend_location *location, const struct kend_url *url, struct ken_source **result, struct ken_error *error)
{
    struct held_source *source = calloc(1, sizeof *source);
    if (!source) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code = kend_cache_key(source->key, location->owner, url->text, error);
    if (!code) code = kend_look_open(&source->look, location->fetcher->cache, source->key, error);
    if (code) {
        free(source);
        return code;
    }
    source->source = (struct kend_source){
        .base = {.ops = &source_ops, .size = (uint64_t)source->look.opened.st_size, .tells_digest = true},
        .more = &more_ops,
        .location = location,
    };
    if (!find_digest(source, source->sha256, &source->known)) {
        kend_look_close(&source->look);
        free(source);
        return ken_fail(error, KEN_ENOT_FOUND, "not whole in the cache");
    }
    kend_source_join(&source->source);
    *result = &source->source.base;
    return 0;
}
