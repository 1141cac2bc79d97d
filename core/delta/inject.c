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

struct injection {
    const struct ken_delta *delta;
    struct ken_staging *staging;
    int file;      /* the one that is being written, or -1 */
    uint64_t size; /* of it so far */
};

/* Begins a file of the staged model; name NULL: the model is one file. */
static int create_file(struct injection *injection, const char *name, struct ken_error *error)
{
    const char *where = ken_staging_path(injection->staging);
    char *path = NULL;
    if ((name ? asprintf(&path, "%s/%s", where, name) : asprintf(&path, "%s", where)) < 0)
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code = ken_file_open(&injection->file, AT_FDCWD, path, true, error);
    injection->size = 0;
    free(path);
    return code;
}

static int append(struct injection *injection, const void *bytes, size_t length, struct ken_error *error)
{
    int code = ken_file_write(injection->file, injection->size, bytes, length, "the model", error);
    injection->size += length;
    return code;
}

static int on_begin(void *opaque, size_t file, const char *header, size_t length, struct ken_error *error)
{
    struct injection *injection = opaque;
    const struct ken_delta *delta = injection->delta;
    int code = create_file(injection, delta->has_index ? delta->files[file].name : NULL, error);
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
    (void)file;
    int closed = close(injection->file);
    injection->file = -1;
    return closed == 0 ? KEN_OK : ken_fail_errno(error, errno, "writing the model");
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
    code = create_file(injection, KEN_MODEL_INDEX_NAME, error);
    if (!code) code = append(injection, text, length, error);
    free(text);
    return code ? code : on_end(injection, 0, error);
}

int ken_inject(const struct ken_delta *delta, const struct ken_checkpoint *base, const char *output,
               const struct ken_inject_options *options, struct ken_error *error)
{
    struct injection injection = {.delta = delta, .file = -1};
    const struct ken_delta_sink sink = {on_begin, on_bytes, on_end, &injection};
    int code = ken_staging_open(&injection.staging, output, delta->has_index, error);
    if (code) return code;
    code = ken_delta_walk(delta, base, &sink, options, error);
    if (!code && delta->has_index) code = write_index(&injection, error);
    if (injection.file >= 0) close(injection.file);
    if (code) {
        ken_staging_abandon(&injection.staging);
        return code;
    }
    return ken_staging_commit(&injection.staging, error);
}
