/* SPDX-License-Identifier: Apache-2.0 */
#include "make_torch.h"
#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1024 }; /* files grow by so much: realloc for each few bytes would take most of a fuzzer's time */

static size_t pages(size_t length)
{
    return length / PAGE + 1;
}

static void add(struct made_file *file, const void *bytes, size_t length)
{
    if (!file->bytes || pages(file->length + length) > pages(file->length)) {
        file->bytes = realloc(file->bytes, pages(file->length + length) * PAGE);
        KEN_ASSERT(file->bytes);
    }
    if (length) memcpy(file->bytes + file->length, bytes, length);
    file->length += length;
}

static void add_text(struct made_file *file, const char *text)
{
    add(file, text, strlen(text));
}

static void add_number(struct made_file *file, uint64_t number, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(number >> (8 * i));
    add(file, bytes, size);
}

/* ---- pickle */

static void add_string(struct made_file *pickle, const char *text)
{
    add_text(pickle, "X");
    add_number(pickle, strlen(text), 4);
    add_text(pickle, text);
}

static void add_integer(struct made_file *pickle, uint32_t integer)
{
    add_text(pickle, "J");
    add_number(pickle, integer, 4);
}

static void add_sizes(struct made_file *pickle, const uint32_t *sizes, uint32_t rank)
{
    add_text(pickle, "(");
    for (uint32_t i = 0; i < rank; i++) add_integer(pickle, sizes[i]);
    add_text(pickle, "t");
}

static void add_tensor(struct made_file *pickle, const struct make_torch_tensor *tensor)
{
    char key[16];
    snprintf(key, sizeof key, "%u", tensor->key);
    add_string(pickle, tensor->name);
    add_text(pickle, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_string(pickle, "storage");
    add_text(pickle, "ctorch\n");
    add_text(pickle, tensor->storage);
    add_text(pickle, "\n");
    add_string(pickle, key);
    add_string(pickle, "cpu");
    add_integer(pickle, tensor->count);
    add_text(pickle, "tQ");
    add_integer(pickle, tensor->offset);
    add_sizes(pickle, tensor->shape, tensor->rank);
    add_sizes(pickle, tensor->strides, tensor->rank);
    add_text(pickle, "\x89}tR");
}

/* ---- zip */

unsigned char make_torch_byte(unsigned key, size_t i)
{
    return (unsigned char)(key * 101 + i * 7 + (i >> 8) + 3);
}

static void add_header(struct made_file *file, const char *name, size_t size, bool local, size_t offset)
{
    add_number(file, local ? 0x04034b50 : 0x02014b50, 4);
    add_number(file, 0, local ? 2 : 4);
    add_number(file, 0, 4); /* flags, method */
    add_number(file, 0, 4); /* time */
    add_number(file, 0, 4); /* checksum, which nothing looks at */
    add_number(file, size, 4);
    add_number(file, size, 4);
    add_number(file, strlen(name), 2);
    add_number(file, 0, 2);
    if (!local) add_number(file, 0, 8);
    if (!local) add_number(file, 0, 2);
    if (!local) add_number(file, offset, 4);
    add_text(file, name);
}

static void add_entry(struct made_file *file, struct made_file *directory, const char *name, const void *bytes, size_t size)
{
    add_header(directory, name, size, false, file->length);
    add_header(file, name, size, true, 0);
    add(file, bytes, size);
}

static bool is_first(const struct make_torch_tensor *tensors, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (tensors[i].key == tensors[index].key) return false;
    return true;
}

static void add_storage(struct made_file *file, struct made_file *directory, const struct make_torch_tensor *tensor)
{
    char name[64];
    size_t size = (size_t)tensor->count * tensor->element;
    unsigned char *bytes = malloc(size + 1);
    KEN_ASSERT(bytes);
    for (size_t i = 0; i < size; i++) bytes[i] = make_torch_byte(tensor->key, i);
    snprintf(name, sizeof name, "x/data/%u", tensor->key);
    add_entry(file, directory, name, bytes, size);
    free(bytes);
}

struct made_file make_torch_raw(const void *pickle, size_t length, const struct make_torch_tensor *tensors, size_t count)
{
    struct made_file file = {0}, directory = {0};
    size_t entries = 1;
    add_entry(&file, &directory, "x/data.pkl", pickle, length);
    for (size_t i = 0; i < count; i++) {
        if (!is_first(tensors, i)) continue;
        add_storage(&file, &directory, &tensors[i]);
        entries++;
    }
    size_t begin = file.length;
    add(&file, directory.bytes, directory.length);
    add_number(&file, 0x06054b50, 4);
    add_number(&file, 0, 4);
    add_number(&file, entries, 2);
    add_number(&file, entries, 2);
    add_number(&file, directory.length, 4);
    add_number(&file, begin, 4);
    add_number(&file, 0, 2);
    free(directory.bytes);
    return file;
}

struct made_file make_torch(const struct make_torch_tensor *tensors, size_t count)
{
    struct made_file pickle = {0};
    add_text(&pickle, "\x80\2ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < count; i++) add_tensor(&pickle, &tensors[i]);
    add_text(&pickle, "u.");
    struct made_file file = make_torch_raw(pickle.bytes, pickle.length, tensors, count);
    free(pickle.bytes);
    return file;
}
