/* SPDX-License-Identifier: Apache-2.0 */
#include "http/job_layers.h"

#include "array.h"
#include "heatmap/role.h"
#include "http/rows.h"
#include "json_load.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A layer takes less than its row has, and the row while it is looked at: some times its size, and it has a bound. */
enum { FILE_NAME_SIZE = KEN_MAX_VARIANT_NAME + 32, ONE_ROW = 4 << 20, ROWS_BETWEEN_LOOKS = 256 };

static void file_name(char name[FILE_NAME_SIZE], const char *variant)
{
    snprintf(name, FILE_NAME_SIZE, ".kend/%s.jsonl", *variant ? variant : "tensors");
}

int kend_layers_bytes(const struct kend_layers_source *source, uint64_t *bytes, struct ken_error *error)
{
    char name[FILE_NAME_SIZE];
    int file;
    file_name(name, source->variant);
    int code = source->artifacts->ops->open(source->artifacts, source->job, name, &file, bytes, error);
    if (code) return code;
    close(file);
    *bytes += ONE_ROW;
    return KEN_OK;
}

/* ---- rows */

static uint64_t count_of(const json_t *row, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(row, key));
    return value > 0 ? (uint64_t)value : 0;
}

static bool fill(struct kend_layers *layers, struct kend_layer *layer, const json_t *row)
{
    const json_t *shape = json_object_get(row, "shape");
    const char *name = json_string_value(json_object_get(row, "name"));
    layer->rank = json_array_size(shape);
    layer->kept = count_of(row, "kept");
    layer->reset = count_of(row, "reset");
    layer->unchanged = count_of(row, "unchanged");
    layer->relative_l2 = json_number_value(json_object_get(row, "relative_l2"));
    layer->name = ken_arena_copy(&layers->arena, name, strlen(name));
    layer->shape = ken_arena_allocate(&layers->arena, (layer->rank + 1) * sizeof *layer->shape);
    if (!layer->name || !layer->shape) return false;
    for (size_t i = 0; i < layer->rank; i++) layer->shape[i] = (uint64_t)json_integer_value(json_array_get(shape, i));
    return true;
}

/* Adds the tensor of a row if its rows were pruned. */
static int add(struct kend_layers *layers, size_t place, const char *line, size_t length, struct ken_error *error)
{
    json_t *row = proto_json_load(line, length, 0, NULL);
    const bool good = json_is_string(json_object_get(row, "name")), pruned = json_is_string(json_object_get(row, "method"));
    int code = good ? KEN_OK : ken_fail(error, KEN_EINTERNAL, "a row is not what was written");
    if (good && pruned) {
        struct kend_layer *grown = ken_array_grow(layers->item, layers->count, &layers->capacity, sizeof *grown);
        if (grown) {
            layers->item = grown;
            grown[layers->count] = (struct kend_layer){.place = place};
        }
        if (grown && fill(layers, &grown[layers->count], row))
            layers->count++;
        else
            code = ken_fail(error, KEN_ENOMEM, "out of memory for layers");
    }
    json_decref(row);
    return code;
}

static int in_order(const void *a, const void *b)
{
    return ken_role_compare(((const struct kend_layer *)a)->name, ((const struct kend_layer *)b)->name);
}

int kend_layers_read(struct kend_layers *layers, const struct kend_layers_source *source, struct ken_error *error)
{
    char name[FILE_NAME_SIZE];
    struct kend_rows *rows;
    *layers = (struct kend_layers){0};
    file_name(name, source->variant);
    int code = kend_rows_open(&rows, source->artifacts, source->job, name, 0, error);
    if (code) return code;
    for (size_t place = 0; !code && !kend_rows_ended(rows); place++) {
        const char *line;
        size_t length;
        if (place % ROWS_BETWEEN_LOOKS == 0 && source->cancelled && source->cancelled(source->opaque))
            code = ken_fail(error, KEN_ECANCELLED, "cancelled");
        if (!code) code = kend_rows_next(rows, &line, &length, error);
        if (!code) code = add(layers, place, line, length, error);
    }
    kend_rows_close(&rows);
    if (!code && layers->count) qsort(layers->item, layers->count, sizeof *layers->item, in_order);
    return code;
}

void kend_layers_free(struct kend_layers *layers)
{
    free(layers->item);
    ken_arena_free(&layers->arena);
    *layers = (struct kend_layers){0};
}

/* ---- one of them */

uint64_t kend_layer_elements(const struct kend_layer *layer)
{
    return layer->kept + layer->reset + layer->unchanged;
}

double kend_layer_kept_fraction(const struct kend_layer *layer)
{
    const uint64_t elements = kend_layer_elements(layer);
    return elements ? (double)layer->kept / (double)elements : 0;
}

size_t kend_layers_of_role(const struct kend_layers *layers, size_t first)
{
    size_t end = first + 1;
    while (end < layers->count && ken_role_same(layers->item[first].name, layers->item[end].name)) end++;
    return end - first;
}

const struct kend_layer *kend_layers_find(const struct kend_layers *layers, const char *name)
{
    const struct kend_layer wanted = {.name = name};
    return layers->count ? bsearch(&wanted, layers->item, layers->count, sizeof wanted, in_order) : NULL;
}
