/* SPDX-License-Identifier: Apache-2.0 */
#include "make_checkpoint.h"
#include "json_writer.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bytes */

struct made_file make_raw(const char *header, size_t header_length, const void *data, size_t data_length)
{
    struct made_file file = {.length = 8 + header_length + data_length};
    file.bytes = malloc(file.length);
    ck_assert_ptr_nonnull(file.bytes);
    for (unsigned i = 0; i < 8; i++) file.bytes[i] = (unsigned char)((uint64_t)header_length >> (8 * i));
    memcpy(file.bytes + 8, header, header_length);
    if (data_length) memcpy(file.bytes + 8 + header_length, data, data_length);
    return file;
}

static void fill(unsigned char *bytes, const struct make_tensor *tensor)
{
    unsigned seed = 0;
    for (const char *at = tensor->name; *at; at++) seed = seed * 31 + (unsigned char)*at;
    for (size_t i = 0; i < tensor->length; i++)
        bytes[i] = tensor->data ? ((const unsigned char *)tensor->data)[i] : (unsigned char)(seed + 7 * i + (i >> 8));
}

static void write_entry(struct ken_json_writer *json, const struct make_tensor *tensor, size_t begin)
{
    ken_json_key(json, tensor->name);
    ken_json_begin_object(json);
    ken_json_key(json, "dtype");
    ken_json_string(json, tensor->dtype);
    ken_json_key(json, "shape");
    ken_json_raw(json, tensor->shape, strlen(tensor->shape));
    ken_json_key(json, "data_offsets");
    ken_json_begin_array(json);
    ken_json_uint(json, begin);
    ken_json_uint(json, begin + tensor->length);
    ken_json_end_array(json);
    ken_json_end_object(json);
}

struct made_file make_safetensors(const char *metadata_json, const struct make_tensor *tensors, size_t count)
{
    struct ken_json_writer json;
    size_t at = 0, header_length = 0;
    const char *header = NULL;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    if (metadata_json) {
        ken_json_key(&json, "__metadata__");
        ken_json_raw(&json, metadata_json, strlen(metadata_json));
    }
    for (size_t i = 0; i < count; at += tensors[i++].length) write_entry(&json, &tensors[i], at);
    ken_json_end_object(&json);
    ck_assert_int_eq(ken_json_writer_finish(&json, NULL, &header_length), KEN_OK);
    ken_json_filler(&json, "       ", -header_length % 8);
    ck_assert_int_eq(ken_json_writer_finish(&json, &header, &header_length), KEN_OK);
    unsigned char *data = calloc(1, at + 1);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0, begin = 0; i < count; begin += tensors[i++].length) fill(data + begin, &tensors[i]);
    struct made_file file = make_raw(header, header_length, data, at);
    free(data);
    ken_json_writer_free(&json);
    return file;
}

/* ---- disk */

static char *path_in(const char *folder, const char *name)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

void write_file(const char *folder, const char *name, const void *bytes, size_t length)
{
    char *path = path_in(folder, name);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
}

void write_safetensors(const char *folder, const char *name, const char *metadata_json, const struct make_tensor *tensors, size_t count)
{
    struct made_file file = make_safetensors(metadata_json, tensors, count);
    write_file(folder, name, file.bytes, file.length);
    free(file.bytes);
}

struct made_file read_file(const char *folder, const char *name)
{
    char *path = path_in(folder, name);
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(descriptor >= 0 && fstat(descriptor, &status) == 0, "cannot read %s", path);
    struct made_file file = {.bytes = malloc((size_t)status.st_size + 1), .length = (size_t)status.st_size};
    ck_assert_ptr_nonnull(file.bytes);
    ck_assert_int_eq(read(descriptor, file.bytes, file.length), (ssize_t)file.length);
    close(descriptor);
    free(path);
    return file;
}

/* ---- memory */

struct memory_source {
    struct ken_source source;
    struct memory_opener *opener;
    const unsigned char *bytes;
};

static int memory_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct memory_source *memory = (struct memory_source *)source;
    if (++memory->opener->reads == memory->opener->fail_read_at) return ken_fail(error, KEN_EIO, "a read failed on purpose");
    memcpy(buffer, memory->bytes + offset, length);
    return KEN_OK;
}

static void memory_close(struct ken_source *source)
{
    struct memory_source *memory = (struct memory_source *)source;
    memory->opener->open_sources--;
    free((void *)memory->bytes);
    free(memory);
}

static const struct ken_source_ops memory_ops = {.read = memory_read, .close = memory_close};

static int memory_open(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    struct memory_opener *memory = (struct memory_opener *)opener;
    const struct memory_file *file = NULL;
    if (memory->fail_open) return ken_fail(error, memory->fail_open, "opening failed on purpose");
    for (size_t i = 0; i < memory->count && !file; i++)
        if (!name || strcmp(memory->files[i].name, name) == 0) file = &memory->files[i];
    if (!file) return ken_fail(error, KEN_ENOT_FOUND, "%s is not there", name ? name : "the location");
    struct memory_source *made = malloc(sizeof *made);
    unsigned char *copy = malloc(file->length); /* of just this size: a read beyond it is seen by sanitizers */
    ck_assert(made && (copy || !file->length));
    if (file->length) memcpy(copy, file->bytes, file->length);
    *made = (struct memory_source){.source = {.ops = &memory_ops, .size = file->length}, .opener = memory, .bytes = copy};
    memory->open_sources++;
    *source = &made->source;
    return KEN_OK;
}

struct memory_opener make_opener(const struct memory_file *files, size_t count, bool is_folder)
{
    return (struct memory_opener){.opener = {.open = memory_open, .is_folder = is_folder}, .files = files, .count = count};
}

int open_memory(struct ken_checkpoint **checkpoint, const void *bytes, size_t length, const struct ken_checkpoint_limits *limits,
                struct ken_error *error)
{
    static struct memory_opener opener; /* outlives the call: its sources count themselves in it */
    const struct memory_file file = {.name = "model.safetensors", .bytes = bytes, .length = length};
    opener = make_opener(&file, 1, false);
    int code = ken_checkpoint_open(checkpoint, &opener.opener, limits, error);
    if (code) ck_assert_int_eq(opener.open_sources, 0);
    opener.files = NULL;
    opener.count = 0;
    return code;
}
