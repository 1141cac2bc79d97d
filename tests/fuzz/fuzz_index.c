/* SPDX-License-Identifier: Apache-2.0 */
/* An index: read alone, then as that of a checkpoint of three shards, one of them a torch file with a tied tensor. */
#include "checkpoint/index.h"
#include "fuzz.h"
#include "make_torch.h"
#include "memory_source.h"

#include <string.h>

/* "a.safetensors" has "x" and "y", "b/c.safetensors" has "z", "d.bin" has "t" and its other name "u". */
static const char a_file[] = "\x80\0\0\0\0\0\0\0"
                             "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                             "\"y\":{\"dtype\":\"U8\",\"shape\":[1,3],\"data_offsets\":[8,11]}}                 "
                             "12345678abc";
static const char b_file[] = "\x40\0\0\0\0\0\0\0"
                             "{\"z\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2]}}           "
                             "zz";
static const struct make_torch_tensor d_tensors[] = {
    {.name = "t", .storage = "FloatStorage", .count = 6, .element = 4, .rank = 2, .shape = {2, 3}, .strides = {1, 2}},
    {.name = "u", .storage = "FloatStorage", .count = 6, .element = 4, .rank = 2, .shape = {2, 3}, .strides = {1, 2}},
};

static void check_index(const struct ken_index *index)
{
    bool used[64] = {false};
    KEN_ASSERT(index->file_count && index->file_count <= index->tensor_count && index->tensor_count <= fuzz_limits.max_tensors);
    for (size_t i = 0; i < index->tensor_count; i++) {
        KEN_ASSERT(*index->tensors[i].name && index->tensors[i].file < index->file_count);
        KEN_ASSERT(!i || strcmp(index->tensors[i - 1].name, index->tensors[i].name) < 0);
        used[index->tensors[i].file] = true;
    }
    for (size_t i = 0; i < index->file_count; i++) {
        KEN_ASSERT(used[i] && ken_file_name_is_safe(index->files[i], strlen(index->files[i])));
        KEN_ASSERT(!i || strcmp(index->files[i - 1], index->files[i]) < 0);
    }
}

static void read_index(struct memory_opener *opener)
{
    struct ken_source *source;
    struct ken_index index;
    struct ken_error error = {0};
    KEN_ASSERT(!opener->opener.open(&opener->opener, NULL, &source, &error));
    int code = ken_index_read(&index, source, "index", &fuzz_limits, &error);
    fuzz_accepted = !code;
    if (code)
        fuzz_check_error(code, &error);
    else
        check_index(&index);
    ken_index_free(&index);
    ken_source_close(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct made_file d_file;
    struct ken_checkpoint *checkpoint;
    struct ken_error error = {0};
    if (!d_file.bytes) d_file = make_torch(d_tensors, sizeof d_tensors / sizeof *d_tensors);
    const struct memory_file files[] = {
        {"model.safetensors.index.json", data, size},
        {"a.safetensors", a_file, sizeof a_file - 1},
        {"b/c.safetensors", b_file, sizeof b_file - 1},
        {"d.bin", d_file.bytes, d_file.length},
    };
    struct memory_opener opener = make_opener(files, sizeof files / sizeof *files, false);
    opener.opener.label = fuzz_label;
    read_index(&opener);
    int code = ken_checkpoint_open(&checkpoint, &opener.opener, &fuzz_limits, &error);
    if (code)
        fuzz_check_error(code, &error);
    else
        fuzz_check_checkpoint(checkpoint);
    ken_checkpoint_close(&checkpoint);
    KEN_ASSERT(!opener.open_sources);
    return 0;
}
