/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the cache that are pinned. */
#include "fetch/cache_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* With the mutex held. */
static struct kend_item *find(const struct kend_cache *cache, const char *key)
{
    struct kend_item *item = cache->items;
    while (item && strcmp(item->key, key) != 0) item = item->next;
    return item;
}

/* The item of the key, made if needed, pinned. NULL if out of memory, or if one that was dropped could not be moved out of the way. */
static struct kend_item *pin(struct kend_cache *cache, const char *key, struct ken_error *error)
{
    pthread_mutex_lock(&cache->mutex);
    struct kend_item *item;
    while ((item = find(cache, key)) && item->going) pthread_cond_wait(&cache->moved, &cache->mutex);
    if (!item && !kend_cache_add_item(cache, key, 0, 0, &item)) {
        item = NULL;
        ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    if (item && item->pinned) {
        item = NULL;
        ken_fail(error, KEN_EIO, "an earlier entry of the cache could not be moved out of the way");
    }
    if (item) {
        item->pinned = true;
        item->used = now_ns();
    }
    pthread_mutex_unlock(&cache->mutex);
    return item;
}

static void unpin(struct kend_cache *cache, struct kend_item *item, bool gone)
{
    pthread_mutex_lock(&cache->mutex);
    item->pinned = false;
    item->reserved = item->bytes;
    item->used = now_ns();
    if (gone) kend_cache_free_item(cache, item);
    pthread_mutex_unlock(&cache->mutex);
}

static int open_data(struct kend_cached *cached, const char *key, struct ken_error *error)
{
    struct kend_cache *cache = cached->cache;
    if (mkdirat(cache->fd, key, 0700) && errno != EEXIST) return ken_fail_errno(error, errno, "making a cache entry");
    cached->folder = openat(cache->fd, key, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (cached->folder < 0) return ken_fail_errno(error, errno, "opening a cache entry");
    cached->data = openat(cached->folder, "data", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (cached->data < 0) return ken_fail_errno(error, errno, "opening the data of a cache entry");
    return 0;
}

int kend_cache_open(struct kend_cache *cache, const char *key, struct kend_cached **result, struct kend_meta *meta, struct ken_error *error)
{
    struct kend_cached *cached = calloc(1, sizeof *cached);
    struct ken_error reason = {0};
    *result = NULL;
    *meta = (struct kend_meta){0};
    if (!cached) return ken_fail(error, KEN_ENOMEM, "out of memory");
    *cached = (struct kend_cached){.cache = cache, .folder = -1, .data = -1, .item = pin(cache, key, &reason)};
    if (!cached->item) {
        free(cached);
        return ken_fail(error, reason.code, "%s", reason.message);
    }
    *result = cached;
    int code = open_data(cached, key, error);
    if (!code) cached->saved = kend_meta_read(cached->folder, meta);
    if (!code && !cached->saved) code = kend_cached_truncate(cached, error);
    if (code) {
        kend_meta_clear(meta);
        kend_cached_close(result);
    }
    return code;
}

int kend_cached_fd(const struct kend_cached *cached)
{
    return cached->data;
}

void kend_cached_wrote(struct kend_cached *cached, uint64_t bytes)
{
    cached->item->bytes = bytes;
}

int kend_cached_save(struct kend_cached *cached, const struct kend_meta *meta, const char *url, struct ken_error *error)
{
    struct stat status;
    if (fdatasync(cached->data) || fstat(cached->data, &status)) return ken_fail_errno(error, errno, "saving a cache entry");
    int failed = kend_meta_write(cached->folder, meta, url, &status);
    if (failed) return ken_fail_errno(error, failed, "saving a cache entry");
    if (!cached->saved && fsync(cached->cache->fd)) return ken_fail_errno(error, errno, "saving a cache entry");
    cached->saved = true;
    return 0;
}

int kend_cached_truncate(struct kend_cached *cached, struct ken_error *error)
{
    unlinkat(cached->folder, "meta", 0);
    cached->saved = false;
    kend_cached_wrote(cached, 0);
    return ftruncate(cached->data, 0) ? ken_fail_errno(error, errno, "emptying a cache entry") : 0;
}

void kend_cached_detach(struct kend_cached *cached)
{
    struct kend_cache *cache = cached->cache;
    if (!cached->item->key[0]) return;
    pthread_mutex_lock(&cache->mutex);
    kend_cache_gone_name(cache, cached->gone);
    pthread_mutex_unlock(&cache->mutex);
    /* Meanwhile it keeps its key, so that nobody else gets its folder. */
    const bool moved = renameat(cache->fd, cached->item->key, cache->fd, cached->gone) == 0;
    cached->dropped = !moved && errno != ENOENT;
    if (!moved) cached->gone[0] = '\0';
    if (cached->dropped) {
        unlinkat(cached->folder, "meta", 0); /* nothing is known of it any more */
        return;
    }
    pthread_mutex_lock(&cache->mutex);
    cached->item->key[0] = '\0';
    pthread_mutex_unlock(&cache->mutex);
}

void kend_cached_close(struct kend_cached **own)
{
    struct kend_cached *cached = *own;
    if (!cached) return;
    if (!cached->saved || cached->dropped) kend_cached_detach(cached);
    if (cached->saved && !cached->dropped) utimensat(cached->folder, "meta", NULL, AT_SYMLINK_NOFOLLOW); /* the time of its last use */
    if (cached->data >= 0) close(cached->data);
    if (cached->folder >= 0) close(cached->folder);
    if (cached->gone[0]) kend_cache_remove_folder(cached->cache, cached->gone);
    unpin(cached->cache, cached->item, !cached->item->key[0]);
    free(cached);
    *own = NULL;
}
