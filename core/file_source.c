/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAGIC = 0x4b465352, SHOWN_PATH = 256 };

struct file_source {
    struct ken_source source;
    unsigned magic;
    int descriptor;
    struct stat opened; /* what the file was when it was opened */
    char *path;
    char shown[SHOWN_PATH]; /* the path as messages show it */
};

static struct file_source *file_of(struct ken_source *source)
{
    struct file_source *file = (struct file_source *)source;
    KEN_ASSERT(file->magic == FILE_MAGIC);
    return file;
}

static int file_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct file_source *file = file_of(source);
    ssize_t got = ken_pread(file->descriptor, buffer, length, offset);
    if (got < 0) return ken_fail_errno(error, errno, "reading \"%s\"", file->shown);
    if ((size_t)got < length) return ken_fail(error, KEN_EFETCH, "\"%s\" became shorter while it was read", file->shown);
    return KEN_OK;
}

/* What differs between the two, or NULL. */
static const char *difference(const struct stat *then, const struct stat *now)
{
    if (then->st_ino != now->st_ino || then->st_dev != now->st_dev) return "it is another file now";
    if (then->st_size != now->st_size) return "its size differs";
    if (then->st_mtim.tv_sec != now->st_mtim.tv_sec || then->st_mtim.tv_nsec != now->st_mtim.tv_nsec)
        return "its time of modification differs";
    return NULL;
}

static int file_check(struct ken_source *source, struct ken_error *error)
{
    const struct file_source *file = file_of(source);
    struct stat now;
    if (stat(file->path, &now) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return ken_fail(error, KEN_EFETCH, "\"%s\" changed while it was read: it is gone", file->shown);
        return ken_fail_errno(error, errno, "looking at \"%s\"", file->shown);
    }
    const char *reason = difference(&file->opened, &now);
    return reason ? ken_fail(error, KEN_EFETCH, "\"%s\" changed while it was read: %s", file->shown, reason) : KEN_OK;
}

static void file_close(struct ken_source *source)
{
    struct file_source *file = file_of(source);
    close(file->descriptor);
    free(file->path);
    file->magic = 0;
    free(file);
}

static const struct ken_source_ops file_ops = {.read = file_read, .check = file_check, .close = file_close};

int ken_file_source_open(struct ken_source **source, const char *path, struct ken_error *error)
{
    int code;
    *source = NULL;
    struct file_source *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        code = ken_fail(error, KEN_ENOMEM, "out of memory for opening a file");
        goto free_memory;
    }
    *file = (struct file_source){.source.ops = &file_ops, .magic = FILE_MAGIC, .path = copy};
    ken_printable(file->shown, sizeof file->shown, path, strlen(path));
    /* O_NONBLOCK: opening a pipe must not hang; it does nothing to regular files. */
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file->descriptor < 0) {
        code = errno == ENOENT || errno == ENOTDIR ? ken_fail(error, KEN_ENOT_FOUND, "\"%s\" does not exist", file->shown)
                                                   : ken_fail_errno(error, errno, "opening \"%s\"", file->shown);
        goto free_memory;
    }
    if (fstat(file->descriptor, &file->opened) < 0) {
        code = ken_fail_errno(error, errno, "looking at \"%s\"", file->shown);
        goto close_descriptor;
    }
    if (!S_ISREG(file->opened.st_mode)) {
        code = ken_fail(error, KEN_EIO, "\"%s\" is not a regular file", file->shown);
        goto close_descriptor;
    }
    file->source.size = (uint64_t)file->opened.st_size;
    ken_source_set_file_state(&file->source, &file->opened);
    *source = &file->source;
    return KEN_OK;
close_descriptor:
    close(file->descriptor);
free_memory:
    free(copy);
    free(file);
    return code;
}
