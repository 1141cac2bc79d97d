/* SPDX-License-Identifier: Apache-2.0 */
#include "made_pair.h"

#include "make_checkpoint.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SHARDS = 2, SHARD_MAX = MADE_TENSORS + 1 };

static const struct made_tensor table[MADE_TENSORS] = {
#define X(name_, dtype_, shape_, rows_, n_, base_, model_shard_, base_shard_) \
    {.name = name_,                                                           \
     .shape = shape_,                                                         \
     .dtype = KEN_##dtype_,                                                   \
     .base_dtype = KEN_##base_,                                               \
     .rows = rows_,                                                           \
     .n = n_,                                                                 \
     .model_shard = model_shard_,                                             \
     .base_shard = base_shard_,                                               \
     .has_base = true},
    MADE_PAIR_MAP(X)
#undef X
        {.name = "head", .shape = "[4,11]", .dtype = KEN_F32, .base_dtype = KEN_F32, .rows = 4, .n = 11},
};

static size_t bytes_of(enum ken_dtype dtype, uint64_t elements)
{
    return (elements * ken_dtype_bits(dtype) + 7) / 8;
}

/* A number of some digits that depends on the place, in -1 .. 1. */
static double number_at(size_t tensor, uint64_t element, unsigned seed)
{
    uint64_t mixed = (element + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (tensor * 977 + seed) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed ^= mixed >> 29;
    mixed *= UINT64_C(0x94d049bb133111eb);
    return (double)(mixed >> 40) / (double)(1 << 23) - 1;
}

/* The fine-tuned value moves a little away from the base's, but not everywhere. */
static void fill_floats(struct made_tensor *made, size_t tensor)
{
    for (uint64_t i = 0; i < made->rows * made->n; i++) {
        double base = number_at(tensor, i, 1), moved = base + number_at(tensor, i, 2) / 16;
        ken_store(made->base_dtype, made->base, i, base);
        bool unchanged = i % made->n % 7 == 2 || i / made->n % 5 == 3 || !strncmp(made->name, "same", 4);
        if (unchanged)
            ken_convert(made->base_dtype, made->base + i * ken_dtype_size(made->base_dtype), made->dtype,
                        made->model + i * ken_dtype_size(made->dtype), 1);
        else
            ken_store(made->dtype, made->model, i, moved);
    }
}

static void fill_bytes(struct made_tensor *made, size_t tensor)
{
    bool same = !strncmp(made->name, "same", 4);
    for (size_t i = 0; i < made->base_length; i++)
        made->base[i] = (unsigned char)(made->base_dtype == KEN_BOOL ? i % 3 == 0 : 7 * i + tensor);
    for (size_t i = 0; i < made->model_length; i++) {
        made->model[i] = i < made->base_length ? made->base[i] : 0;
        if (!same && i % 5 == 1) made->model[i] ^= 1;
    }
}

static void fill(struct made_tensor *made, size_t tensor)
{
    made->model_length = bytes_of(made->dtype, made->rows * made->n);
    made->base_length = bytes_of(made->base_dtype, made->rows * made->n);
    made->model = calloc(1, made->model_length + 1);
    made->base = calloc(1, made->base_length + 1);
    ck_assert(made->model && made->base);
    if (ken_dtype_is_prunable(made->dtype))
        fill_floats(made, tensor);
    else
        fill_bytes(made, tensor);
}

static void write_index(const char *folder, const char *const names[], const unsigned shards[], size_t count)
{
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    fprintf(file, "{\"weight_map\":{");
    for (size_t i = 0; i < count; i++) fprintf(file, "%s\"%s\":\"part-%u.safetensors\"", i ? "," : "", names[i], shards[i]);
    fprintf(file, "}}");
    fclose(file);
    write_file(folder, "model.safetensors.index.json", text, length);
    free(text);
}

/* The base has its tensors in the opposite order. */
static void write_side(const struct made_pair *pair, const char *folder, bool is_base)
{
    const char *names[SHARD_MAX];
    unsigned shards[SHARD_MAX];
    size_t listed = 0;
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        struct make_tensor tensors[SHARD_MAX];
        char name[32];
        size_t count = 0;
        for (size_t i = 0; i < MADE_TENSORS; i++) {
            const struct made_tensor *made = &pair->tensors[is_base ? MADE_TENSORS - 1 - i : i];
            if ((is_base ? made->base_shard : made->model_shard) != shard || (is_base && !strcmp(made->name, "head"))) continue;
            bool other = is_base && !strcmp(made->name, "other.shape");
            tensors[count++] = (struct make_tensor){.name = made->name,
                                                    .dtype = ken_dtype_name(is_base ? made->base_dtype : made->dtype),
                                                    .shape = other ? "[24]" : made->shape,
                                                    .data = is_base ? made->base : made->model,
                                                    .length = is_base ? made->base_length : made->model_length};
        }
        if (is_base && shard) tensors[count++] = (struct make_tensor){.name = "gone", .dtype = "F32", .shape = "[3]", .length = 12};
        for (size_t i = 0; i < count; i++) names[listed] = tensors[i].name, shards[listed++] = shard;
        snprintf(name, sizeof name, "part-%u.safetensors", shard);
        write_safetensors(folder, name, shard ? NULL : "{\"format\":\"pt\",\"quote\":\"\\\"\"}", tensors, count);
    }
    write_index(folder, names, shards, listed);
}

void made_pair_write(struct made_pair *pair, const char *folder)
{
    memcpy(pair->tensors, table, sizeof table);
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        struct made_tensor *made = &pair->tensors[t];
        fill(made, t);
        if (!strcmp(made->name, "narrowed") || !strcmp(made->name, "other.shape") || !strcmp(made->name, "head")) made->has_base = false;
    }
    snprintf(pair->model, sizeof pair->model, "%s/model", folder);
    snprintf(pair->base, sizeof pair->base, "%s/base", folder);
    write_side(pair, pair->model, false);
    write_side(pair, pair->base, true);
}

void made_pair_free(struct made_pair *pair)
{
    for (size_t t = 0; t < MADE_TENSORS; t++) {
        free(pair->tensors[t].model);
        free(pair->tensors[t].base);
    }
}

uint64_t made_difference(const unsigned char *a, const unsigned char *b, uint64_t elements, size_t size)
{
    uint64_t found = 0;
    for (uint64_t i = 0; i < elements; i++) found += memcmp(a + i * size, b + i * size, size) != 0;
    return found;
}

/* ---- the naive pruning */

static double distance(const struct made_tensor *tensor, const unsigned char *base, uint64_t i)
{
    return fabs(ken_load(tensor->dtype, tensor->model, i) - ken_load(tensor->dtype, base, i));
}

/* Whether fewer than k columns of the row come before this one. */
static bool is_among_largest(const struct made_tensor *tensor, const unsigned char *base, uint64_t row, uint64_t column, uint64_t k)
{
    uint64_t before = 0, start = row * tensor->n;
    for (uint64_t i = 0; i < tensor->n; i++) {
        double other = distance(tensor, base, start + i), own = distance(tensor, base, start + column);
        before += other > own || (other == own && i < column);
    }
    return before < k;
}

/* Of the whole tensor in one sum, which may differ from sums per row in the last bits. */
static double relative_l2(const struct made_tensor *tensor, const unsigned char *base, const unsigned char *pruned)
{
    double difference = 0, update = 0;
    for (uint64_t i = 0; i < tensor->rows * tensor->n; i++) {
        double model = ken_load(tensor->dtype, tensor->model, i);
        difference += pow(ken_load(tensor->dtype, pruned, i) - model, 2);
        update += pow(model - ken_load(tensor->dtype, base, i), 2);
    }
    return update > 0 ? sqrt(difference / update) : 0;
}

struct naive naive_magnitude(const struct made_tensor *tensor, uint64_t k)
{
    size_t size = ken_dtype_size(tensor->dtype);
    uint64_t elements = tensor->rows * tensor->n;
    struct naive naive = {.pruned = calloc(1, tensor->model_length + 1)};
    unsigned char *base = calloc(1, tensor->model_length + 1);
    ken_convert(tensor->base_dtype, tensor->base, tensor->dtype, base, elements);
    for (uint64_t row = 0; row < tensor->rows; row++) {
        uint64_t start = row * tensor->n;
        bool unchanged = !made_difference(tensor->model + start * size, base + start * size, tensor->n, size);
        for (uint64_t i = start; i < start + tensor->n; i++) {
            bool selected = !unchanged && (tensor->n <= k || is_among_largest(tensor, base, row, i - start, k));
            bool changed = memcmp(tensor->model + i * size, base + i * size, size) != 0;
            memcpy(naive.pruned + i * size, (selected ? tensor->model : base) + i * size, size);
            naive.selected += selected;
            naive.unchanged += !changed;
            naive.kept += selected && changed;
            naive.reset += !selected && changed;
        }
    }
    naive.relative_l2 = relative_l2(tensor, base, naive.pruned);
    free(base);
    return naive;
}
