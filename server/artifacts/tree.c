/* SPDX-License-Identifier: Apache-2.0 */
#include "artifacts/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEPTH = 16, /* of a tree: kend's own have three levels, five from the root */
    STAT_BLOCK = 512
};

typedef int visit_entry(int folder, const char *name, int depth, void *opaque, struct ken_error *error);

static bool is_link_to_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Visits each entry of an open folder, which stays open and the caller's. */
static int walk(int folder, const char *name, int depth, visit_entry *visit, void *opaque, struct ken_error *error)
{
    if (depth >= DEPTH) return ken_fail(error, KEN_EINTERNAL, "%s: folders more than %d deep", name, DEPTH);
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        int cause = errno;
        if (copy >= 0) close(copy);
        return ken_fail_errno(error, cause, "listing %s", name);
    }
    int code = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry && errno) code = ken_fail_errno(error, errno, "listing %s", name);
        if (!entry) break;
        if (is_link_to_self_or_parent(entry->d_name)) continue;
        code = visit(folder, entry->d_name, depth, opaque, error);
        if (code) break;
    }
    closedir(stream);
    return code;
}

static int sync_entry(int parent, const char *name, int depth, void *opaque, struct ken_error *error)
{
    (void)opaque;
    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    int file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return ken_fail(error, KEN_ENOT_FOUND, "there is no %s", name);
    if (file < 0 && errno != ELOOP) return ken_fail_errno(error, errno, "opening %s", name);
    int code = 0;
    struct stat status;
    if (file >= 0 && fstat(file, &status))
        code = ken_fail_errno(error, errno, "%s", name);
    else if (file < 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        code = ken_fail(error, KEN_EINTERNAL, "%s is neither a file nor a folder", name);
    else if (S_ISDIR(status.st_mode))
        code = walk(file, name, depth + 1, sync_entry, NULL, error);
    if (!code && fsync(file)) code = ken_fail_errno(error, errno, "syncing %s", name);
    if (file >= 0) close(file);
    return code;
}

int kend_tree_sync(int parent, const char *name, struct ken_error *error)
{
    return sync_entry(parent, name, 0, NULL, error);
}

static int delete_entry(int parent, const char *name, int depth, void *opaque, struct ken_error *error)
{
    (void)opaque;
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
    /* Linux says EISDIR for a folder, POSIX EPERM. */
    if (errno != EISDIR && errno != EPERM) return ken_fail_errno(error, errno, "deleting %s", name);
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return ken_fail_errno(error, errno, "opening %s", name);
    int code = walk(folder, name, depth + 1, delete_entry, NULL, error);
    close(folder);
    if (!code && unlinkat(parent, name, AT_REMOVEDIR)) code = ken_fail_errno(error, errno, "deleting %s", name);
    return code;
}

int kend_tree_delete(int parent, const char *name, struct ken_error *error)
{
    return delete_entry(parent, name, 0, NULL, error);
}

/* What vanishes meanwhile counts for nothing. */
static int measure_entry(int parent, const char *name, int depth, void *opaque, struct ken_error *error)
{
    uint64_t *bytes = opaque;
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : ken_fail_errno(error, errno, "measuring %s", name);
    *bytes += (uint64_t)status.st_blocks * STAT_BLOCK;
    if (!S_ISDIR(status.st_mode)) return 0;
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return errno == ENOENT ? 0 : ken_fail_errno(error, errno, "opening %s", name);
    int code = walk(folder, name, depth + 1, measure_entry, bytes, error);
    close(folder);
    return code;
}

int kend_tree_measure(int parent, const char *name, uint64_t *bytes, struct ken_error *error)
{
    return measure_entry(parent, name, 0, bytes, error);
}
