/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a cached file: the JSON text DIR/KEY/meta. */
#ifndef KEND_META_H
#define KEND_META_H

#include "digest.h"
#include "fetch/head.h"
#include "fetch/ranges.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* What is known of the data; all zero: nothing. */
struct kend_meta {
    bool has_size, complete, has_sha256;
    uint64_t size;
    struct kend_validators validators;
    unsigned char sha256[KEN_SHA256_SIZE];
    struct kend_ranges ranges; /* owned: bytes of `data` that are durable */
};
void kend_meta_clear(struct kend_meta *meta);

/* From the folder of an entry. False: nothing there that could be used; *meta is empty then. */
bool kend_meta_read(int folder, struct kend_meta *meta);
/* Written aside, synced, renamed. `data` is the state of the data that it tells of. 0 or an errno. */
int kend_meta_write(int folder, const struct kend_meta *meta, const char *url, const struct stat *data);
/* When a file was changed last, in nanoseconds since 1970. */
int64_t kend_meta_modified(const struct stat *status);

#endif
