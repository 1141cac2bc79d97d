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
