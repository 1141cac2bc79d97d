/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "checkpoint/locate.h"
#include "checkpoint/model_header.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shape.h"
#include "checkpoint/torch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SHOWN = 160 };

struct internal {
    struct ken_header_store store;
    uint32_t *by_name; /* [tensor_count] indexes of tensors, sorted by name, then by file */
};

static int no_memory(struct ken_error *error)
{
    return ken_fail(error, KEN_ENOMEM, "out of memory for opening a checkpoint");
}

static struct ken_checkpoint *create(size_t file_count, const struct ken_checkpoint_limits *limits)
{
    struct ken_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    struct internal *internal = calloc(1, sizeof *internal);
    struct ken_checkpoint_file *files = calloc(file_count, sizeof *files);
    if (!checkpoint || !internal || !files) {
        free(checkpoint);
        free(internal);
        free(files);
        return NULL;
    }
    internal->store.limits = *limits;
    *checkpoint = (struct ken_checkpoint){.files = files, .file_count = file_count, .internal = internal};
    return checkpoint;
}

void ken_checkpoint_close(struct ken_checkpoint **checkpoint)
{
    struct ken_checkpoint *closing = *checkpoint;
    if (!closing) return;
    *checkpoint = NULL;
    struct internal *internal = closing->internal;
    for (size_t i = 0; i < closing->file_count; i++) {
        ken_source_close(&closing->files[i].source);
        free((char *)closing->files[i].metadata_json);
    }
    free(internal->by_name);
    free(internal->store.tensors);
    free(internal->store.ties);
    ken_arena_free(&internal->store.arena);
    free(internal);
    free(closing->files);
    free(closing);
}

/* ---- files */

/* Reads the header of files[number], which takes over the source, also on failure. */
static int read_file(struct ken_checkpoint *checkpoint, size_t number, const char *name, struct ken_source *source,
                     enum ken_content content, const char *label, struct ken_error *error)
{
    struct internal *internal = checkpoint->internal;
    struct ken_checkpoint_file *file = &checkpoint->files[number];
    file->source = file->stored = source;
    file->name = ken_arena_copy(&internal->store.arena, name, strlen(name));
    file->label = strcmp(name, label) == 0 ? file->name : ken_arena_copy(&internal->store.arena, label, strlen(label));
    if (!file->name || !file->label) return no_memory(error);
    return (content == KEN_CONTENT_TORCH_ZIP ? ken_torch_read : ken_safetensors_read)(&internal->store, file, (uint32_t)number, label,
                                                                                      error);
}

static int read_shard(struct ken_checkpoint *checkpoint, size_t number, const char *name, struct ken_opener *opener,
                      const char *index_label, struct ken_error *error)
{
    char label[KEN_LABEL_SIZE];
    struct ken_source *source = NULL;
    enum ken_content content = KEN_CONTENT_UNKNOWN;
    ken_printable(label, sizeof label, name, strlen(name));
    int code = opener->open(opener, name, &source, error);
    if (code == KEN_ENOT_FOUND) return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: file \"%s\" does not exist", index_label, label);
    if (code) return code;
    code = ken_content_detect(source, label, &content, error);
    if (!code && content == KEN_CONTENT_JSON)
        code = ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: neither a safetensors nor a torch file, but JSON", label);
    if (!code) return read_file(checkpoint, number, name, source, content, label, error);
    ken_source_close(&source);
    return code;
}

/* ---- lookup */

static int compare_tensors(const void *a, const void *b, void *tensors)
{
    const struct ken_tensor *left = (struct ken_tensor *)tensors + *(const uint32_t *)a;
    const struct ken_tensor *right = (struct ken_tensor *)tensors + *(const uint32_t *)b;
    int order = strcmp(left->name, right->name);
    return order ? order : left->file < right->file ? -1 : left->file > right->file;
}

static int sort_names(struct ken_checkpoint *checkpoint, struct ken_error *error)
{
    struct internal *internal = checkpoint->internal;
    struct ken_header_store *store = &internal->store;
    struct ken_tensor *fitting = store->count ? realloc(store->tensors, store->count * sizeof *fitting) : NULL;
    if (fitting) store->tensors = fitting;
    checkpoint->tensors = store->tensors;
    checkpoint->tensor_count = store->count;
    checkpoint->ties = store->ties;
    checkpoint->tie_count = store->tie_count;
    internal->by_name = malloc((store->count + 1) * sizeof *internal->by_name);
    if (!internal->by_name) return no_memory(error);
    for (size_t i = 0; i < store->count; i++) internal->by_name[i] = (uint32_t)i;
    if (store->count) qsort_r(internal->by_name, store->count, sizeof *internal->by_name, compare_tensors, store->tensors);
    return KEN_OK;
}

const struct ken_tensor *ken_checkpoint_find(const struct ken_checkpoint *checkpoint, const char *name)
{
    const uint32_t *by_name = ((const struct internal *)checkpoint->internal)->by_name;
    size_t low = 0, high = checkpoint->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ken_tensor *tensor = &checkpoint->tensors[by_name[middle]];
        int order = strcmp(name, tensor->name);
        if (!order) return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

uint64_t ken_tensor_elements(const struct ken_tensor *tensor)
{
    return tensor->rows * tensor->n;
}

bool ken_tensor_same_shape(const struct ken_tensor *a, const struct ken_tensor *b)
{
    return ken_shape_is(a->shape, a->rank, b->shape, b->rank);
}

/* ---- a checkpoint with an index */

/* A name of a tensor, its own or a tie's, and the file that has it. */
struct named {
    const char *name;
    uint32_t file;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : left->file < right->file ? -1 : left->file > right->file;
}

/* All names [*count], sorted; NULL if out of memory. */
static struct named *list_names(const struct ken_checkpoint *checkpoint, size_t *count)
{
    struct named *names = malloc((checkpoint->tensor_count + checkpoint->tie_count + 1) * sizeof *names);
    *count = 0;
    if (!names) return NULL;
    for (size_t i = 0; i < checkpoint->tensor_count; i++)
        names[(*count)++] = (struct named){checkpoint->tensors[i].name, checkpoint->tensors[i].file};
    for (size_t i = 0; i < checkpoint->tie_count; i++)
        names[(*count)++] = (struct named){checkpoint->ties[i].name, checkpoint->ties[i].file};
    if (*count) qsort(names, *count, sizeof *names, compare_named);
    return names;
}

static const char *show_file(const struct ken_checkpoint *checkpoint, uint32_t file, char shown[SHOWN])
{
    const char *name = checkpoint->files[file].name;
    KEN_ASSERT(name); /* as every file of an index has one */
    return ken_printable(shown, SHOWN, name, strlen(name));
}

/* A tensor that the index does not have at this place of the order by name. */
static int unexpected(const struct ken_checkpoint *checkpoint, const struct named *tensor, const struct named *previous, const char *label,
                      struct ken_error *error)
{
    char shown[SHOWN], file[SHOWN], other[SHOWN];
    ken_printable(shown, sizeof shown, tensor->name, strlen(tensor->name));
    show_file(checkpoint, tensor->file, file);
    if (!previous || strcmp(previous->name, tensor->name) != 0)
        return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\" of %s is not in the weight_map", label, shown, file);
    return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\" is in both %s and %s", label, shown,
                    show_file(checkpoint, previous->file, other), file);
}

/* Holds names [count] that there are against those of the index, both in order. */
static int compare_names(const struct ken_checkpoint *checkpoint, const struct named *names, size_t count, const struct ken_index *index,
                         const char *label, struct ken_error *error)
{
    const struct named *previous = NULL;
    char shown[SHOWN], file[SHOWN], other[SHOWN];
    for (size_t i = 0, j = 0; i < count || j < index->tensor_count; i++, j++) {
        const struct named *tensor = i < count ? &names[i] : NULL;
        const struct ken_index_tensor *mapped = j < index->tensor_count ? &index->tensors[j] : NULL;
        KEN_ASSERT(tensor || mapped);
        int order = !tensor ? 1 : !mapped ? -1 : strcmp(tensor->name, mapped->name);
        if (order < 0) return unexpected(checkpoint, tensor, previous, label, error);
        ken_printable(shown, sizeof shown, mapped->name, strlen(mapped->name));
        ken_printable(file, sizeof file, index->files[mapped->file], strlen(index->files[mapped->file]));
        if (order > 0)
            return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\" is mapped to %s, which does not have it", label, shown, file);
        if (tensor->file != mapped->file)
            return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\" is mapped to %s, but it is in %s", label, shown, file,
                            show_file(checkpoint, tensor->file, other));
        previous = tensor;
    }
    return KEN_OK;
}

static int compare_with_index(const struct ken_checkpoint *checkpoint, const struct ken_index *index, const char *label,
                              struct ken_error *error)
{
    size_t count;
    struct named *names = list_names(checkpoint, &count);
    if (!names) return no_memory(error);
    int code = compare_names(checkpoint, names, count, index, label, error);
    free(names);
    return code;
}

static int open_sharded(struct ken_checkpoint **checkpoint, struct ken_opener *opener, struct ken_source *source, const char *label,
                        const struct ken_checkpoint_limits *limits, struct ken_error *error)
{
    struct ken_index index;
    int code = ken_index_read(&index, source, label, limits, error);
    if (code) goto free_index;
    *checkpoint = create(index.file_count, limits);
    if (!*checkpoint) {
        code = no_memory(error);
        goto free_index;
    }
    (*checkpoint)->has_index = true;
    for (size_t i = 0; i < index.file_count && !code; i++) code = read_shard(*checkpoint, i, index.files[i], opener, label, error);
    if (!code) code = sort_names(*checkpoint, error);
    if (!code) code = compare_with_index(*checkpoint, &index, label, error);
free_index:
    ken_index_free(&index);
    return code;
}

/* Takes over the source, also on failure. */
static int open_single(struct ken_checkpoint **checkpoint, struct ken_source *source, enum ken_content content, const char *label,
                       const struct ken_checkpoint_limits *limits, struct ken_error *error)
{
    *checkpoint = create(1, limits);
    if (!*checkpoint) {
        ken_source_close(&source);
        return no_memory(error);
    }
    int code = read_file(*checkpoint, 0, KEN_MODEL_FILE_NAME, source, content, label, error);
    return code ? code : sort_names(*checkpoint, error);
}

int ken_checkpoint_open(struct ken_checkpoint **checkpoint, struct ken_opener *opener, const struct ken_checkpoint_limits *limits,
                        struct ken_error *error)
{
    struct ken_source *source = NULL;
    enum ken_content content = KEN_CONTENT_UNKNOWN;
    char label[KEN_LABEL_SIZE];
    static const struct ken_checkpoint_limits defaults = {KEN_DEFAULT_MAX_HEADER_BYTES, KEN_DEFAULT_MAX_TENSORS, KEN_TENSOR_NAME_MAX};
    if (!limits) limits = &defaults;
    *checkpoint = NULL;
    int code = ken_locate(opener, &source, &content, label, error);
    if (code) return code;
    if (content == KEN_CONTENT_JSON) {
        code = open_sharded(checkpoint, opener, source, label, limits, error);
        ken_source_close(&source);
    } else {
        code = open_single(checkpoint, source, content, label, limits, error);
    }
    if (code) ken_checkpoint_close(checkpoint);
    return code;
}

/* ---- paths */

struct path_opener {
    struct ken_opener opener;
    const char *path;
    int folder_length; /* bytes of path up to and with the last '/' that the files lie behind */
};

static int open_beside(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    const struct path_opener *at = (const struct path_opener *)opener;
    if (!name) return ken_file_source_open(source, at->path, error);
    const char *slash = opener->is_folder ? "/" : "";
    size_t size = (size_t)at->folder_length + strlen(slash) + strlen(name) + 1;
    char *path = malloc(size);
    if (!path) return no_memory(error);
    snprintf(path, size, "%.*s%s%s", at->folder_length, at->path, slash, name);
    int code = ken_file_source_open(source, path, error);
    free(path);
    return code;
}

int ken_checkpoint_open_path(struct ken_checkpoint **checkpoint, const char *path, const struct ken_checkpoint_limits *limits,
                             struct ken_error *error)
{
    struct stat status;
    const char *slash = strrchr(path, '/');
    size_t length = strlen(path);
    bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    *checkpoint = NULL;
    if (length > PATH_MAX) return ken_fail(error, KEN_EINVALID, "a path of %zu bytes is too long", length);
    while (is_folder && length > 1 && path[length - 1] == '/') length--;
    if (!is_folder) length = slash ? (size_t)(slash - path) + 1 : 0;
    struct path_opener opener = {
        .opener = {.open = open_beside, .is_folder = is_folder, .label = path},
        .path = path,
        .folder_length = (int)length,
    };
    return ken_checkpoint_open(checkpoint, &opener.opener, limits, error);
}
