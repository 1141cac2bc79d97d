/* SPDX-License-Identifier: Apache-2.0 */
/* file: URLs, read in place. The file may be the user's to change: it is checked again at the end, and only read with pread. */
#include "fetch/fetcher.h"
#include "fetch/fetch_source.h"
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HASH_BUFFER = 1 << 20 };

struct file_source {
    struct kend_source source;
    int fd;
    struct stat opened;
    char *path; /* resolved; people are shown the URL alone */
    char *shown;
    bool hashed; /* by `whole`, on the location's own thread */
    unsigned char sha256[KEN_SHA256_SIZE];
};

static struct file_source *of(struct ken_source *source)
{
    return (struct file_source *)source;
}

static bool is_below(const char *path, const char *root)
{
    size_t length = strlen(root);
    if (strcmp(root, "/") == 0) return true;
    return strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length]);
}

static bool is_allowed(const struct kend_fetcher *fetcher, const char *path)
{
    for (size_t i = 0; i < fetcher->root_count; i++)
        if (is_below(path, fetcher->roots[i])) return true;
    return false;
}

static int refuse(const struct kend_url *url, struct ken_error *error)
{
    return ken_fail(error, KEN_EADDRESS, "%.300s does not lie below a folder that fetch.file_roots lists", url->shown);
}

/*
 * Whether a path that does not resolve may be told of: the part of it that is there lies below a root, and what comes next is no link,
 * which might have led anywhere. Cuts the path.
 */
static bool may_be_told(const struct kend_fetcher *fetcher, char *path)
{
    char above[PATH_MAX];
    struct stat next;
    for (char *slash; (slash = strrchr(path, '/'));) {
        if (lstat(path, &next) == 0 && S_ISLNK(next.st_mode)) return false;
        *slash = '\0';
        if (realpath(*path ? path : "/", above)) return is_allowed(fetcher, above);
    }
    return false;
}

/*
 * The path with symbolic links resolved, below a root; malloc'ed. What is outside answers the same whether it exists or not: of two paths
 * neither of which may be read, nothing is to be learned.
 */
static int resolve(const struct kend_fetcher *fetcher, const struct kend_url *url, char **resolved, struct ken_error *error)
{
    char *path = kend_url_file_path(url);
    *resolved = NULL;
    if (!path) return ken_fail(error, KEN_ENOMEM, "out of memory");
    *resolved = realpath(path, NULL);
    int failed = *resolved ? 0 : errno, code = 0;
    if (*resolved)
        code = is_allowed(fetcher, *resolved) ? 0 : refuse(url, error);
    else if (failed == ENOMEM)
        code = ken_fail(error, KEN_ENOMEM, "out of memory");
    else if (!may_be_told(fetcher, path))
        code = refuse(url, error);
    else if (failed == ENOENT || failed == ENOTDIR)
        code = ken_fail(error, KEN_ENOT_FOUND, "%.300s: there is no such file", url->shown);
    else
        code = ken_fail(error, KEN_EFETCH, "%.300s: %s", url->shown, strerror(failed));
    free(path);
    if (code) {
        free(*resolved);
        *resolved = NULL;
    }
    return code;
}

/* Whether the descriptor is still of the path that was checked: no link was put in between. */
static bool is_of_path(int fd, const char *path)
{
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target);
    return length > 0 && (size_t)length < sizeof target && strlen(path) == (size_t)length && memcmp(path, target, (size_t)length) == 0;
}

int kend_file_scheme_mark_folder(const struct kend_fetcher *fetcher, struct kend_url *url, struct ken_error *error)
{
    char *path;
    struct stat status;
    struct kend_url inside = {0};
    struct ken_error ignored;
    int code = resolve(fetcher, url, &path, &ignored);
    if (code == KEN_EADDRESS || code == KEN_ENOMEM) return ken_fail(error, code, "%s", ignored.message);
    bool folder = path && stat(path, &status) == 0 && S_ISDIR(status.st_mode) && !kend_url_is_folder(url);
    free(path);
    if (!folder) return 0;
    code = kend_url_into(&inside, url, error);
    if (code) return code;
    kend_url_clear(url);
    *url = inside;
    return 0;
}

/* ---- the source */

static int file_read(struct ken_source *base, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    struct file_source *source = of(base);
    atomic_fetch_add(&source->source.location->fetcher->file_bytes, length);
    ssize_t got = ken_pread(source->fd, buffer, length, offset);
    if (got < 0) return ken_fail_errno(error, errno, "reading %.300s", source->shown);
    if ((size_t)got < length) return ken_fail(error, KEN_EFETCH, "%.300s became shorter while it was read", source->shown);
    return 0;
}

static int file_digest(struct ken_source *base, unsigned char sha256[32], struct ken_error *error)
{
    const struct file_source *source = of(base);
    if (!source->hashed) return ken_fail(error, KEN_ENOT_FOUND, "not known");
    memcpy(sha256, source->sha256, KEN_SHA256_SIZE);
    return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int file_check(struct ken_source *base, struct ken_error *error)
{
    const struct file_source *source = of(base);
    struct stat now, there;
    if (fstat(source->fd, &now) || stat(source->path, &there) || !is_same(&now, &source->opened) || !is_same(&there, &source->opened))
        return ken_fail(error, KEN_EFETCH, "%.300s changed while it was read", source->shown);
    return 0;
}

static void free_source(struct file_source *source)
{
    if (source->fd >= 0) close(source->fd);
    free(source->path);
    free(source->shown);
    free(source);
}

static void file_close(struct ken_source *base)
{
    struct file_source *source = of(base);
    struct kend_location *location = source->source.location;
    kend_source_leave(&source->source);
    kend_location_release(location);
    free_source(source);
}

static void file_fetch(struct kend_source *source)
{
    (void)source;
}

static void file_state(struct kend_source *source, struct kend_location_state *state)
{
    state->bytes_total += source->base.size;
    state->bytes_there += source->base.size;
    state->bytes_durable += source->base.size;
    state->bytes_resumed += source->base.size;
}

static int hash(struct file_source *source, char *buffer, struct ken_error *error)
{
    struct ken_digest digest;
    int code = ken_digest_init(&digest, error);
    if (code) return code;
    for (uint64_t at = 0; !code && at < source->source.base.size;) {
        uint64_t left = source->source.base.size - at;
        size_t length = left < HASH_BUFFER ? (size_t)left : HASH_BUFFER;
        code = kend_location_is_over(source->source.location) ? ken_fail(error, KEN_ECANCELLED, "cancelled")
                                                              : file_read(&source->source.base, at, buffer, length, error);
        if (!code) ken_digest_update(&digest, buffer, length);
        at += length;
    }
    if (!code) code = ken_digest_final(&digest, source->sha256, error);
    ken_digest_free(&digest);
    source->hashed = !code;
    return code;
}

static int file_whole(struct kend_source *base, const unsigned char *wanted, struct ken_error *error)
{
    struct file_source *source = of(&base->base);
    char is[KEN_SHA256_HEX_SIZE], should[KEN_SHA256_HEX_SIZE];
    if (!wanted) return 0; /* the reader hashes what it reads */
    char *buffer = malloc(HASH_BUFFER);
    int code = buffer ? hash(source, buffer, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    free(buffer);
    if (code || memcmp(source->sha256, wanted, KEN_SHA256_SIZE) == 0) return code;
    return ken_fail(error, KEN_EDIGEST, "%.200s has the SHA-256 %s, not %s", source->shown,
                    ken_hex_encode(is, source->sha256, KEN_SHA256_SIZE), ken_hex_encode(should, wanted, KEN_SHA256_SIZE));
}

static struct kend_cached *file_cached(const struct kend_source *source)
{
    (void)source;
    return NULL;
}

static void file_stop(struct kend_source *source)
{
    (void)source;
}

static const struct ken_source_ops source_ops = {NULL, file_read, file_digest, file_check, file_close};
static const struct kend_source_ops more_ops = {file_fetch, file_state, file_whole, file_cached, file_stop};

/*
 * Opens the path for nothing but to look at it: neither a FIFO nor a device notices. Where it is not what was checked any more, a link may
 * have been put in between, and what that leads to is told as nothing.
 */
static int open_path(struct file_source *source, const struct kend_url *url, struct ken_error *error)
{
    source->fd = open(source->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (source->fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return ken_fail(error, KEN_EFETCH, "%.300s: %m", url->shown);
    if (source->fd < 0 || !is_of_path(source->fd, source->path)) return refuse(url, error);
    if (fstat(source->fd, &source->opened)) return ken_fail(error, KEN_EFETCH, "%.300s: %m", url->shown);
    if (!S_ISREG(source->opened.st_mode)) return ken_fail(error, KEN_EFETCH, "%.300s is not a regular file", url->shown);
    return 0;
}

/* The file that the descriptor is of, whatever its path leads to by now. */
static int reopen(struct file_source *source, const struct kend_url *url, struct ken_error *error)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", source->fd);
    int fd = open(link, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ken_fail(error, KEN_EFETCH, "%.300s: %m", url->shown);
    close(source->fd);
    source->fd = fd;
    return 0;
}

static int open_checked(struct file_source *source, const struct kend_url *url, uint64_t max_bytes, struct ken_error *error)
{
    int code = open_path(source, url, error);
    if (!code) code = reopen(source, url, error);
    if (code) return code;
    source->source.base.size = (uint64_t)source->opened.st_size;
    ken_source_set_file_state(&source->source.base, &source->opened);
    if (max_bytes && source->source.base.size > max_bytes)
        return ken_fail(error, KEN_ETOO_LARGE, "%.300s has %llu bytes, fetch.max_bytes is %llu", url->shown,
                        (unsigned long long)source->source.base.size, (unsigned long long)max_bytes);
    return 0;
}

int kend_file_scheme_open(struct kend_location *location, const struct kend_url *url, struct ken_source **result, struct ken_error *error)
{
    struct file_source *source = calloc(1, sizeof *source);
    if (!source) return ken_fail(error, KEN_ENOMEM, "out of memory");
    source->fd = -1;
    source->source.base.ops = &source_ops;
    source->source.base.tells_digest = location->has_sha256;
    source->source.more = &more_ops;
    source->source.location = location;
    source->shown = strdup(url->shown);
    int code = source->shown ? resolve(location->fetcher, url, &source->path, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    if (source->path) code = open_checked(source, url, location->fetcher->max_bytes, error);
    if (code) {
        free_source(source);
        return code;
    }
    kend_source_join(&source->source);
    *result = &source->source.base;
    return 0;
}
