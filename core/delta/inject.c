/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the model that a delta and its base make. */
#include "checkpoint/model_header.h"
#include "delta/delta_internal.h"
#include "folder.h"
#include "staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char what[] = "the model";

struct injection {
    const struct ken_delta *delta;
    int directory;                 /* that the paths are below */
    const char *path;              /* of the folder with the files, or of the only one */
    bool is_folder;                /* the former */
    struct ken_inject_file *files; /* to tell of each; NULL: their digests are not wanted, and whoever puts them in sight syncs */
    int file;                      /* the one that is being written, or -1 */
    uint64_t size;                 /* of it so far */
    struct ken_digest digest;      /* of it, if there is to be one */
};

/* Begins a file of the model, with room for so many bytes. */
static int create_file(struct injection *injection, const char *name, uint64_t room, struct ken_error *error)
{
    const size_t size = strlen(injection->path) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return ken_fail(error, KEN_ENOMEM, "out of memory");
    snprintf(path, size, "%s%s%s", injection->path, injection->is_folder ? "/" : "", injection->is_folder ? name : "");
    int code = ken_file_open(&injection->file, injection->directory, path, true, error);
    injection->size = 0;
    free(path);
    if (!code) code = ken_file_reserve(injection->file, room, what, error);
    return code || !injection->files ? code : ken_digest_init(&injection->digest, error);
}

static int append(struct injection *injection, const void *bytes, size_t length, struct ken_error *error)
{
    int code = ken_file_write(injection->file, injection->size, bytes, length, what, error);
    if (code) return code;
    if (injection->files) ken_digest_update(&injection->digest, bytes, length);
    ken_file_begin_sync(injection->file, injection->size, length);
    injection->size += length;
    return KEN_OK;
}

/* Ends the file, durably where it is told of. */
static int end_file(struct injection *injection, size_t index, const char *name, struct ken_error *error)
{
    struct ken_inject_file *told = injection->files ? &injection->files[index] : NULL;
    int code = KEN_OK;
    if (told) {
        snprintf(told->name, sizeof told->name, "%s", name);
        told->size = injection->size;
        code = ken_digest_final(&injection->digest, told->sha256, error);
    }
    if (!code && told && fdatasync(injection->file)) code = ken_fail_errno(error, errno, "syncing %s", what);
    if (close(injection->file) && !code) code = ken_fail_errno(error, errno, "writing %s", what);
    injection->file = -1;
    return code;
}

static int on_begin(void *opaque, size_t file, const char *header, size_t length, struct ken_error *error)
{
    struct injection *injection = opaque;
    const struct ken_delta *delta = injection->delta;
    int code = create_file(injection, delta->files[file].name, length + ken_delta_file_bytes(delta, file), error);
    return code ? code : append(injection, header, length, error);
}

static int on_bytes(void *opaque, size_t tensor, const void *bytes, size_t length, struct ken_error *error)
{
    (void)tensor;
    return append(opaque, bytes, length, error);
}

static int on_end(void *opaque, size_t file, struct ken_error *error)
{
    struct injection *injection = opaque;
    return end_file(injection, file, injection->delta->files[file].name, error);
}

int ken_delta_index(const struct ken_delta *delta, char **text, size_t *length, struct ken_error *error)
{
    struct ken_index_entry *entries = calloc(delta->tensor_count + 1, sizeof *entries);
    uint64_t total = 0;
    *text = NULL;
    if (!entries) return ken_fail(error, KEN_ENOMEM, "out of memory for an index");
    for (size_t i = 0; i < delta->file_count; i++)
        for (size_t j = delta->files[i].first; j < delta->files[i].first + delta->files[i].count; j++) {
            entries[j] = (struct ken_index_entry){delta->tensors[j].name, i};
            total += delta->entries[j].length;
        }
    int code = ken_model_index_make(text, length, entries, delta->tensor_count, delta->file_count, total, error);
    free(entries);
    return code;
}

static int write_index(struct injection *injection, struct ken_error *error)
{
    char *text;
    size_t length = 0;
    int code = ken_delta_index(injection->delta, &text, &length, error);
    if (code) return code;
    code = create_file(injection, KEN_MODEL_INDEX_NAME, length, error);
    if (!code) code = append(injection, text, length, error);
    free(text);
    return code ? code : end_file(injection, injection->delta->file_count, KEN_MODEL_INDEX_NAME, error);
}

static int write_model(struct injection *injection, const struct ken_checkpoint *base, const struct ken_inject_options *options,
                       struct ken_error *error)
{
    const struct ken_delta_sink sink = {on_begin, on_bytes, on_end, injection};
    injection->file = -1;
    int code = ken_delta_walk(injection->delta, base, &sink, options, error);
    if (!code && injection->delta->has_index) code = write_index(injection, error);
    if (injection->file >= 0) close(injection->file);
    ken_digest_free(&injection->digest);
    return code;
}

int ken_inject(const struct ken_delta *delta, const struct ken_checkpoint *base, const char *output, struct ken_inject_file *files,
               const struct ken_inject_options *options, struct ken_error *error)
{
    struct ken_staging *staging;
    int code = ken_staging_open(&staging, output, delta->has_index, error);
    if (code) return code;
    struct injection injection = {
        .delta = delta, .directory = AT_FDCWD, .path = ken_staging_path(staging), .is_folder = delta->has_index, .files = files};
    code = write_model(&injection, base, options, error);
    if (!code) return ken_staging_commit(&staging, error);
    ken_staging_abandon(&staging);
    return code;
}

size_t ken_inject_file_count(const struct ken_delta *delta)
{
    return delta->file_count + delta->has_index;
}

int ken_inject_bytes(const struct ken_delta *delta, uint64_t *model, uint64_t *index, struct ken_error *error)
{
    int code = KEN_OK;
    *model = *index = 0;
    for (size_t i = 0; i < delta->file_count && !code; i++) {
        char *header;
        size_t length = 0;
        code = ken_delta_header(delta, i, &header, &length, error);
        if (code) break;
        free(header);
        *model += length + ken_delta_file_bytes(delta, i);
    }
    if (code || !delta->has_index) return code;
    char *text;
    size_t length = 0;
    code = ken_delta_index(delta, &text, &length, error);
    free(text);
    *index = length;
    return code;
}

int ken_inject_into(const struct ken_delta *delta, const struct ken_checkpoint *base, int directory, const char *path,
                    struct ken_inject_file *files, const struct ken_inject_options *options, struct ken_error *error)
{
    struct injection injection = {.delta = delta, .directory = directory, .path = path, .is_folder = true, .files = files};
    int code = write_model(&injection, base, options, error);
    return code ? code : ken_folder_sync(directory, path, error);
}
