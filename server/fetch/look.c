/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/look.h"

#include "fetch/cache_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int open_parts(struct kend_look *look, const struct kend_cache *cache, const char *key, struct ken_error *error)
{
    look->folder = openat(cache->fd, key, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (look->folder >= 0) look->data = openat(look->folder, "data", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (look->data >= 0) return fstat(look->data, &look->opened) ? ken_fail_errno(error, errno, "looking at a cache entry") : 0;
    return errno == ENOENT ? ken_fail(error, KEN_ENOT_FOUND, "not in the cache") : ken_fail_errno(error, errno, "opening a cache entry");
}

int kend_look_open(struct kend_look *look, struct kend_cache *cache, const char *key, struct ken_error *error)
{
    struct timespec now;
    *look = (struct kend_look){.folder = -1, .data = -1};
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&cache->mutex);
    struct kend_item *item = cache->items;
    while (item && strcmp(item->key, key) != 0) item = item->next;
    if (item) item->used = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    pthread_mutex_unlock(&cache->mutex);
    int code = item ? open_parts(look, cache, key, error) : ken_fail(error, KEN_ENOT_FOUND, "not in the cache");
    if (code) kend_look_close(look);
    return code;
}

bool kend_look_is_same(const struct kend_look *look)
{
    struct stat now;
    return fstat(look->data, &now) == 0 && now.st_size == look->opened.st_size && now.st_mtim.tv_sec == look->opened.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == look->opened.st_mtim.tv_nsec;
}

bool kend_look_digest(const struct kend_look *look, unsigned char sha256[KEN_SHA256_SIZE], bool *known)
{
    struct kend_meta meta;
    if (!kend_meta_read(look->folder, &meta)) return false;
    const bool whole = meta.complete;
    *known = meta.has_sha256;
    memcpy(sha256, meta.sha256, KEN_SHA256_SIZE);
    kend_meta_clear(&meta);
    return whole;
}

void kend_look_close(struct kend_look *look)
{
    if (look->data >= 0) close(look->data);
    if (look->folder >= 0) close(look->folder);
    look->data = look->folder = -1;
}
