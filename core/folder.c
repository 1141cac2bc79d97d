/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DISK_BYTES = 16 << 20 };

int ken_standard_files(void)
{
    int file;
    do file = open("/dev/null", O_RDONLY);
    while (file >= 0 && file <= STDERR_FILENO);
    if (file < 0) return errno;
    close(file);
    return 0;
}

int ken_sync_path(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC), errnum = 0;
    if (file < 0) return errno;
    if (fsync(file) != 0 && errno != EINVAL) errnum = errno;
    close(file);
    return errnum;
}

char *ken_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

int ken_sync_parent(const char *path)
{
    char *parent = ken_parent(path);
    int errnum = parent ? ken_sync_path(parent) : ENOMEM;
    free(parent);
    return errnum;
}

static int remove_one(const char *path, const struct stat *state, int type, struct FTW *place)
{
    (void)state, (void)type, (void)place;
    remove(path);
    return 0;
}

void ken_tree_remove(const char *path)
{
    enum { DESCRIPTORS = 16 };
    nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

int ken_folders_make(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return ENOMEM;
    int failed = 0;
    for (char *slash = copy; slash && !failed;) {
        slash = strchr(slash + 1, '/');
        if (slash) *slash = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST) failed = errno;
        if (slash) *slash = '/';
    }
    free(copy);
    return failed;
}

int ken_folder_make(int directory, const char *path, struct ken_error *error)
{
    if (mkdirat(directory, path, 0777) && errno != EEXIST) return ken_fail_errno(error, errno, "making the folder %s", path);
    return KEN_OK;
}

int ken_folder_sync(int directory, const char *path, struct ken_error *error)
{
    int folder = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return ken_fail_errno(error, errno, "opening the folder %s", path);
    int code = fsync(folder) ? ken_fail_errno(error, errno, "syncing the folder %s", path) : KEN_OK;
    close(folder);
    return code;
}

int ken_file_open(int *file, int directory, const char *path, bool fresh, struct ken_error *error)
{
    *file = openat(directory, path, O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0), 0666);
    if (*file >= 0) return KEN_OK;
    return errno == ENOENT && !fresh ? ken_fail(error, KEN_ENOT_FOUND, "%s does not exist", path)
                                     : ken_fail_errno(error, errno, "opening %s", path);
}

int ken_file_lock(int file)
{
    enum { TRIES = 40, PAUSE_MS = 50 };
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    for (int i = 0; flock(file, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK || i >= TRIES) return errno;
        nanosleep(&pause, NULL);
    }
    return 0;
}

ssize_t ken_pread(int file, void *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t count = pread(file, (char *)bytes + done, length - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

ssize_t ken_pwrite(int file, const void *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t count = pwrite(file, (const char *)bytes + done, length - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

int ken_file_write(int file, uint64_t offset, const void *bytes, uint64_t length, const char *path, struct ken_error *error)
{
    return ken_pwrite(file, bytes, length, offset) < 0 ? ken_fail_errno(error, errno, "writing %s", path) : KEN_OK;
}

int ken_file_read(int file, uint64_t offset, void *bytes, uint64_t length, const char *path, struct ken_error *error)
{
    ssize_t count = ken_pread(file, bytes, length, offset);
    if (count < 0) return ken_fail_errno(error, errno, "reading %s", path);
    return (uint64_t)count < length ? ken_fail(error, KEN_EIO, "%s is shorter than it was written", path) : KEN_OK;
}

int ken_file_reserve(int file, uint64_t length, const char *path, struct ken_error *error)
{
    int errnum = 0;
    do {
        errnum = fallocate(file, 0, 0, (off_t)length) ? errno : 0;
    } while (errnum == EINTR);
    if (errnum == EOPNOTSUPP || errnum == ENOSYS) errnum = ftruncate(file, (off_t)length) ? errno : 0;
    return errnum ? ken_fail_errno(error, errnum, "reserving %llu bytes for %s", (unsigned long long)length, path) : KEN_OK;
}

void ken_file_begin_sync(int file, uint64_t offset, uint64_t length)
{
    uint64_t first = offset / DISK_BYTES * DISK_BYTES, end = (offset + length) / DISK_BYTES * DISK_BYTES;
    /* A hint: what fails to be written fails again when the file is synced. */
    if (first < end) sync_file_range(file, (off_t)first, (off_t)(end - first), SYNC_FILE_RANGE_WRITE);
}

int ken_file_digest(int file, uint64_t size, const char *path, bool (*cancelled)(void *opaque), void *opaque,
                    unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    enum { PIECE = 1 << 18 };
    struct ken_digest digest = {0};
    unsigned char *buffer = malloc(PIECE);
    int code = buffer ? ken_digest_init(&digest, error) : ken_fail(error, KEN_ENOMEM, "out of memory for a digest");
    for (uint64_t done = 0; !code && done < size;) {
        size_t count = size - done < PIECE ? (size_t)(size - done) : PIECE;
        if (cancelled && cancelled(opaque)) code = ken_fail(error, KEN_ECANCELLED, "cancelled");
        if (!code) code = ken_file_read(file, done, buffer, count, path, error);
        if (!code) ken_digest_update(&digest, buffer, count);
        done += count;
    }
    if (!code) code = ken_digest_final(&digest, sha256, error);
    ken_digest_free(&digest);
    free(buffer);
    return code;
}

/* What lies at `path` already; *known is false if nothing does. A link is not followed: who may write to the folder could swap one in, and
   have root give the new file what is another file's. */
static int old_file(struct stat *old, bool *known, const char *path, struct ken_error *error)
{
    *known = lstat(path, old) == 0;
    if (!*known) return errno == ENOENT ? KEN_OK : ken_fail_errno(error, errno, "%s", path);
    if (S_ISLNK(old->st_mode)) return ken_fail(error, KEN_EINVALID, "%s is a link: name the file itself", path);
    return S_ISREG(old->st_mode) ? KEN_OK : ken_fail(error, KEN_EINVALID, "%s is not a file", path);
}

/* Gives a new file the mode and owner of the one that it will replace; without one (NULL), where that is allowed, the owner of the folder:
   what root puts into a service's folder is to be read by the service. 0, or an errno. */
static int take_after(int file, const struct stat *old, const char *path)
{
    struct stat own;
    if (!old) {
        char *folder = ken_parent(path);
        bool known = folder && stat(folder, &own) == 0;
        free(folder);
        return known && geteuid() == 0 && fchown(file, own.st_uid, own.st_gid) != 0 ? errno : 0;
    }
    if (fstat(file, &own) != 0) return errno;
    if ((old->st_uid != own.st_uid || old->st_gid != own.st_gid) && fchown(file, old->st_uid, old->st_gid) != 0) return errno;
    return fchmod(file, old->st_mode & 0777) == 0 ? 0 : errno;
}

int ken_file_replace(const char *path, const void *bytes, size_t length, struct ken_error *error)
{
    struct stat old;
    bool known;
    char *aside = NULL;
    int code = old_file(&old, &known, path, error);
    if (code) return code;
    if (asprintf(&aside, "%s.XXXXXX", path) < 0) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int file = mkostemp(aside, O_CLOEXEC), failure = file < 0 ? errno : 0;
    if (failure) goto out;
    if (ken_pwrite(file, bytes, length, 0) < 0 || fsync(file) != 0) failure = errno;
    if (!failure) failure = take_after(file, known ? &old : NULL, path);
    close(file);
    if (!failure && rename(aside, path) != 0) failure = errno;
    if (failure)
        unlink(aside);
    else
        failure = ken_sync_parent(path);
out:
    free(aside);
    return failure ? ken_fail_errno(error, failure, "writing %s", path) : KEN_OK;
}
