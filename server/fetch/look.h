/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at an entry of the cache: its bytes as they lie there, without a word to the origin. Nothing is pinned or made: an entry that
 * is evicted meanwhile stays readable through the descriptor, and one that is begun anew is noticed. Any thread.
 */
#ifndef KEND_LOOK_H
#define KEND_LOOK_H

#include "fetch/cache.h"

#include <sys/stat.h>

struct kend_look {
    int folder, data;
    struct stat opened;
};

/* Opens the entry of that key, and counts as a use of it. KEN_ENOT_FOUND: there is none. */
int kend_look_open(struct kend_look *look, struct kend_cache *cache, const char *key, struct ken_error *error);
/* Whether the data are as they were when it was opened. */
bool kend_look_is_same(const struct kend_look *look);
/* The digest of the data, *known if they were hashed. False: the entry on disk does not say that they are whole. */
bool kend_look_digest(const struct kend_look *look, unsigned char sha256[KEN_SHA256_SIZE], bool *known);
void kend_look_close(struct kend_look *look);

#endif
