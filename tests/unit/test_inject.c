/* SPDX-License-Identifier: Apache-2.0 */
/* Injecting: deltas that the test encodes for itself, with tensors larger than any piece that is read at once. */
#include "checkpoint/model_header.h"
#include "delta/delta.h"
#include "digest.h"
#include "json_writer.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TENSORS = 8, LONG_ROW = 200001 };

/* One tensor of a model and how its delta is to store it. */
struct part {
    const char *name;
    enum ken_dtype dtype;
    uint64_t n; /* elements; the shape is [n] */
    const void *model;
    const char *base_name; /* or NULL */
    enum ken_dtype base_dtype;
    const void *base;
    const unsigned char *stored; /* [n] which elements are; NULL for the forms that need none */
    enum ken_form form;
    size_t file;
};

/* Memory that lives as long as the pair of a test. */
static void *kept[64];
static size_t kept_count;

static void *keep(void *memory)
{
    ck_assert_ptr_nonnull(memory);
    ck_assert_uint_lt(kept_count, sizeof kept / sizeof *kept);
    return kept[kept_count++] = memory;
}

static const char *const form_names[] = {
#define X(symbol, name) name,
    KEN_FORM_MAP(X)
#undef X
};

/* Entries of the delta in the making. */
struct making {
    struct make_tensor entries[2 * MOST_TENSORS];
    char names[2 * MOST_TENSORS][32], shapes[2 * MOST_TENSORS][32];
    size_t count;
};

static void add_entry(struct making *making, const struct part *part, const char *suffix, enum ken_dtype dtype, uint64_t count, void *bytes)
{
    size_t i = making->count++;
    snprintf(making->names[i], sizeof making->names[i], "%s.%s", part->name, suffix);
    snprintf(making->shapes[i], sizeof making->shapes[i], "[%lu]", (unsigned long)count);
    making->entries[i] =
        (struct make_tensor){making->names[i], ken_dtype_name(dtype), making->shapes[i], bytes, count * ken_dtype_size(dtype)};
}

/* Encodes one tensor; returns how many values are stored. */
static uint64_t encode(struct making *making, const struct part *part)
{
    size_t size = ken_dtype_size(part->dtype);
    uint64_t count = 0, previous = 0;
    if (part->form == KEN_FORM_SAME) return 0;
    unsigned char *values = keep(calloc(part->n + 1, size)), *mask = keep(calloc(part->n / 8 + 1, 1));
    uint32_t *gaps = keep(calloc(part->n + 1, sizeof *gaps)), largest = 0;
    for (uint64_t i = 0; i < part->n; i++) {
        if (part->form != KEN_FORM_WHOLE && !part->stored[i]) continue;
        memcpy(values + count * size, (const unsigned char *)part->model + i * size, size);
        mask[i / 8] |= (unsigned char)(1U << i % 8);
        gaps[count] = (uint32_t)(count ? i - previous - 1 : i);
        if (gaps[count] > largest) largest = gaps[count];
        previous = i;
        count++;
    }
    add_entry(making, part, part->form == KEN_FORM_WHOLE ? "whole" : "values", part->dtype, count, values);
    if (part->form == KEN_FORM_MASK) add_entry(making, part, "mask", KEN_U8, (part->n + 7) / 8, mask);
    if (part->form == KEN_FORM_GAPS && largest > UINT16_MAX) add_entry(making, part, "gaps", KEN_U32, count, gaps);
    if (part->form == KEN_FORM_GAPS && largest <= UINT16_MAX) {
        uint16_t *narrow = (uint16_t *)(void *)mask; /* room for n / 16 of them at least */
        ck_assert_uint_le(count, part->n / 16);
        for (uint64_t i = 0; i < count; i++) narrow[i] = (uint16_t)gaps[i];
        add_entry(making, part, "gaps", KEN_U16, count, narrow);
    }
    return count;
}

static void tell_tensor(struct ken_json_writer *json, const struct part *part, uint64_t stored)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[KEN_SHA256_HEX_SIZE], shape[32];
    snprintf(shape, sizeof shape, "[%lu]", (unsigned long)part->n);
    ken_json_key(json, part->name);
    ken_json_begin_object(json);
    ken_json_key(json, "dtype");
    ken_json_string(json, ken_dtype_name(part->dtype));
    ken_json_key(json, "shape");
    ken_json_raw(json, shape, strlen(shape));
    ken_json_key(json, "base");
    if (part->base_name) {
        ken_sha256(part->base, part->n * ken_dtype_size(part->base_dtype), sha256, NULL);
        ken_json_begin_object(json);
        ken_json_key(json, "name");
        ken_json_string(json, part->base_name);
        ken_json_key(json, "dtype");
        ken_json_string(json, ken_dtype_name(part->base_dtype));
        ken_json_key(json, "sha256");
        ken_json_string(json, ken_hex_encode(hex, sha256, sizeof sha256));
        ken_json_end_object(json);
    } else
        ken_json_null(json);
    ken_json_key(json, "form");
    ken_json_string(json, form_names[part->form]);
    ken_json_key(json, "stored");
    ken_json_uint(json, stored);
    ken_json_end_object(json);
}

/* "model" of the metadata: `files` files without metadata of their own, but the first has {"format":"pt"}. */
static void tell_model(struct ken_json_writer *json, const struct part *parts, size_t count, size_t files)
{
    ken_json_begin_object(json);
    ken_json_key(json, "files");
    ken_json_begin_array(json);
    for (size_t f = 0; f < files; f++) {
        char name[KEN_MODEL_NAME_SIZE];
        ken_model_file_name(name, f, files, files > 1);
        ken_json_begin_object(json);
        ken_json_key(json, "name");
        ken_json_string(json, name);
        ken_json_key(json, "metadata");
        ken_json_raw(json, f ? "null" : "{\"format\":\"pt\"}", f ? 4 : 15);
        ken_json_key(json, "tensors");
        ken_json_begin_array(json);
        for (size_t i = 0; i < count; i++)
            if (parts[i].file == f) ken_json_string(json, parts[i].name);
        ken_json_end_array(json);
        ken_json_end_object(json);
    }
    ken_json_end_array(json);
    ken_json_key(json, "index");
    if (files > 1)
        ken_json_string(json, KEN_MODEL_INDEX_NAME);
    else
        ken_json_null(json);
    ken_json_end_object(json);
}

/* Writes folder/delta.safetensors and folder/base.safetensors. */
static void write_pair(const char *folder, const struct part *parts, size_t count, size_t files)
{
    struct making making = {0};
    struct make_tensor base[MOST_TENSORS];
    char shapes[MOST_TENSORS][32];
    size_t bases = 0;
    struct ken_json_writer tensors, model, metadata;
    const char *text;
    size_t length;
    ken_json_writer_init(&tensors);
    ken_json_writer_init(&model);
    ken_json_writer_init(&metadata);
    ken_json_begin_object(&tensors);
    for (size_t i = 0; i < count; i++) {
        tell_tensor(&tensors, &parts[i], encode(&making, &parts[i]));
        if (!parts[i].base_name) continue;
        snprintf(shapes[bases], sizeof shapes[bases], "[%lu]", (unsigned long)parts[i].n);
        base[bases] = (struct make_tensor){parts[i].base_name, ken_dtype_name(parts[i].base_dtype), shapes[bases], parts[i].base,
                                           parts[i].n * ken_dtype_size(parts[i].base_dtype)};
        bases++;
    }
    ken_json_end_object(&tensors);
    tell_model(&model, parts, count, files);
    ken_json_begin_object(&metadata);
    const char *const fixed[][2] = {{"format", "ken-delta"}, {"version", "1"}, {"encoding", "plain"}};
    for (size_t i = 0; i < 3; i++) {
        ken_json_key(&metadata, fixed[i][0]);
        ken_json_string(&metadata, fixed[i][1]);
    }
    ken_json_key(&metadata, "model");
    ck_assert_int_eq(ken_json_writer_finish(&model, &text, &length), KEN_OK);
    ken_json_string_bytes(&metadata, text, length);
    ken_json_key(&metadata, "tensors");
    ck_assert_int_eq(ken_json_writer_finish(&tensors, &text, &length), KEN_OK);
    ken_json_string_bytes(&metadata, text, length);
    ken_json_end_object(&metadata);
    ck_assert_int_eq(ken_json_writer_finish(&metadata, &text, &length), KEN_OK);
    write_safetensors(folder, "delta.safetensors", text, making.entries, making.count);
    write_safetensors(folder, "base.safetensors", NULL, base, bases);
    ken_json_writer_free(&tensors);
    ken_json_writer_free(&model);
    ken_json_writer_free(&metadata);
}

struct pair {
    struct unit_folder place;
    const char *folder; /* place.path */
    struct ken_delta *delta;
    struct ken_checkpoint *base;
};

static void open_pair(struct pair *pair, const struct part *parts, size_t count, size_t files)
{
    *pair = (struct pair){0};
    unit_folder_make(&pair->place);
    pair->folder = pair->place.path;
    struct ken_error error = {0};
    char *delta = unit_join(pair->folder, "delta.safetensors"), *base = unit_join(pair->folder, "base.safetensors");
    write_pair(pair->folder, parts, count, files);
    ck_assert_msg(ken_delta_open_path(&pair->delta, delta, &error) == KEN_OK, "%s", error.message);
    ck_assert_msg(ken_checkpoint_open_path(&pair->base, base, NULL, &error) == KEN_OK, "%s", error.message);
    free(delta);
    free(base);
}

static void close_pair(struct pair *pair)
{
    ken_delta_close(&pair->delta);
    ken_checkpoint_close(&pair->base);
    unit_folder_remove(&pair->place);
    while (kept_count) free(kept[--kept_count]);
}

static size_t count_files(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    while (readdir(entries)) count++;
    closedir(entries);
    return count - 2;
}

/* Checks a written file: its header, and that the parts of that file follow. */
static void check_file(const char *folder, const char *name, const struct part *parts, size_t count, size_t file)
{
    struct made_file made = read_file(folder, name);
    struct ken_header_tensor tensors[MOST_TENSORS];
    const struct part *own[MOST_TENSORS];
    size_t n = 0, length;
    char *header;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].file != file) continue;
        own[n] = &parts[i];
        tensors[n++] =
            (struct ken_header_tensor){parts[i].name, parts[i].dtype, 1, &parts[i].n, parts[i].n * ken_dtype_size(parts[i].dtype)};
    }
    ck_assert_int_eq(ken_model_header_make(&header, &length, file ? NULL : "{\"format\":\"pt\"}", tensors, n, NULL), KEN_OK);
    ck_assert_uint_ge(made.length, length);
    ck_assert_mem_eq(made.bytes, header, length);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_ge(made.length, length + tensors[i].length);
        ck_assert_msg(!tensors[i].length || memcmp(made.bytes + length, own[i]->model, tensors[i].length) == 0, "%s differs", own[i]->name);
        length += tensors[i].length;
    }
    ck_assert_uint_eq(made.length, length);
    free(header);
    free(made.bytes);
}

/* Bytes that look random. */
static void *noise(size_t length, uint64_t seed)
{
    unsigned char *bytes = keep(malloc(length + 1));
    for (size_t i = 0; i < length; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (unsigned char)(seed >> 56);
    }
    return bytes;
}

/* A copy of base [n] of `size` in which every step-th element from `first` on is another one; marks those in *stored. */
static void *changed(const void *base, size_t n, size_t size, size_t first, size_t step, unsigned char **stored)
{
    unsigned char *model = keep(malloc(n * size));
    memcpy(model, base, n * size);
    *stored = keep(calloc(n, 1));
    for (size_t i = first; i < n; i += step) {
        model[i * size] ^= 0x5a;
        (*stored)[i] = 1;
    }
    return model;
}

/* Tensors of every form, longer than a piece, and of odd lengths. */
static size_t make_parts(struct part parts[MOST_TENSORS])
{
    unsigned char *stored;
    void *f32 = noise(4 * LONG_ROW, 1), *f16 = noise(2 * LONG_ROW, 2), *i8 = noise(LONG_ROW, 3), *f64 = noise(8 * LONG_ROW, 4);
    void *model = changed(f32, LONG_ROW, 4, 0, 3, &stored);
    parts[0] = (struct part){"mask", KEN_F32, LONG_ROW, model, "mask", KEN_F32, f32, stored, KEN_FORM_MASK, 0};
    model = changed(f16, LONG_ROW, 2, 17, 100, &stored);
    parts[1] = (struct part){"gaps", KEN_F16, LONG_ROW, model, "gaps", KEN_F16, f16, stored, KEN_FORM_GAPS, 0};
    model = changed(i8, LONG_ROW, 1, LONG_ROW - 1, 1, &stored);
    parts[2] = (struct part){"wide", KEN_I8, LONG_ROW, model, "wide", KEN_I8, i8, stored, KEN_FORM_GAPS, 0};
    parts[3] = (struct part){"same", KEN_F64, LONG_ROW, f64, "old.same", KEN_F64, f64, NULL, KEN_FORM_SAME, 1};
    parts[4] = (struct part){"whole", KEN_F64, LONG_ROW, noise(8 * LONG_ROW, 5), "whole", KEN_F64, f64, NULL, KEN_FORM_WHOLE, 1};
    parts[5] = (struct part){"added", KEN_BF16, 7, noise(14, 6), NULL, KEN_F32, NULL, NULL, KEN_FORM_WHOLE, 1};
    parts[6] = (struct part){"empty", KEN_F32, 0, "", "empty", KEN_F32, "", NULL, KEN_FORM_SAME, 0};
    return 7;
}

START_TEST(a_model_of_one_file_is_written)
{
    struct part parts[MOST_TENSORS];
    size_t count = make_parts(parts);
    for (size_t i = 0; i < count; i++) parts[i].file = 0;
    struct pair pair;
    open_pair(&pair, parts, count, 1);
    struct ken_error error = {0};
    char *output = unit_join(pair.folder, "out.safetensors");
    ck_assert_msg(ken_inject(pair.delta, pair.base, output, NULL, NULL, &error) == KEN_OK, "%s", error.message);
    check_file(pair.folder, "out.safetensors", parts, count, 0);
    ck_assert_uint_eq(count_files(pair.folder), 3);
    struct ken_checkpoint *model = NULL;
    ck_assert_int_eq(ken_checkpoint_open_path(&model, output, NULL, &error), KEN_OK);
    ck_assert_msg(ken_delta_verify(pair.delta, pair.base, model, NULL, &error) == KEN_OK, "%s", error.message);
    ken_checkpoint_close(&model);
    free(output);
    close_pair(&pair);
}
END_TEST

/* Injects with so many threads and the least memory, into the folder that is there, and checks what is told of the files. */
static void inject_into(const struct ken_delta *delta, const struct ken_checkpoint *base, const char *folder, unsigned threads)
{
    struct ken_error error = {0};
    struct ken_inject_file files[MOST_TENSORS];
    struct ken_inject_options options = {.budget = ken_budget_create(KEN_INJECT_BYTES)};
    uint64_t bytes, index, told = 0;
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(directory, 0);
    ck_assert_int_eq(ken_threads_create(&options.executor, threads, NULL), KEN_OK);
    ck_assert_uint_le(ken_inject_file_count(delta), MOST_TENSORS);
    ck_assert_msg(ken_inject_into(delta, base, directory, ".", files, &options, &error) == KEN_OK, "%s", error.message);
    for (size_t i = 0; i < ken_inject_file_count(delta); i++) {
        unsigned char sha256[KEN_SHA256_SIZE];
        struct made_file file = read_file(folder, files[i].name);
        ck_assert_uint_eq(file.length, files[i].size);
        ck_assert_int_eq(ken_sha256(file.bytes, file.length, sha256, NULL), KEN_OK);
        ck_assert_mem_eq(sha256, files[i].sha256, sizeof sha256);
        told += files[i].size;
        free(file.bytes);
    }
    ck_assert_int_eq(ken_inject_bytes(delta, &bytes, &index, NULL), KEN_OK);
    ck_assert_uint_eq(told, bytes + index);
    ken_threads_destroy(&options.executor);
    ken_budget_destroy(&options.budget); /* all was given back, or it aborts */
    close(directory);
}

static const unsigned thread_counts[] = {1, 2, 7};

/* A base, a delta of it that pruning has made, and the model that belongs to them. */
static void inject_what_was_pruned(enum ken_encoding encoding)
{
    struct unit_folder folder;
    struct made_pair made;
    struct ken_options options = pair_options(5, 0);
    char work[PATH_MAX], out[PATH_MAX], path[PATH_MAX];
    static const char *const names[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json"};
    options.encoding = encoding;
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    ck_assert_int_eq(mkdir(unit_path(out, &folder, "again"), 0777), 0);
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work};
    ck_assert_int_eq(prune_pair(&pair, &options), KEN_OK);
    struct ken_delta *delta;
    struct ken_checkpoint *base;
    ck_assert_int_eq(ken_delta_open_path(&delta, unit_path(path, &folder, "work/out/delta.safetensors"), NULL), KEN_OK);
    ck_assert_int_eq(ken_checkpoint_open_path(&base, made.base, NULL, NULL), KEN_OK);
    for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++) {
        inject_into(delta, base, out, thread_counts[t]);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            struct made_file again = read_file(out, names[i]), pruned = read_file(unit_path(path, &folder, "work/out"), names[i]);
            ck_assert_uint_eq(again.length, pruned.length);
            ck_assert(memcmp(again.bytes, pruned.bytes, pruned.length) == 0);
            free(again.bytes);
            free(pruned.bytes);
        }
    }
    ken_delta_close(&delta);
    ken_checkpoint_close(&base);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

START_TEST(any_threads_make_the_pruned_model)
{
    for (unsigned e = 0; e < KEN_ENCODING_COUNT; e++) inject_what_was_pruned((enum ken_encoding)e);
}
END_TEST

START_TEST(any_threads_make_a_model_of_many_blocks)
{
    struct part parts[MOST_TENSORS];
    size_t count = make_parts(parts);
    for (size_t i = 0; i < count; i++) parts[i].file = 0;
    struct pair pair;
    char out[PATH_MAX];
    open_pair(&pair, parts, count, 1);
    ck_assert_int_eq(mkdir(unit_path(out, &pair.place, "out"), 0777), 0);
    for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++) {
        inject_into(pair.delta, pair.base, out, thread_counts[t]);
        check_file(out, "model.safetensors", parts, count, 0);
    }
    close_pair(&pair);
}
END_TEST

static void check_sharded(const char *folder, const struct part *parts, size_t count)
{
    check_file(folder, "model-00001-of-00002.safetensors", parts, count, 0);
    check_file(folder, "model-00002-of-00002.safetensors", parts, count, 1);
    struct made_file index = read_file(folder, "model.safetensors.index.json");
    static const char wanted[] = "{\n  \"metadata\": {\n    \"total_size\": 4600037\n  },\n  \"weight_map\": {\n"
                                 "    \"added\": \"model-00002-of-00002.safetensors\",\n"
                                 "    \"empty\": \"model-00001-of-00002.safetensors\",\n"
                                 "    \"gaps\": \"model-00001-of-00002.safetensors\",\n"
                                 "    \"mask\": \"model-00001-of-00002.safetensors\",\n"
                                 "    \"same\": \"model-00002-of-00002.safetensors\",\n"
                                 "    \"whole\": \"model-00002-of-00002.safetensors\",\n"
                                 "    \"wide\": \"model-00001-of-00002.safetensors\"\n  }\n}\n";
    ck_assert_msg(index.length == strlen(wanted) && memcmp(index.bytes, wanted, index.length) == 0, "%.*s", (int)index.length,
                  (const char *)index.bytes);
    free(index.bytes);
}

/* Model order is file by file. */
static size_t make_sharded(struct part parts[MOST_TENSORS])
{
    size_t count = make_parts(parts);
    struct part empty = parts[6];
    memmove(&parts[4], &parts[3], 3 * sizeof *parts);
    parts[3] = empty;
    return count;
}

START_TEST(a_sharded_model_is_a_folder_with_an_index)
{
    struct part parts[MOST_TENSORS];
    size_t count = make_sharded(parts);
    struct pair pair;
    open_pair(&pair, parts, count, 2);
    struct ken_error error = {0};
    char *output = unit_join(pair.folder, "out");
    ck_assert_msg(ken_inject(pair.delta, pair.base, output, NULL, NULL, &error) == KEN_OK, "%s", error.message);
    check_sharded(output, parts, count);
    ck_assert_uint_eq(count_files(output), 3);
    ck_assert_uint_eq(count_files(pair.folder), 3);
    struct ken_checkpoint *model = NULL;
    ck_assert_int_eq(ken_checkpoint_open_path(&model, output, NULL, &error), KEN_OK);
    ck_assert_msg(ken_delta_verify(pair.delta, pair.base, model, NULL, &error) == KEN_OK, "%s", error.message);
    ken_checkpoint_close(&model);
    /* Again, into the folder that has a file of its own now: it stays. */
    write_file(output, "notes.txt", "x", 1);
    ck_assert_msg(ken_inject(pair.delta, pair.base, output, NULL, NULL, &error) == KEN_OK, "%s", error.message);
    check_sharded(output, parts, count);
    ck_assert_uint_eq(count_files(output), 4);
    ck_assert_uint_eq(count_files(pair.folder), 3);
    free(output);
    close_pair(&pair);
}
END_TEST

START_TEST(a_base_of_another_dtype_is_converted)
{
    enum { N = 100003 };
    struct part parts[2];
    unsigned char *stored, *stored16;
    uint16_t *bf16 = noise(2 * N, 9);
    float *wide = keep(malloc(4 * N));
    uint16_t *narrow = keep(malloc(2 * N));
    for (size_t i = 0; i < N; i++) bf16[i] &= 0x7eff; /* finite */
    ken_convert(KEN_BF16, bf16, KEN_F32, wide, N);
    for (size_t i = 0; i < N; i++) ck_assert_uint_eq(((const uint32_t *)(const void *)wide)[i], (uint32_t)bf16[i] << 16);
    float *source = keep(malloc(4 * N));
    for (size_t i = 0; i < N; i++) {
        source[i] = wide[i] * 1.00390625f; /* 1 + 2^-8: a tie, or close to one */
        uint32_t bits = ((const uint32_t *)(const void *)source)[i];
        narrow[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
    void *model = changed(wide, N, 4, 5, 7, &stored), *model16 = changed(narrow, N, 2, 2, 2, &stored16);
    parts[0] = (struct part){"up", KEN_F32, N, model, "up", KEN_BF16, bf16, stored, KEN_FORM_MASK, 0};
    parts[1] = (struct part){"down", KEN_BF16, N, model16, "down", KEN_F32, source, stored16, KEN_FORM_MASK, 0};
    struct pair pair;
    open_pair(&pair, parts, 2, 1);
    struct ken_error error = {0};
    char *output = unit_join(pair.folder, "out.safetensors");
    ck_assert_msg(ken_inject(pair.delta, pair.base, output, NULL, NULL, &error) == KEN_OK, "%s", error.message);
    check_file(pair.folder, "out.safetensors", parts, 2, 0);
    free(output);
    close_pair(&pair);
}
END_TEST

/* Opens another base and expects the injection to fail, leaving nothing behind and what was there alone. */
static void expect_refusal(struct pair *pair, const struct make_tensor *base, size_t count, int code, const char *message)
{
    struct ken_error error = {0};
    char *output = unit_join(pair->folder, "out.safetensors"), *path = unit_join(pair->folder, "base.safetensors");
    write_file(pair->folder, "out.safetensors", "old", 3);
    ken_checkpoint_close(&pair->base);
    write_safetensors(pair->folder, "base.safetensors", NULL, base, count);
    ck_assert_int_eq(ken_checkpoint_open_path(&pair->base, path, NULL, &error), KEN_OK);
    ck_assert_int_eq(ken_inject(pair->delta, pair->base, output, NULL, NULL, &error), code);
    ck_assert_msg(strstr(error.message, message) != NULL, "%s", error.message);
    ck_assert_int_eq(ken_delta_verify(pair->delta, pair->base, NULL, NULL, &error), code);
    struct made_file old = read_file(pair->folder, "out.safetensors");
    ck_assert_uint_eq(old.length, 3);
    ck_assert_uint_eq(count_files(pair->folder), 3);
    free(old.bytes);
    free(path);
    free(output);
}

START_TEST(another_base_is_refused)
{
    unsigned char base[24], *stored;
    memset(base, 1, sizeof base);
    void *model = changed(base, 6, 4, 1, 2, &stored);
    const struct part parts[] = {{"a", KEN_F32, 6, base, "a", KEN_F32, base, NULL, KEN_FORM_SAME, 0},
                                 {"b", KEN_F32, 6, model, "b", KEN_F32, base, stored, KEN_FORM_MASK, 0}};
    struct pair pair;
    open_pair(&pair, parts, 2, 1);
    unsigned char other[24];
    memset(other, 1, sizeof other);
    other[23] = 2;
    const struct make_tensor good = {"a", "F32", "[6]", base, 24};
    const struct make_tensor changed_bit[] = {good, {"b", "F32", "[6]", other, 24}};
    expect_refusal(&pair, changed_bit, 2, KEN_EDIGEST, "base tensor \"b\" has SHA-256 ");
    const struct make_tensor other_shape[] = {good, {"b", "F32", "[2,3]", base, 24}};
    expect_refusal(&pair, other_shape, 2, KEN_EMISMATCH, "base tensor \"b\" has another shape");
    const struct make_tensor other_dtype[] = {good, {"b", "I32", "[6]", base, 24}};
    expect_refusal(&pair, other_dtype, 2, KEN_EMISMATCH, "base tensor \"b\" is I32, the delta was made from F32");
    expect_refusal(&pair, &good, 1, KEN_EMISMATCH, "the base has no tensor \"b\"");
    close_pair(&pair);
}
END_TEST

/* Even where no value of the base is needed, another base is refused. */
START_TEST(a_whole_tensor_still_checks_its_base)
{
    unsigned char base[8] = {1, 2, 3}, model[8] = {4}, other[8] = {5};
    const struct part parts[] = {{"a", KEN_F32, 2, model, "a", KEN_F32, base, NULL, KEN_FORM_WHOLE, 0}};
    struct pair pair;
    open_pair(&pair, parts, 1, 1);
    const struct make_tensor changed_base = {"a", "F32", "[2]", other, 8};
    expect_refusal(&pair, &changed_base, 1, KEN_EDIGEST, "this is another base");
    close_pair(&pair);
}
END_TEST

static bool always(void *opaque)
{
    (void)opaque;
    return true;
}

static void on_progress(void *opaque, uint64_t done, uint64_t total)
{
    uint64_t *seen = opaque;
    ck_assert_uint_gt(done, seen[0]);
    seen[0] = done;
    seen[1] = total;
}

START_TEST(it_tells_its_progress_and_can_be_cancelled)
{
    struct part parts[MOST_TENSORS];
    size_t count = make_parts(parts);
    for (size_t i = 0; i < count; i++) parts[i].file = 0;
    struct pair pair;
    open_pair(&pair, parts, count, 1);
    struct ken_error error = {0};
    uint64_t seen[2] = {0};
    char *output = unit_join(pair.folder, "out.safetensors");
    ck_assert_int_eq(ken_inject(pair.delta, pair.base, output, NULL, &(struct ken_inject_options){.cancelled = always}, &error),
                     KEN_ECANCELLED);
    ck_assert_uint_eq(count_files(pair.folder), 2);
    const struct ken_inject_options watched = {.progress = on_progress, .opaque = seen};
    ck_assert_int_eq(ken_inject(pair.delta, pair.base, output, NULL, &watched, &error), KEN_OK);
    ck_assert_uint_eq(seen[0], 4600037);
    ck_assert_uint_eq(seen[1], 4600037);
    free(output);
    close_pair(&pair);
}
END_TEST

START_TEST(a_place_that_cannot_be_written_is_told)
{
    unsigned char base[4] = {0};
    const struct part parts[] = {{"a", KEN_F32, 1, base, "a", KEN_F32, base, NULL, KEN_FORM_SAME, 0}};
    struct pair pair;
    open_pair(&pair, parts, 1, 1);
    struct ken_error error = {0};
    char *output = unit_join(pair.folder, "none/out.safetensors");
    ck_assert_int_eq(ken_inject(pair.delta, pair.base, output, NULL, NULL, &error), KEN_EIO);
    ck_assert_msg(strstr(error.message, "none/out.safetensors") != NULL, "%s", error.message);
    ck_assert_int_eq(ken_inject(pair.delta, pair.base, pair.folder, NULL, NULL, &error), KEN_EINVALID);
    ck_assert_msg(strstr(error.message, "is a folder") != NULL, "%s", error.message);
    free(output);
    close_pair(&pair);
}
END_TEST

/* The disk is full in the midst of it, as the limit on a file's size shows it. */
START_TEST(a_write_that_fails_leaves_nothing)
{
    struct part parts[MOST_TENSORS];
    size_t count = make_sharded(parts);
    struct pair pair;
    open_pair(&pair, parts, count, 2);
    char *output = unit_join(pair.folder, "out");
    ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    for (rlim_t limit = 0; limit < 3000000; limit = 2 * limit + 1000) {
        struct ken_error error = {0};
        struct rlimit old;
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, old.rlim_max}), 0);
        int code = ken_inject(pair.delta, pair.base, output, NULL, NULL, &error);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
        ck_assert_int_eq(code, KEN_EIO);
        ck_assert_msg(strstr(error.message, "the model: File too large") != NULL, "%s", error.message);
        ck_assert_uint_eq(count_files(pair.folder), 2);
    }
    free(output);
    close_pair(&pair);
}
END_TEST

/* Verifies a model that differs in one way. */
static void expect_difference(const struct pair *pair, const char *metadata, const struct make_tensor *tensors, size_t count,
                              const char *message)
{
    struct ken_checkpoint *model = NULL;
    struct ken_error error = {0};
    char *path = unit_join(pair->folder, "model.safetensors");
    write_safetensors(pair->folder, "model.safetensors", metadata, tensors, count);
    ck_assert_int_eq(ken_checkpoint_open_path(&model, path, NULL, &error), KEN_OK);
    int code = ken_delta_verify(pair->delta, pair->base, model, NULL, &error);
    if (message) {
        ck_assert_int_eq(code, KEN_EDIGEST);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s", error.message);
    } else
        ck_assert_msg(code == KEN_OK, "%s", error.message);
    ken_checkpoint_close(&model);
    free(path);
}

START_TEST(verifying_names_the_first_difference)
{
    unsigned char base[24] = {0}, *stored;
    unsigned char *model = changed(base, 6, 4, 1, 2, &stored), *other = changed(model, 6, 4, 4, 9, &(unsigned char *){NULL});
    const struct part parts[] = {{"a", KEN_F32, 6, base, "a", KEN_F32, base, NULL, KEN_FORM_SAME, 0},
                                 {"b", KEN_F32, 6, model, "b", KEN_F32, base, stored, KEN_FORM_MASK, 0}};
    struct pair pair;
    open_pair(&pair, parts, 2, 1);
    const char *pt = "{\"format\":\"pt\"}";
    const struct make_tensor a = {"a", "F32", "[6]", base, 24}, b = {"b", "F32", "[6]", model, 24};
    expect_difference(&pair, pt, (const struct make_tensor[]){a, b}, 2, NULL);
    expect_difference(&pair, pt, (const struct make_tensor[]){a, {"b", "F32", "[6]", other, 24}}, 2, "tensor \"b\": element 4 differs");
    expect_difference(&pair, pt, (const struct make_tensor[]){a, {"c", "F32", "[6]", model, 24}}, 2, "tensor \"b\" has another name");
    expect_difference(&pair, pt, (const struct make_tensor[]){a, {"b", "F32", "[3,2]", model, 24}}, 2,
                      "tensor \"b\" has another name, dtype, shape");
    expect_difference(&pair, pt, &a, 1, "the model has 1 tensors, not 2");
    expect_difference(&pair, "{\"format\":\"np\"}", (const struct make_tensor[]){a, b}, 2, "same tensors, but other bytes");
    close_pair(&pair);
}
END_TEST

UNIT_MAIN("inject", a_model_of_one_file_is_written, any_threads_make_the_pruned_model, any_threads_make_a_model_of_many_blocks,
          a_sharded_model_is_a_folder_with_an_index, a_base_of_another_dtype_is_converted, another_base_is_refused,
          a_whole_tensor_still_checks_its_base, it_tells_its_progress_and_can_be_cancelled, a_place_that_cannot_be_written_is_told,
          a_write_that_fails_leaves_nothing, verifying_names_the_first_difference)
