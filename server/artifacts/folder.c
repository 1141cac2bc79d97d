/* SPDX-License-Identifier: Apache-2.0 */
#include "artifacts/folder.h"

#include "array.h"
#include "artifacts/tree.h"
#include "id.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct folder {
    struct kend_artifacts artifacts; /* first: what others see */
    int root, work, trash;           /* descriptors */
    atomic_uint_fast64_t discarded;  /* makes names in the trash unique */
};

static struct folder *folder_of(struct kend_artifacts *artifacts)
{
    return (struct folder *)artifacts;
}

/* A job's id is a folder's name, so nothing else may pass for one: not "..", not ".work". */
static int check_job(const char *job, struct ken_error *error)
{
    return proto_id_is(job) ? 0 : ken_fail(error, KEN_ENOT_FOUND, "no job has such an id");
}

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a folder, made (durably) if missing. */
static int make_folder(int parent, const char *name, int *folder, struct ken_error *error)
{
    bool made = mkdirat(parent, name, 0700) == 0;
    if (!made && errno != EEXIST) return ken_fail_errno(error, errno, "making %s", name);
    if (made && fsync(parent)) return ken_fail_errno(error, errno, "syncing the folder of %s", name);
    *folder = open_folder(parent, name);
    return *folder < 0 ? ken_fail_errno(error, errno, "opening %s", name) : 0;
}

static int work(struct kend_artifacts *artifacts, const char *job, int *directory, struct ken_error *error)
{
    int code = check_job(job, error);
    return code ? code : make_folder(folder_of(artifacts)->work, job, directory, error);
}

static bool published(struct kend_artifacts *artifacts, const char *job)
{
    struct stat status;
    return proto_id_is(job) && fstatat(folder_of(artifacts)->root, job, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* Renames working/out to root/job. Everything in it is durable already. */
static int move_out(struct folder *folder, int working, const char *job, struct ken_error *error)
{
    /* An existing folder is not replaced, for it has files in it: then another attempt has published the same bytes. */
    if (renameat(working, "out", folder->root, job) && errno != EEXIST && errno != ENOTEMPTY)
        return ken_fail_errno(error, errno, "publishing %s", job);
    if (fsync(working)) return ken_fail_errno(error, errno, "syncing the working folder of %s", job);
    return 0;
}

static int publish(struct kend_artifacts *artifacts, const char *job, struct ken_error *error)
{
    struct folder *folder = folder_of(artifacts);
    int code = check_job(job, error);
    if (code) return code;
    if (!published(artifacts, job)) {
        int working = open_folder(folder->work, job);
        if (working < 0 && errno == ENOENT) return ken_fail(error, KEN_ENOT_FOUND, "%s has no working folder", job);
        if (working < 0) return ken_fail_errno(error, errno, "opening the working folder of %s", job);
        code = kend_tree_sync(working, "out", error);
        if (!code) code = move_out(folder, working, job, error);
        close(working);
        if (code) return code;
    }
    /* Also when it was there: whoever renamed it may have died before this. */
    return fsync(folder->root) ? ken_fail_errno(error, errno, "syncing the artifacts' folder") : 0;
}

static int not_found(const char *job, const char *name, struct ken_error *error)
{
    char shown[128];
    return ken_fail(error, KEN_ENOT_FOUND, "%s has no artifact %s", job, ken_printable(shown, sizeof shown, name, strlen(name)));
}

static int open_failed(const char *job, const char *name, struct ken_error *error)
{
    int cause = errno;
    if (cause == ENOENT || cause == ENOTDIR || cause == ELOOP || cause == ENAMETOOLONG || cause == ENXIO)
        return not_found(job, name, error);
    return ken_fail_errno(error, cause, "opening an artifact of %s", job);
}

/*
 * Opens root/job/name one component at a time, so that no link on the way is followed and ".." leads nowhere. Gives a descriptor, or -1
 * with errno.
 */
static int walk_to(int root, const char *job, const char *name)
{
    int folder = openat(root, job, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (folder >= 0) {
        char component[NAME_MAX + 1];
        size_t length = strcspn(name, "/");
        bool last = !name[length];
        int next = -1;
        if (length > NAME_MAX || length == 0 || (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))) {
            errno = ENOENT;
        } else {
            memcpy(component, name, length);
            component[length] = '\0';
            int flags = last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
            next = openat(folder, component, flags | O_NOFOLLOW | O_CLOEXEC);
        }
        int cause = errno;
        close(folder);
        errno = cause;
        if (last) return next;
        folder = next;
        name += length + 1;
    }
    return -1;
}

static int open_artifact(struct kend_artifacts *artifacts, const char *job, const char *name, int *file, uint64_t *size,
                         struct ken_error *error)
{
    *file = -1;
    int code = check_job(job, error);
    if (code) return code;
    int opened = walk_to(folder_of(artifacts)->root, job, name);
    if (opened < 0) return open_failed(job, name, error);
    struct stat status;
    if (fstat(opened, &status)) {
        code = ken_fail_errno(error, errno, "opening an artifact of %s", job);
    } else if (!S_ISREG(status.st_mode)) {
        code = not_found(job, name, error);
    } else {
        *file = opened;
        *size = (uint64_t)status.st_size;
        return 0;
    }
    close(opened);
    return code;
}

/* Moves parent/job out of sight; *name is its new one in the trash, empty if there was nothing. */
static int discard(struct folder *folder, int parent, const char *job, char name[64], struct ken_error *error)
{
    for (;;) {
        snprintf(name, 64, "%s.%llu", job, (unsigned long long)atomic_fetch_add(&folder->discarded, 1));
        if (renameat(parent, job, folder->trash, name) == 0) break;
        if (errno == ENOENT) {
            name[0] = '\0';
            return 0;
        }
        /* Trash of an earlier process that could not be deleted. */
        if (errno == EEXIST || errno == ENOTEMPTY) continue;
        return ken_fail_errno(error, errno, "moving %s to the trash", job);
    }
    return fsync(parent) ? ken_fail_errno(error, errno, "syncing the folder of %s", job) : 0;
}

static int delete_discarded(struct folder *folder, const char *name, struct ken_error *error)
{
    return name[0] ? kend_tree_delete(folder->trash, name, error) : 0;
}

static int clear_work(struct kend_artifacts *artifacts, const char *job, struct ken_error *error)
{
    struct folder *folder = folder_of(artifacts);
    char name[64];
    int code = check_job(job, error);
    if (!code) code = discard(folder, folder->work, job, name, error);
    return code ? code : delete_discarded(folder, name, error);
}

static int remove_job(struct kend_artifacts *artifacts, const char *job, struct ken_error *error)
{
    struct folder *folder = folder_of(artifacts);
    char name[64];
    int code = check_job(job, error);
    if (!code) code = discard(folder, folder->root, job, name, error);
    if (code) return code;
    code = clear_work(artifacts, job, error);
    int other = delete_discarded(folder, name, code ? NULL : error);
    return code ? code : other;
}

struct ids {
    char (*item)[PROTO_ID_SIZE];
    size_t count, capacity;
};

static int collect_one(struct ids *ids, const char *name, struct ken_error *error)
{
    void *item = ken_array_grow(ids->item, ids->count, &ids->capacity, sizeof *ids->item);
    if (!item) return ken_fail(error, KEN_ENOMEM, "listing the artifacts");
    ids->item = item;
    memcpy(ids->item[ids->count++], name, PROTO_ID_SIZE);
    return 0;
}

/* Adds the jobs that have an entry in `parent`; those that have one in `except`, too, (-1: none) are left out. */
static int collect(int parent, int except, struct ids *ids, struct ken_error *error)
{
    int copy = open_folder(parent, ".");
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        int cause = errno;
        if (copy >= 0) close(copy);
        return ken_fail_errno(error, cause, "listing the artifacts");
    }
    int code = 0;
    while (!code) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry) {
            if (errno) code = ken_fail_errno(error, errno, "listing the artifacts");
            break;
        }
        if (!proto_id_is(entry->d_name) || (except >= 0 && faccessat(except, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)) continue;
        code = collect_one(ids, entry->d_name, error);
    }
    closedir(stream);
    return code;
}

static int each(struct kend_artifacts *artifacts, void (*visit)(void *opaque, const char *job), void *opaque, struct ken_error *error)
{
    struct folder *folder = folder_of(artifacts);
    /* All are collected first: a visitor may remove what it is shown. */
    struct ids ids = {0};
    int code = collect(folder->root, -1, &ids, error);
    if (!code) code = collect(folder->work, folder->root, &ids, error);
    for (size_t i = 0; !code && i < ids.count; i++) visit(opaque, ids.item[i]);
    free(ids.item);
    return code;
}

static int free_bytes(struct kend_artifacts *artifacts, uint64_t *bytes, uint64_t *device, struct ken_error *error)
{
    int root = folder_of(artifacts)->root;
    struct statvfs system;
    struct stat status;
    if (fstatvfs(root, &system) || fstat(root, &status)) return ken_fail_errno(error, errno, "asking for free space");
    if (__builtin_mul_overflow((uint64_t)system.f_bavail, (uint64_t)system.f_frsize, bytes)) *bytes = UINT64_MAX;
    *device = (uint64_t)status.st_dev;
    return 0;
}

static int used_bytes(struct kend_artifacts *artifacts, const char *job, uint64_t *bytes, struct ken_error *error)
{
    const struct folder *folder = folder_of(artifacts);
    *bytes = 0;
    if (!job) return kend_tree_measure(folder->root, ".", bytes, error);
    int code = check_job(job, error);
    if (!code) code = kend_tree_measure(folder->root, job, bytes, error);
    return code ? code : kend_tree_measure(folder->work, job, bytes, error);
}

static void close_folder(struct kend_artifacts *artifacts)
{
    struct folder *folder = folder_of(artifacts);
    const int descriptors[] = {folder->trash, folder->work, folder->root};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0) close(descriptors[i]);
    free(folder);
}

static const struct kend_artifacts_ops operations = {
    .close = close_folder,
    .work = work,
    .publish = publish,
    .published = published,
    .open = open_artifact,
    .clear_work = clear_work,
    .remove = remove_job,
    .each = each,
    .free_bytes = free_bytes,
    .used_bytes = used_bytes,
};

/* The root may be a link that the operator has set; what is in it may not. */
static int open_root(struct folder *folder, const char *path, struct ken_error *error)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) return ken_fail_errno(error, errno, "making %s", path);
    folder->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->root < 0) return ken_fail_errno(error, errno, "opening %s", path);
    if (!made) return 0;
    int parent = open_folder(folder->root, "..");
    int failed = parent < 0 || fsync(parent);
    int cause = errno;
    if (parent >= 0) close(parent);
    return failed ? ken_fail_errno(error, cause, "syncing the folder of %s", path) : 0;
}

/* Finishes the deletions that a crash has interrupted, by making the trash anew. */
static int empty_trash(struct folder *folder, struct ken_error *error)
{
    struct ken_error why;
    if (kend_tree_delete(folder->root, ".trash", &why))
        kend_log(KEND_LOG_WARN, "the trash of the artifacts could not be emptied", KEND_S("reason", why.message));
    return make_folder(folder->root, ".trash", &folder->trash, error);
}

int kend_folder_open(struct kend_artifacts **artifacts, const char *path, struct ken_error *error)
{
    *artifacts = NULL;
    struct folder *folder = calloc(1, sizeof *folder);
    if (!folder) return ken_fail(error, KEN_ENOMEM, "opening the artifacts' folder");
    folder->artifacts.ops = &operations;
    folder->root = folder->work = folder->trash = -1;
    int code = open_root(folder, path, error);
    if (!code) code = make_folder(folder->root, ".work", &folder->work, error);
    if (!code) code = empty_trash(folder, error);
    if (code)
        close_folder(&folder->artifacts);
    else
        *artifacts = &folder->artifacts;
    return code;
}
