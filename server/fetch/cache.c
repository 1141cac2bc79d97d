/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the cache, and what is in it. */
#include "fetch/cache_parts.h"

#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

void kend_cache_remove_folder(struct kend_cache *cache, const char *name)
{
    static const char *const files[] = {"meta", "meta.new", "data"};
    int folder = openat(cache->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0) return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlinkat(folder, files[i], 0);
    close(folder);
    unlinkat(cache->fd, name, AT_REMOVEDIR);
}

void kend_cache_gone_name(struct kend_cache *cache, char name[KEND_GONE_NAME])
{
    snprintf(name, KEND_GONE_NAME, KEND_GONE_PREFIX "%ld-%u", (long)getpid(), cache->gone++);
}

static bool is_key(const char *name)
{
    return strlen(name) == KEND_CACHE_KEY - 1 && strspn(name, "0123456789abcdef") == KEND_CACHE_KEY - 1;
}

bool kend_cache_add_item(struct kend_cache *cache, const char *key, uint64_t bytes, int64_t used, struct kend_item **added)
{
    struct kend_item *item = calloc(1, sizeof *item);
    if (!item) return false;
    memcpy(item->key, key, KEND_CACHE_KEY);
    item->bytes = item->reserved = bytes;
    item->used = used;
    item->next = cache->items;
    cache->items = item;
    if (added) *added = item;
    return true;
}

void kend_cache_free_item(struct kend_cache *cache, struct kend_item *gone)
{
    for (struct kend_item **at = &cache->items; *at; at = &(*at)->next) {
        if (*at != gone) continue;
        *at = gone->next;
        free(gone);
        return;
    }
}

/* An entry found at start: kept if it is whole enough to be used, else removed. */
static bool adopt(struct kend_cache *cache, const char *name)
{
    struct kend_meta meta;
    struct stat status = {0};
    int folder = openat(cache->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    bool good = folder >= 0 && kend_meta_read(folder, &meta) && fstatat(folder, "meta", &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (folder >= 0) close(folder);
    if (!good) {
        kend_cache_remove_folder(cache, name);
        return true;
    }
    bool added = kend_cache_add_item(cache, name, meta.ranges.total, kend_meta_modified(&status), NULL);
    kend_meta_clear(&meta);
    return added;
}

static int scan(struct kend_cache *cache, struct ken_error *error)
{
    int copy = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (!list) {
        if (copy >= 0) close(copy);
        return ken_fail(error, KEN_EINVALID, "cache.dir: \"%s\" cannot be listed: %m", cache->dir);
    }
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(list));) {
        if (is_key(entry->d_name))
            good = adopt(cache, entry->d_name);
        else if (strncmp(entry->d_name, KEND_GONE_PREFIX, strlen(KEND_GONE_PREFIX)) == 0)
            kend_cache_remove_folder(cache, entry->d_name);
    }
    closedir(list);
    return good ? 0 : ken_fail(error, KEN_ENOMEM, "out of memory");
}

static int open_folder(struct kend_cache *cache, struct ken_error *error)
{
    int failed = ken_folders_make(cache->dir);
    if (failed) return ken_fail(error, KEN_EINVALID, "cache.dir: \"%s\" cannot be made: %s", cache->dir, strerror(failed));
    cache->fd = open(cache->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0) return ken_fail(error, KEN_EINVALID, "cache.dir: \"%s\" cannot be opened: %m", cache->dir);
    cache->lock = openat(cache->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (cache->lock < 0) return ken_fail(error, KEN_EINVALID, "cache.dir: \"%s\" is not writable: %m", cache->dir);
    if (flock(cache->lock, LOCK_EX | LOCK_NB))
        return ken_fail(error, KEN_EINVALID, "cache.dir: \"%s\" is in use by another process", cache->dir);
    return scan(cache, error);
}

int kend_cache_create(struct kend_cache **result, const char *dir, uint64_t max_bytes, uint64_t reserve_bytes, struct ken_error *error)
{
    struct kend_cache *cache = calloc(1, sizeof *cache);
    *result = NULL;
    if (!cache) return ken_fail(error, KEN_ENOMEM, "out of memory");
    cache->fd = cache->lock = -1;
    cache->max_bytes = max_bytes;
    cache->reserve_bytes = reserve_bytes;
    pthread_mutex_init(&cache->granting, NULL);
    pthread_mutex_init(&cache->mutex, NULL);
    pthread_cond_init(&cache->moved, NULL);
    pthread_mutex_init(&cache->asking, NULL);
    cache->dir = strdup(dir);
    int code;
    if (!cache->dir)
        code = ken_fail(error, KEN_ENOMEM, "out of memory");
    else
        code = *dir ? open_folder(cache, error) : ken_fail(error, KEN_EINVALID, "cache.dir: empty");
    *result = cache;
    if (code) kend_cache_destroy(result);
    return code;
}

void kend_cache_destroy(struct kend_cache **own)
{
    struct kend_cache *cache = *own;
    if (!cache) return;
    while (cache->items) {
        KEN_ASSERT(!cache->items->pinned);
        kend_cache_free_item(cache, cache->items);
    }
    if (cache->lock >= 0) close(cache->lock);
    if (cache->fd >= 0) close(cache->fd);
    pthread_mutex_destroy(&cache->asking);
    pthread_cond_destroy(&cache->moved);
    pthread_mutex_destroy(&cache->mutex);
    pthread_mutex_destroy(&cache->granting);
    free(cache->dir);
    free(cache);
    *own = NULL;
}

uint64_t kend_cache_bytes(struct kend_cache *cache)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&cache->mutex);
    for (const struct kend_item *item = cache->items; item; item = item->next) bytes += item->bytes;
    pthread_mutex_unlock(&cache->mutex);
    return bytes;
}

int kend_cache_key(char key[KEND_CACHE_KEY], const char *owner, const char *url, struct ken_error *error)
{
    struct ken_digest digest;
    unsigned char sha256[KEN_SHA256_SIZE];
    int code = ken_digest_init(&digest, error);
    if (code) return code;
    ken_digest_update(&digest, owner, strlen(owner) + 1); /* the NUL keeps owner and URL apart */
    ken_digest_update(&digest, url, strlen(url));
    code = ken_digest_final(&digest, sha256, error);
    if (!code) ken_hex_encode(key, sha256, sizeof sha256);
    return code;
}
