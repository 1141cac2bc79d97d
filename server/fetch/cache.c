/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/cache.h"

#include "folder.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { META_VERSION = 1, META_MAX = 4 << 20, GONE_NAME = 40 };

static const char gone_prefix[] = ".gone-";

/* One entry that is on disk. In the cache's list until its folder is gone and nobody has it pinned. */
struct item {
    struct item *next;
    char key[KEND_CACHE_KEY]; /* empty: detached */
    uint64_t bytes;           /* of data that are there */
    uint64_t reserved;        /* that it may grow to; at least what was asked for while pinned */
    int64_t used;             /* nanoseconds since 1970 */
    bool pinned;
};

struct kend_cache {
    char *dir;
    int fd, lock;
    uint64_t max_bytes, reserve_bytes;
    pthread_mutex_t mutex; /* all below, and every item */
    struct item *items;
    unsigned gone; /* folders that were renamed to be removed */
};

struct kend_cached {
    struct kend_cache *cache;
    struct item *item;
    int folder, data;
    bool saved;
    char gone[GONE_NAME]; /* where it was moved to when it was detached */
};

void kend_meta_clear(struct kend_meta *meta)
{
    kend_ranges_clear(&meta->ranges);
    *meta = (struct kend_meta){0};
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- meta: what is known of an entry, as JSON */

static bool copy_text(char *to, size_t size, const json_t *json)
{
    if (!json_is_string(json) || json_string_length(json) >= size) return false;
    memcpy(to, json_string_value(json), json_string_length(json) + 1);
    return true;
}

static int64_t modified(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* Whether the data can be what meta says. */
static bool agrees(const struct kend_meta *meta, const struct stat *data, int64_t mtime)
{
    if (!S_ISREG(data->st_mode)) return false;
    uint64_t size = (uint64_t)data->st_size;
    if (meta->complete) return size == meta->size && mtime == modified(data);
    const struct kend_ranges *ranges = &meta->ranges;
    return !ranges->count || ranges->list[ranges->count - 1].end <= size;
}

static bool parse_meta(struct kend_meta *meta, const json_t *json, const struct stat *data)
{
    const json_t *size = json_object_get(json, "size"), *sha256 = json_object_get(json, "sha256");
    if (json_integer_value(json_object_get(json, "version")) != META_VERSION) return false;
    if (!json_is_integer(size) || json_integer_value(size) < 0) return false;
    meta->has_size = true;
    meta->size = (uint64_t)json_integer_value(size);
    meta->complete = json_is_true(json_object_get(json, "complete"));
    meta->validators.strong = json_is_true(json_object_get(json, "strong"));
    if (!copy_text(meta->validators.etag, sizeof meta->validators.etag, json_object_get(json, "etag"))) return false;
    if (!copy_text(meta->validators.last_modified, sizeof meta->validators.last_modified, json_object_get(json, "last_modified")))
        return false;
    meta->has_sha256 = json_is_string(sha256);
    if (meta->has_sha256 && !ken_hex_decode(meta->sha256, sizeof meta->sha256, json_string_value(sha256))) return false;
    if (kend_ranges_from_json(&meta->ranges, json_object_get(json, "ranges"), meta->size)) return false;
    if (meta->complete && !kend_ranges_hold(&meta->ranges, 0, meta->size)) return false;
    return agrees(meta, data, json_integer_value(json_object_get(json, "mtime_ns")));
}

/* False: nothing usable there; *meta is empty then. */
static bool read_meta(int folder, struct kend_meta *meta)
{
    struct stat data, status;
    bool good = false;
    *meta = (struct kend_meta){0};
    int fd = openat(folder, "meta", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= META_MAX &&
        fstatat(folder, "data", &data, AT_SYMLINK_NOFOLLOW) == 0) {
        json_t *json = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
        good = json && parse_meta(meta, json, &data);
        json_decref(json);
    }
    close(fd);
    if (!good) kend_meta_clear(meta);
    return good;
}

static json_t *meta_to_json(const struct kend_meta *meta, const char *url, int64_t mtime)
{
    char sha256[KEN_SHA256_HEX_SIZE];
    ken_hex_encode(sha256, meta->sha256, sizeof meta->sha256);
    json_t *ranges = kend_ranges_to_json(&meta->ranges);
    if (!ranges) return NULL;
    return json_pack("{s:i, s:s, s:I, s:b, s:s, s:s, s:b, s:s?, s:I, s:o}", "version", (int)META_VERSION, "url", url, "size",
                     (json_int_t)meta->size, "complete", meta->complete, "etag", meta->validators.etag, "last_modified",
                     meta->validators.last_modified, "strong", meta->validators.strong, "sha256", meta->has_sha256 ? sha256 : NULL,
                     "mtime_ns", (json_int_t)mtime, "ranges", ranges);
}

/* Written aside, synced, renamed. 0 or an errno. */
static int write_meta(int folder, const json_t *json)
{
    int fd = openat(folder, "meta.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    errno = 0;
    int failed = json_dumpfd(json, fd, JSON_COMPACT) ? (errno ? errno : EIO) : 0;
    if (!failed && fsync(fd)) failed = errno;
    if (close(fd) && !failed) failed = errno;
    if (!failed && renameat(folder, "meta.new", folder, "meta")) failed = errno;
    if (!failed && fsync(folder)) failed = errno;
    if (failed) unlinkat(folder, "meta.new", 0);
    return failed;
}

/* ---- folders */

static void remove_folder(struct kend_cache *cache, const char *name)
{
    static const char *const files[] = {"meta", "meta.new", "data"};
    int folder = openat(cache->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0) return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlinkat(folder, files[i], 0);
    close(folder);
    unlinkat(cache->fd, name, AT_REMOVEDIR);
}

static bool is_key(const char *name)
{
    return strlen(name) == KEND_CACHE_KEY - 1 && strspn(name, "0123456789abcdef") == KEND_CACHE_KEY - 1;
}

static bool add_item(struct kend_cache *cache, const char *key, uint64_t bytes, int64_t used, struct item **added)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item) return false;
    memcpy(item->key, key, KEND_CACHE_KEY);
    item->bytes = item->reserved = bytes;
    item->used = used;
    item->next = cache->items;
    cache->items = item;
    if (added) *added = item;
    return true;
}

static void free_item(struct kend_cache *cache, struct item *gone)
{
    for (struct item **at = &cache->items; *at; at = &(*at)->next) {
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
    bool good = folder >= 0 && read_meta(folder, &meta) && fstatat(folder, "meta", &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (folder >= 0) close(folder);
    if (!good) {
        remove_folder(cache, name);
        return true;
    }
    bool added = add_item(cache, name, meta.ranges.total, modified(&status), NULL);
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
        else if (strncmp(entry->d_name, gone_prefix, sizeof gone_prefix - 1) == 0)
            remove_folder(cache, entry->d_name);
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
    pthread_mutex_init(&cache->mutex, NULL);
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
        free_item(cache, cache->items);
    }
    if (cache->lock >= 0) close(cache->lock);
    if (cache->fd >= 0) close(cache->fd);
    pthread_mutex_destroy(&cache->mutex);
    free(cache->dir);
    free(cache);
    *own = NULL;
}

uint64_t kend_cache_bytes(struct kend_cache *cache)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&cache->mutex);
    for (const struct item *item = cache->items; item; item = item->next) bytes += item->bytes;
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

/* ---- handles */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The item of the key, made if needed, pinned. NULL if out of memory. */
static struct item *pin(struct kend_cache *cache, const char *key)
{
    pthread_mutex_lock(&cache->mutex);
    struct item *item = cache->items;
    while (item && strcmp(item->key, key) != 0) item = item->next;
    if (!item && !add_item(cache, key, 0, 0, &item)) item = NULL;
    if (item) {
        KEN_ASSERT(!item->pinned);
        item->pinned = true;
        item->used = now_ns();
    }
    pthread_mutex_unlock(&cache->mutex);
    return item;
}

static void unpin(struct kend_cache *cache, struct item *item, bool gone)
{
    pthread_mutex_lock(&cache->mutex);
    item->pinned = false;
    item->reserved = item->bytes;
    item->used = now_ns();
    if (gone) free_item(cache, item);
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
    *result = NULL;
    *meta = (struct kend_meta){0};
    if (!cached) return ken_fail(error, KEN_ENOMEM, "out of memory");
    *cached = (struct kend_cached){.cache = cache, .folder = -1, .data = -1, .item = pin(cache, key)};
    if (!cached->item) {
        free(cached);
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    *result = cached;
    int code = open_data(cached, key, error);
    if (!code) cached->saved = read_meta(cached->folder, meta);
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
    pthread_mutex_lock(&cached->cache->mutex);
    cached->item->bytes = bytes;
    pthread_mutex_unlock(&cached->cache->mutex);
}

int kend_cached_save(struct kend_cached *cached, const struct kend_meta *meta, const char *url, struct ken_error *error)
{
    struct stat status;
    if (fdatasync(cached->data) || fstat(cached->data, &status)) return ken_fail_errno(error, errno, "saving a cache entry");
    json_t *json = meta_to_json(meta, url, modified(&status));
    if (!json) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int failed = write_meta(cached->folder, json);
    json_decref(json);
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
    pthread_mutex_lock(&cache->mutex);
    if (cached->item->key[0]) {
        snprintf(cached->gone, sizeof cached->gone, "%s%ld-%u", gone_prefix, (long)getpid(), cache->gone++);
        if (renameat(cache->fd, cached->item->key, cache->fd, cached->gone)) cached->gone[0] = '\0';
        cached->item->key[0] = '\0';
    }
    pthread_mutex_unlock(&cache->mutex);
}

void kend_cached_close(struct kend_cached **own)
{
    struct kend_cached *cached = *own;
    if (!cached) return;
    if (!cached->saved) kend_cached_detach(cached);
    if (cached->saved) utimensat(cached->folder, "meta", NULL, AT_SYMLINK_NOFOLLOW); /* the time of its last use */
    if (cached->data >= 0) close(cached->data);
    if (cached->folder >= 0) close(cached->folder);
    if (cached->gone[0]) remove_folder(cached->cache, cached->gone);
    unpin(cached->cache, cached->item, !cached->item->key[0]);
    free(cached);
    *own = NULL;
}

/* ---- room */

/* What the cache would hold if the claims were granted. */
struct room {
    uint64_t total;      /* there or reserved, by anyone */
    uint64_t own;        /* of it what the claims take */
    uint64_t coming;     /* of the total what is not yet there */
    uint64_t own_coming; /* of that what the claims take */
    uint64_t evictable;  /* there for nobody */
    uint64_t held;       /* there for others */
    struct item *oldest; /* of those that are there for nobody */
};

/* What is claimed of the item; false: nothing. */
static bool is_claimed(const struct item *item, const struct kend_claim *claims, size_t count, uint64_t *bytes)
{
    bool claimed = false;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (claims[i].cached->item != item) continue;
        claimed = true;
        *bytes = larger(*bytes, claims[i].bytes);
    }
    return claimed;
}

static void add(uint64_t *sum, uint64_t bytes)
{
    if (__builtin_add_overflow(*sum, bytes, sum)) *sum = UINT64_MAX;
}

/* With the mutex held. */
static struct room measure(const struct kend_cache *cache, const struct kend_claim *claims, size_t count)
{
    struct room room = {0};
    for (struct item *item = cache->items; item; item = item->next) {
        uint64_t wanted;
        const bool own = is_claimed(item, claims, count, &wanted);
        const uint64_t charged = larger(larger(item->bytes, item->reserved), wanted);
        add(&room.total, charged);
        add(&room.coming, charged - item->bytes);
        if (own) {
            add(&room.own, charged);
            add(&room.own_coming, charged - item->bytes);
        } else if (item->pinned) {
            add(&room.held, item->bytes);
        } else {
            add(&room.evictable, item->bytes);
            if (!room.oldest || item->used < room.oldest->used) room.oldest = item;
        }
    }
    return room;
}

static uint64_t free_bytes(const struct kend_cache *cache)
{
    struct statvfs status;
    if (fstatvfs(cache->fd, &status)) return 0;
    uint64_t bytes = 0;
    return __builtin_mul_overflow((uint64_t)status.f_bavail, (uint64_t)status.f_frsize, &bytes) ? UINT64_MAX : bytes;
}

/* Whether `coming` bytes fit on the disk once `spare` were given up. */
static bool disk_holds(const struct kend_cache *cache, uint64_t coming, uint64_t spare)
{
    uint64_t there = free_bytes(cache), wanted = cache->reserve_bytes;
    add(&there, spare);
    add(&wanted, coming);
    return wanted <= there;
}

/* Whether the claims fit once `spare` bytes that nobody uses were given up. */
static bool fits(const struct kend_cache *cache, const struct room *room, uint64_t spare)
{
    if (cache->max_bytes && room->total - spare > cache->max_bytes) return false;
    return !room->own_coming || disk_holds(cache, room->coming, spare);
}

/* With the mutex held, which is let go while files are removed. */
static void evict(struct kend_cache *cache, struct item *item)
{
    char name[GONE_NAME];
    snprintf(name, sizeof name, "%s%ld-%u", gone_prefix, (long)getpid(), cache->gone++);
    bool moved = renameat(cache->fd, item->key, cache->fd, name) == 0;
    kend_log(KEND_LOG_INFO, "cache entry evicted", KEND_S("entry", item->key), KEND_I("bytes", item->bytes));
    free_item(cache, item);
    pthread_mutex_unlock(&cache->mutex);
    if (moved) remove_folder(cache, name);
    pthread_mutex_lock(&cache->mutex);
}

void kend_cache_room(struct kend_cache *cache, struct kend_cache_room *room)
{
    struct stat status;
    *room = (struct kend_cache_room){.free = free_bytes(cache), .device = fstat(cache->fd, &status) ? 0 : status.st_dev};
    pthread_mutex_lock(&cache->mutex);
    for (const struct item *item = cache->items; item; item = item->next)
        if (!item->pinned) room->evictable += item->bytes;
    pthread_mutex_unlock(&cache->mutex);
}

void kend_cache_make_room(struct kend_cache *cache, uint64_t bytes)
{
    uint64_t wanted;
    if (__builtin_add_overflow(bytes, cache->reserve_bytes, &wanted)) wanted = UINT64_MAX;
    pthread_mutex_lock(&cache->mutex);
    while (free_bytes(cache) < wanted) {
        struct item *oldest = measure(cache, NULL, 0).oldest;
        if (!oldest) break;
        evict(cache, oldest);
    }
    pthread_mutex_unlock(&cache->mutex);
}

static int no_room(const struct kend_cache *cache, const struct room *room, struct ken_error *error)
{
    if (cache->max_bytes && room->total - room->evictable > cache->max_bytes)
        return ken_fail(error, KEN_EBUSY,
                        "%llu bytes do not fit into the cache beside what running jobs use of it (cache.max_bytes is %llu)",
                        (unsigned long long)room->own, (unsigned long long)cache->max_bytes);
    uint64_t others = room->evictable;
    add(&others, room->held);
    return ken_fail(error, disk_holds(cache, room->own_coming, others) ? KEN_EBUSY : KEN_ENO_SPACE,
                    "%llu more bytes do not fit on the disk of %s (%llu are free, disk.reserve_bytes keeps %llu)",
                    (unsigned long long)room->own_coming, cache->dir, (unsigned long long)free_bytes(cache),
                    (unsigned long long)cache->reserve_bytes);
}

static int too_large(const struct kend_cache *cache, uint64_t bytes, struct ken_error *error)
{
    if (!cache->max_bytes || bytes <= cache->max_bytes) return 0;
    return ken_fail(error, KEN_ETOO_LARGE, "%llu bytes are more than cache.max_bytes (%llu)", (unsigned long long)bytes,
                    (unsigned long long)cache->max_bytes);
}

/* With the mutex held, which is let go while files are removed. Nothing is evicted where that would not do. */
static int make_fit(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct ken_error *error)
{
    for (;;) {
        const struct room room = measure(cache, claims, count);
        int code = too_large(cache, room.own, error);
        if (code || fits(cache, &room, 0)) return code;
        if (!room.oldest || !fits(cache, &room, room.evictable)) return no_room(cache, &room, error);
        evict(cache, room.oldest);
    }
}

int kend_cache_reserve(struct kend_cache *cache, const struct kend_claim *claims, size_t count, struct ken_error *error)
{
    pthread_mutex_lock(&cache->mutex);
    int code = make_fit(cache, claims, count, error);
    for (size_t i = 0; i < count && !code; i++) {
        struct item *item = claims[i].cached->item;
        item->reserved = larger(item->reserved, claims[i].bytes);
    }
    pthread_mutex_unlock(&cache->mutex);
    return code;
}

int kend_cache_check(struct kend_cache *cache, const struct kend_claim *claims, size_t count, uint64_t *bytes, struct ken_error *error)
{
    pthread_mutex_lock(&cache->mutex);
    *bytes = measure(cache, claims, count).own;
    pthread_mutex_unlock(&cache->mutex);
    return too_large(cache, *bytes, error);
}

bool kend_cache_has_room(struct kend_cache *cache, uint64_t bytes)
{
    pthread_mutex_lock(&cache->mutex);
    struct room room = measure(cache, NULL, 0);
    pthread_mutex_unlock(&cache->mutex);
    add(&room.total, bytes);
    add(&room.coming, bytes);
    room.own_coming = bytes;
    return fits(cache, &room, room.evictable);
}

int kend_cached_reserve(struct kend_cached *cached, uint64_t least, uint64_t most, uint64_t *granted, struct ken_error *error)
{
    struct kend_cache *cache = cached->cache;
    if (cache->max_bytes && most > cache->max_bytes) most = cache->max_bytes;
    *granted = larger(least, most);
    int code = kend_cache_reserve(cache, &(struct kend_claim){cached, *granted}, 1, error);
    if (!code || *granted == least) return code;
    *granted = least;
    return kend_cache_reserve(cache, &(struct kend_claim){cached, least}, 1, error);
}
