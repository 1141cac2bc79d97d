/* SPDX-License-Identifier: Apache-2.0 */
/* Deltas: the base of the corpus, and what comes of injecting one into it, in memory. */
#include "checkpoint/model_header.h"
#include "delta/delta_internal.h"
#include "fuzz.h"
#include "memory_source.h"

#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 8, MODEL_MAX = 1 << 20, PIECES_MAX = 64, ELEMENTS_MAX = 256 };

/* ---- the base: make_corpus.py has the same formula */

static const struct ken_header_tensor base_tensors[] = {
    {"a.weight", KEN_F32, 2, (const uint64_t[]){8, 16}, 512}, {"b.weight", KEN_BF16, 2, (const uint64_t[]){4, 24}, 192},
    {"c.bias", KEN_F16, 1, (const uint64_t[]){20}, 40},       {"d.half", KEN_F64, 2, (const uint64_t[]){3, 6}, 144},
    {"e.ids", KEN_I32, 1, (const uint64_t[]){5}, 20},
};
enum { BASE_TENSORS = sizeof base_tensors / sizeof *base_tensors };

static void fill(unsigned char *bytes, size_t number, enum ken_dtype dtype, size_t length)
{
    float values[ELEMENTS_MAX];
    int32_t integers[ELEMENTS_MAX];
    size_t count = length / ken_dtype_size(dtype);
    for (size_t i = 0; i < count; i++) {
        integers[i] = (int32_t)((i * 37 + number * 11) % 101) - 50;
        values[i] = (float)integers[i] / 32;
    }
    if (dtype == KEN_I32 || dtype == KEN_F32)
        memcpy(bytes, dtype == KEN_I32 ? (const void *)integers : values, length);
    else
        ken_convert(KEN_F32, values, dtype, bytes, count);
}

const struct ken_checkpoint *fuzz_base(void)
{
    static struct ken_checkpoint *base;
    struct ken_error error = {0};
    size_t length = 0, data = 0;
    char *bytes;
    if (base) return base;
    for (size_t i = 0; i < BASE_TENSORS; i++) data += base_tensors[i].length;
    KEN_ASSERT(!ken_model_header_make(&bytes, &length, NULL, base_tensors, BASE_TENSORS, &error));
    bytes = realloc(bytes, length + data);
    KEN_ASSERT(bytes);
    for (size_t i = 0, at = length; i < BASE_TENSORS; at += base_tensors[i++].length)
        fill((unsigned char *)bytes + at, i, base_tensors[i].dtype, base_tensors[i].length);
    KEN_ASSERT(!open_memory(&base, bytes, length + data, NULL, &error));
    free(bytes);
    return base;
}

/* ---- the model, in memory */

struct injected {
    const struct ken_delta *delta;
    struct memory_file files[1 + FILES_MAX]; /* [1 + count]: the index, if there is one, and the files */
    size_t count, used;
    uint64_t expected;    /* bytes of the file that is being written */
    unsigned char *bytes; /* [MODEL_MAX] of all files */
    unsigned pieces;
};

static bool is_enough(void *opaque)
{
    return ++((struct injected *)opaque)->pieces > PIECES_MAX;
}

static int append(struct injected *injected, const void *bytes, size_t length, struct ken_error *error)
{
    if (length > MODEL_MAX - injected->used) return ken_fail(error, KEN_ECANCELLED, "the model is too large for the target");
    if (length) memcpy(injected->bytes + injected->used, bytes, length);
    injected->used += length;
    injected->files[injected->count].length += length;
    return KEN_OK;
}

static int on_begin(void *opaque, size_t file, const char *header, size_t length, struct ken_error *error)
{
    struct injected *injected = opaque;
    const struct ken_delta *delta = injected->delta;
    KEN_ASSERT(file == injected->count);
    if (file == FILES_MAX) return ken_fail(error, KEN_ECANCELLED, "more files than the target takes");
    injected->files[++injected->count] = (struct memory_file){delta->files[file].name, injected->bytes + injected->used, 0};
    injected->expected = length;
    for (size_t i = 0; i < delta->files[file].count; i++) injected->expected += delta->entries[delta->files[file].first + i].length;
    return append(injected, header, length, error);
}

static int on_bytes(void *opaque, size_t tensor, const void *bytes, size_t length, struct ken_error *error)
{
    struct injected *injected = opaque;
    KEN_ASSERT(length && tensor < injected->delta->tensor_count);
    return append(injected, bytes, length, error);
}

static int on_end(void *opaque, size_t file, struct ken_error *error)
{
    const struct injected *injected = opaque;
    (void)error;
    KEN_ASSERT(file + 1 == injected->count && injected->files[injected->count].length == injected->expected);
    return KEN_OK;
}

/* A file without tensors can be in no index: no checkpoint has one, but a delta may be written by hand. */
static bool can_be_opened(const struct ken_delta *delta)
{
    for (size_t i = 0; i < delta->file_count; i++)
        if (delta->has_index && !delta->files[i].count) return false;
    return true;
}

/* The model is a checkpoint of just these tensors, and the delta verifies it. */
static void check_model(const struct ken_delta *delta, struct injected *injected)
{
    struct ken_checkpoint *model;
    struct ken_error error = {0};
    char *index = NULL;
    size_t first = delta->has_index ? 0 : 1;
    KEN_ASSERT(!ken_delta_index(delta, &index, &injected->files[0].length, &error));
    injected->files[0].name = KEN_MODEL_INDEX_NAME;
    injected->files[0].bytes = index;
    struct memory_opener opener = make_opener(injected->files + first, injected->count + 1 - first, false);
    KEN_ASSERT(!ken_checkpoint_open(&model, &opener.opener, NULL, &error));
    KEN_ASSERT(model->tensor_count == delta->tensor_count);
    for (size_t i = 0; i < delta->tensor_count; i++) {
        const struct ken_tensor *tensor = ken_checkpoint_find(model, delta->tensors[i].name);
        KEN_ASSERT(tensor && tensor->dtype == delta->tensors[i].dtype && tensor->length == delta->entries[i].length);
    }
    KEN_ASSERT(!ken_delta_verify(delta, fuzz_base(), model, NULL, &error));
    ken_checkpoint_close(&model);
    KEN_ASSERT(!opener.open_sources);
    free(index);
}

static void inject(const struct ken_delta *delta)
{
    struct injected injected = {.delta = delta, .bytes = malloc(MODEL_MAX)};
    const struct ken_delta_sink sink = {on_begin, on_bytes, on_end, &injected};
    const struct ken_inject_options options = {.cancelled = is_enough, .opaque = &injected};
    struct ken_error error = {0};
    KEN_ASSERT(injected.bytes);
    int code = ken_delta_walk(delta, fuzz_base(), &sink, &options, &error);
    fuzz_accepted = !code;
    if (code)
        fuzz_check_error(code, &error);
    else if (can_be_opened(delta))
        check_model(delta, &injected);
    free(injected.bytes);
}

void fuzz_check_delta(const void *bytes, size_t length)
{
    const struct memory_file file = {"delta.safetensors", bytes, length};
    struct memory_opener opener = make_opener(&file, 1, false);
    struct ken_delta *delta;
    struct ken_error error = {0};
    opener.opener.label = fuzz_label;
    int code = ken_delta_open(&delta, &opener.opener, &error);
    KEN_ASSERT(!code == !!delta);
    fuzz_accepted = false;
    if (code)
        fuzz_check_error(code, &error);
    else
        inject(delta);
    ken_delta_close(&delta);
    KEN_ASSERT(!opener.open_sources);
}
