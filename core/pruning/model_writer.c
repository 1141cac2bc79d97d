/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/model_writer.h"

#include "checkpoint/model_header.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NO_FILE = -1 };

/* The file that a variant is at. */
struct current {
    int file; /* NO_FILE: none yet */
    size_t index;
    struct ken_digest digest; /* none if the file was begun by an earlier run */
    uint64_t digested;        /* bytes */
};

struct whole {
    bool known;
    unsigned char sha256[KEN_SHA256_SIZE];
};

struct ken_model_writer {
    const struct ken_plan *plan;
    int directory;
    bool durable;
    pthread_mutex_t lock; /* over the descriptors: a sync may run beside a change of file */
    struct current current[KEN_MAX_VARIANTS];
    struct whole *whole; /* [variants, files] */
};

void ken_model_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant, size_t file)
{
    char name[KEN_MODEL_NAME_SIZE];
    const char *folder = plan->options->variants[variant].name;
    ken_model_file_name(name, file, plan->model->file_count, plan->model->has_index);
    snprintf(path, KEN_PATH_SIZE, "out/%s%s%s", folder, *folder ? "/" : "", name);
}

static int make_file(struct ken_model_writer *writer, size_t variant, size_t index, struct ken_error *error)
{
    char path[KEN_PATH_SIZE], *header = NULL;
    size_t length;
    int file;
    ken_model_path(path, writer->plan, variant, index);
    int code = ken_file_open(&file, writer->directory, path, true, error);
    if (code) return code;
    code = ken_file_reserve(file, writer->plan->file_bytes[index], path, error);
    if (!code) code = ken_plan_header(writer->plan, index, &header, &length, error);
    if (!code) code = ken_file_write(file, 0, header, length, path, error);
    if (!code && writer->durable && fdatasync(file)) code = ken_fail_errno(error, errno, "syncing %s", path);
    free(header);
    close(file);
    return code;
}

static int find_file(struct ken_model_writer *writer, size_t variant, size_t index, struct ken_error *error)
{
    char path[KEN_PATH_SIZE];
    struct stat status;
    ken_model_path(path, writer->plan, variant, index);
    bool there = fstatat(writer->directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
    if (!there || (uint64_t)status.st_size != writer->plan->file_bytes[index])
        return ken_fail(error, KEN_ENOT_FOUND, "%s of an earlier run is not there", path);
    return KEN_OK;
}

int ken_model_writer_open(struct ken_model_writer **writer, const struct ken_plan *plan, int directory, bool durable, bool fresh,
                          struct ken_error *error)
{
    size_t files = plan->model->file_count, variants = plan->options->variant_count;
    struct ken_model_writer *opened = calloc(1, sizeof *opened);
    *writer = NULL;
    if (!opened || !(opened->whole = calloc(variants * files + 1, sizeof *opened->whole))) {
        free(opened);
        return ken_fail(error, KEN_ENOMEM, "out of memory for writing a model");
    }
    opened->plan = plan;
    opened->directory = directory;
    opened->durable = durable;
    pthread_mutex_init(&opened->lock, NULL);
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) opened->current[v].file = NO_FILE;
    int code = KEN_OK;
    for (size_t i = 0; !code && i < variants * files; i++)
        code = fresh ? make_file(opened, i / files, i % files, error) : find_file(opened, i / files, i % files, error);
    *writer = opened;
    if (code) ken_model_writer_close(writer);
    return code;
}

/* Closes the file that the variant is at, durably. */
static int leave_file(struct ken_model_writer *writer, struct current *current, struct ken_error *error)
{
    if (current->file == NO_FILE) return KEN_OK;
    int code = writer->durable && fdatasync(current->file) ? ken_fail_errno(error, errno, "syncing a model file") : KEN_OK;
    pthread_mutex_lock(&writer->lock);
    close(current->file);
    current->file = NO_FILE;
    pthread_mutex_unlock(&writer->lock);
    ken_digest_free(&current->digest);
    return code;
}

static int begin_digest(struct ken_model_writer *writer, struct current *current, struct ken_error *error)
{
    char *header;
    size_t length;
    int code = ken_plan_header(writer->plan, current->index, &header, &length, error);
    if (code) return code;
    code = ken_digest_init(&current->digest, error);
    if (!code) ken_digest_update(&current->digest, header, length);
    current->digested = length;
    free(header);
    return code;
}

static int enter_file(struct ken_model_writer *writer, size_t variant, size_t index, uint64_t offset, struct ken_error *error)
{
    struct current *current = &writer->current[variant];
    char path[KEN_PATH_SIZE];
    int file, code = leave_file(writer, current, error);
    ken_model_path(path, writer->plan, variant, index);
    if (!code) code = ken_file_open(&file, writer->directory, path, false, error);
    if (code) return code;
    pthread_mutex_lock(&writer->lock);
    current->file = file;
    pthread_mutex_unlock(&writer->lock);
    current->index = index;
    return offset == writer->plan->header_bytes[index] ? begin_digest(writer, current, error) : KEN_OK;
}

int ken_model_writer_write(struct ken_model_writer *writer, size_t variant, size_t tensor, uint64_t first, const void *bytes,
                           uint64_t length, struct ken_error *error)
{
    struct current *current = &writer->current[variant];
    size_t index = writer->plan->entries[tensor].model->file;
    uint64_t offset = ken_plan_offset(writer->plan, tensor) + first;
    char path[KEN_PATH_SIZE];
    int code = KEN_OK;
    if (current->file == NO_FILE || current->index != index) code = enter_file(writer, variant, index, offset, error);
    ken_model_path(path, writer->plan, variant, index);
    if (!code) code = ken_file_write(current->file, offset, bytes, length, path, error);
    if (!code && !writer->durable) ken_file_begin_sync(current->file, offset, length); /* else the syncer does more than that */
    if (code || !current->digest.context) return code;
    KEN_ASSERT(current->digested == offset);
    ken_digest_update(&current->digest, bytes, length);
    current->digested += length;
    if (current->digested < writer->plan->file_bytes[index]) return KEN_OK;
    struct whole *whole = &writer->whole[variant * writer->plan->model->file_count + index];
    code = ken_digest_final(&current->digest, whole->sha256, error);
    whole->known = !code;
    return code;
}

int ken_model_writer_sync(struct ken_model_writer *writer, struct ken_error *error)
{
    int code = KEN_OK;
    for (size_t v = 0; !code && v < writer->plan->options->variant_count; v++) {
        pthread_mutex_lock(&writer->lock);
        bool none = writer->current[v].file == NO_FILE;
        int copy = none ? NO_FILE : fcntl(writer->current[v].file, F_DUPFD_CLOEXEC, 0);
        int errnum = errno;
        pthread_mutex_unlock(&writer->lock);
        if (none) continue;
        if (copy < 0) return ken_fail_errno(error, errnum, "syncing a model file");
        if (fdatasync(copy)) code = ken_fail_errno(error, errno, "syncing a model file");
        close(copy);
    }
    return code;
}

bool ken_model_writer_digest(const struct ken_model_writer *writer, size_t variant, size_t file, unsigned char sha256[KEN_SHA256_SIZE])
{
    const struct whole *whole = &writer->whole[variant * writer->plan->model->file_count + file];
    if (whole->known) memcpy(sha256, whole->sha256, sizeof whole->sha256);
    return whole->known;
}

void ken_model_writer_close(struct ken_model_writer **writer)
{
    if (!*writer) return;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) {
        struct current *current = &(*writer)->current[v];
        if (current->file != NO_FILE) close(current->file);
        ken_digest_free(&current->digest);
    }
    pthread_mutex_destroy(&(*writer)->lock);
    free((*writer)->whole);
    free(*writer);
    *writer = NULL;
}
