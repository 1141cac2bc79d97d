/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

int ken_sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
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

int ken_output_create(struct ken_output_file *output, int directory, const char *path, struct ken_error *error)
{
    *output = (struct ken_output_file){.file = -1, .buffer = malloc(KEN_OUTPUT_BUFFER)};
    snprintf(output->path, sizeof output->path, "%s", path);
    int code = output->buffer ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for writing %s", path);
    if (!code) code = ken_digest_init(&output->digest, error);
    if (!code) code = ken_file_open(&output->file, directory, path, true, error);
    if (code) ken_output_abandon(output);
    return code;
}

/* Writes what follows all that was written before, whose length is `at`. */
static int write_through(struct ken_output_file *output, uint64_t at, const void *bytes, uint64_t length, struct ken_error *error)
{
    ken_digest_update(&output->digest, bytes, length);
    int code = ken_file_write(output->file, at, bytes, length, output->path, error);
    /* The disk may begin: less is left for the end. Where it cannot be told so, nothing is lost. */
    if (at / DISK_BYTES != (at + length) / DISK_BYTES) sync_file_range(output->file, 0, 0, SYNC_FILE_RANGE_WRITE);
    return code;
}

static int flush(struct ken_output_file *output, struct ken_error *error)
{
    size_t used = output->used;
    output->used = 0;
    return write_through(output, output->size - used, output->buffer, used, error);
}

int ken_output_write(struct ken_output_file *output, const void *bytes, uint64_t length, struct ken_error *error)
{
    if (output->used + length > KEN_OUTPUT_BUFFER) {
        int code = flush(output, error);
        if (code) return code;
    }
    uint64_t at = output->size;
    output->size += length;
    if (length > KEN_OUTPUT_BUFFER) return write_through(output, at, bytes, length, error);
    memcpy(output->buffer + output->used, bytes, length);
    output->used += length;
    return KEN_OK;
}

int ken_output_close(struct ken_output_file *output, bool durable, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    int code = flush(output, error);
    if (!code && durable && fdatasync(output->file)) code = ken_fail_errno(error, errno, "syncing %s", output->path);
    if (!code) code = ken_digest_final(&output->digest, sha256, error);
    ken_output_abandon(output);
    return code;
}

void ken_output_abandon(struct ken_output_file *output)
{
    if (!output->buffer) return;
    if (output->file >= 0) close(output->file);
    ken_digest_free(&output->digest);
    free(output->buffer);
    *output = (struct ken_output_file){.file = -1};
}
