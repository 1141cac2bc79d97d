/* SPDX-License-Identifier: Apache-2.0 */
#include "data_folder.h"

#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int folder_lock(struct kend_data_folder *folder, int directory, const char *path, struct ken_error *error)
{
    folder->lock = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (folder->lock < 0) return ken_fail_errno(error, errno, "%s/lock", path);
    int failure = ken_file_lock(folder->lock); /* it waits: one that was killed may still be ending */
    if (!failure) return KEN_OK;
    close(folder->lock);
    if (failure == EWOULDBLOCK) return ken_fail(error, KEN_EINVALID, "the data folder %s is in use by another kend", path);
    return ken_fail_errno(error, failure, "locking %s/lock", path);
}

static bool is_instance(const char *text)
{
    return strspn(text, "0123456789abcdef") == KEND_INSTANCE_SIZE - 1 && strlen(text) == KEND_INSTANCE_SIZE - 1;
}

static int instance_make(char instance[KEND_INSTANCE_SIZE], int directory, const char *path, struct ken_error *error)
{
    unsigned char noise[(KEND_INSTANCE_SIZE - 1) / 2];
    if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise) return ken_fail_errno(error, errno, "random bytes");
    for (size_t i = 0; i < sizeof noise; i++) snprintf(instance + 2 * i, 3, "%02x", noise[i]);
    int file = openat(directory, "instance.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return ken_fail_errno(error, errno, "%s/instance", path);
    int failure = 0;
    if (write(file, instance, KEND_INSTANCE_SIZE - 1) != KEND_INSTANCE_SIZE - 1 || fsync(file) < 0) failure = errno ? errno : EIO;
    close(file);
    if (!failure && (renameat(directory, "instance.new", directory, "instance") < 0 || fsync(directory) < 0)) failure = errno;
    return failure ? ken_fail_errno(error, failure, "%s/instance", path) : KEN_OK;
}

/* Reads the instance's name, or makes one where there is none yet (or a file that is not one: leases then run out by time). */
static int folder_name(struct kend_data_folder *folder, int directory, const char *path, struct ken_error *error)
{
    char text[KEND_INSTANCE_SIZE + 1] = "";
    int file = openat(directory, "instance", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 && errno != ENOENT) return ken_fail_errno(error, errno, "%s/instance", path);
    if (file >= 0) {
        ssize_t got = read(file, text, sizeof text - 1);
        close(file);
        if (got < 0) return ken_fail_errno(error, errno, "%s/instance", path);
        text[got] = '\0';
    }
    if (!is_instance(text)) return instance_make(folder->instance, directory, path, error);
    memcpy(folder->instance, text, sizeof folder->instance);
    return KEN_OK;
}

int kend_data_folder_open(struct kend_data_folder *folder, const char *path, struct ken_error *error)
{
    memset(folder, 0, sizeof *folder);
    int failure = ken_folders_make(path);
    if (failure) return ken_fail_errno(error, failure, "making the data folder %s", path);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return ken_fail_errno(error, errno, "opening the data folder %s", path);
    int rc = folder_lock(folder, directory, path, error);
    if (rc) goto no_lock;
    rc = folder_name(folder, directory, path, error);
    if (rc) close(folder->lock);
no_lock:
    close(directory);
    return rc;
}

void kend_data_folder_close(struct kend_data_folder *folder)
{
    close(folder->lock);
}
