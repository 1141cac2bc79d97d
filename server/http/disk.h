/* SPDX-License-Identifier: Apache-2.0 */
/* The disk that jobs need, folder by folder. */
#ifndef KEND_HTTP_DISK_H
#define KEND_HTTP_DISK_H

#include "http/server.h"

/* symbol, name in metrics */
#define KEND_DISK_MAP(X)                \
    X(KEND_DISK_DATA, "data")           \
    X(KEND_DISK_ARTIFACTS, "artifacts") \
    X(KEND_DISK_CACHE, "cache")
#define X(symbol, name) symbol,
enum kend_disk { KEND_DISK_MAP(X) KEND_DISK_COUNT };
#undef X
const char *kend_disk_name(enum kend_disk disk);

struct kend_disk_room {
    uint64_t free;
    uint64_t available; /* to jobs: beside disk.reserve_bytes, with what the cache on the same file system would give up */
    bool full;          /* even so, less than disk.reserve_bytes is free */
};
/* False where the file system does not tell. */
bool kend_disk_room(const struct kend_http_parts *parts, enum kend_disk disk, struct kend_disk_room *room);

/*
 * Whether less than disk.reserve_bytes is free where artifacts or the data folder are; an unknown amount counts as free, and so does what
 * the cache on the same file system would give up: retention takes it from there within a moment.
 */
bool kend_disk_is_full(const struct kend_http_parts *parts);

#endif
