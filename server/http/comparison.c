/* SPDX-License-Identifier: Apache-2.0 */
#include "http/comparison.h"

#include "checkpoint/shape.h"
#include "http/job_layers.h"
#include "http/picture_files.h"

#include <stdlib.h>
#include <string.h>

const char *kend_skipped_word(enum kend_skipped reason)
{
    static const char *const words[] = {
#define X(symbol, word) word,
        KEND_SKIPPED_MAP(X)
#undef X
    };
    return words[reason];
}

/* ---- one of the two models */

/* What a tensor was pruned against. */
struct base {
    bool known;
    enum ken_dtype dtype;
    unsigned char sha256[KEN_SHA256_SIZE];
};

struct model {
    struct kend_picture_files files;
    struct ken_cells cells;
    struct kend_layers layers;
    struct base *bases; /* [layers.count] */
};

static struct kend_layers_source rows_of(const struct kend_comparing *comparing, const struct kend_compared_model *model)
{
    return (struct kend_layers_source){comparing->artifacts, model->job, model->variant, comparing->interrupt.cancelled,
                                       comparing->interrupt.opaque};
}

/* The header of a delta is large, and goes again when bases were noted. */
static int read_bases(struct model *model, struct ken_error *error)
{
    struct ken_delta *delta;
    int code = kend_picture_files_delta(&model->files, &delta, error);
    if (code) return code;
    for (size_t i = 0, count = ken_delta_tensor_count(delta); i < count; i++) {
        const struct ken_delta_tensor *tensor = ken_delta_tensor(delta, i);
        const struct kend_layer *layer = kend_layers_find(&model->layers, tensor->name);
        if (!layer || !tensor->has_base) continue;
        struct base *base = &model->bases[layer - model->layers.item];
        base->known = true;
        base->dtype = tensor->base_dtype;
        memcpy(base->sha256, tensor->base_sha256, sizeof base->sha256);
    }
    ken_delta_close(&delta);
    return KEN_OK;
}

static int open_model(struct model *model, const struct kend_comparing *comparing, const struct kend_compared_model *which,
                      struct ken_error *error)
{
    const struct kend_layers_source rows = rows_of(comparing, which);
    int code = kend_picture_files_open(&model->files, comparing->artifacts, which->job, which->variant, error);
    if (!code) code = ken_cells_open(&model->cells, model->files.cells, model->files.cells_bytes, model->files.delta_bytes, error);
    if (!code) code = kend_layers_read(&model->layers, &rows, error);
    if (!code && !(model->bases = calloc(model->layers.count + 1, sizeof *model->bases)))
        code = ken_fail(error, KEN_ENOMEM, "out of memory for a comparison");
    return code ? code : read_bases(model, error);
}

static void close_model(struct model *model)
{
    kend_picture_files_close(&model->files);
    kend_layers_free(&model->layers);
    free(model->bases);
}

int kend_comparison_bytes(const struct kend_comparing *comparing, uint64_t *bytes, struct ken_error *error)
{
    const struct kend_compared_model *const which[] = {&comparing->here, &comparing->there};
    *bytes = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct kend_layers_source rows = rows_of(comparing, which[i]);
        struct kend_picture_files files;
        uint64_t of_rows = 0, of_delta = 0;
        int code = kend_picture_files_open(&files, comparing->artifacts, which[i]->job, which[i]->variant, error);
        if (!code) code = kend_picture_files_delta_bytes(&files, &of_delta, error);
        if (!code) code = kend_layers_bytes(&rows, &of_rows, error);
        kend_picture_files_close(&files);
        if (code) return code;
        *bytes += 2 * of_rows + of_delta; /* what is found of a tensor takes no more than its row */
    }
    return KEN_OK;
}

/* ---- both of them */

struct pair {
    struct kend_comparison *comparison;
    struct model models[2]; /* here and there */
    const struct ken_interrupt *interrupt;
};

static int compare_tensor(struct pair *pair, const struct kend_layer *here, const struct kend_layer *there, struct ken_error *error)
{
    struct kend_comparison *comparison = pair->comparison;
    struct kend_compared *compared = &comparison->compared[comparison->count];
    struct ken_cells_found found[2];
    const struct ken_masked masked[2] = {{&pair->models[0].cells, &found[0], pair->models[0].files.delta},
                                         {&pair->models[1].cells, &found[1], pair->models[1].files.delta}};
    uint64_t *shape = ken_arena_allocate(&comparison->arena, (here->rank + 1) * sizeof *shape);
    *compared = (struct kend_compared){.name = ken_arena_copy(&comparison->arena, here->name, strlen(here->name)),
                                       .shape = shape,
                                       .rank = here->rank,
                                       .relative_l2_here = here->relative_l2,
                                       .relative_l2_there = there->relative_l2};
    if (!shape || !compared->name) return ken_fail(error, KEN_ENOMEM, "out of memory for a comparison");
    memcpy(shape, here->shape, here->rank * sizeof *shape);
    int code = ken_cells_find(masked[0].cells, here->name, &found[0], error);
    if (!code) code = ken_cells_find(masked[1].cells, here->name, &found[1], error);
    if (code == KEN_ENOT_FOUND || (!code && (found[0].shape.rows != found[1].shape.rows || found[0].shape.n != found[1].shape.n)))
        code = ken_fail(error, KEN_EBAD_DELTA, "the cells beside a delta are not those of its report");
    if (!code) code = ken_agreement_count(&compared->agreement, &masked[0], &masked[1], pair->interrupt, error);
    if (code) return code;
    ken_agreement_add(&comparison->totals, &compared->agreement);
    comparison->count++;
    return KEN_OK;
}

static int skip(struct kend_comparison *comparison, const char *name, enum kend_skipped reason, struct ken_error *error)
{
    const char *copy = ken_arena_copy(&comparison->arena, name, strlen(name));
    if (!copy) return ken_fail(error, KEN_ENOMEM, "out of memory for a comparison");
    comparison->skipped[comparison->skipped_count++] = (struct kend_left_out){copy, reason};
    return KEN_OK;
}

static bool same_base(const struct base *a, const struct base *b)
{
    return a->known && b->known && a->dtype == b->dtype && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

static int compare_here(struct pair *pair, const struct kend_layer *here, struct ken_error *error)
{
    const struct kend_layers *const layers[] = {&pair->models[0].layers, &pair->models[1].layers};
    const struct kend_layer *there = kend_layers_find(layers[1], here->name);
    if (!there) return skip(pair->comparison, here->name, KEND_SKIPPED_ONLY_HERE, error);
    if (!ken_shape_is(here->shape, (uint32_t)here->rank, there->shape, (uint32_t)there->rank))
        return skip(pair->comparison, here->name, KEND_SKIPPED_SHAPE, error);
    if (!same_base(&pair->models[0].bases[here - layers[0]->item], &pair->models[1].bases[there - layers[1]->item]))
        return skip(pair->comparison, here->name, KEND_SKIPPED_BASE, error);
    return compare_tensor(pair, here, there, error);
}

/* As the report has them. */
static int in_order(const void *a, const void *b)
{
    const struct kend_layer *const *one = a, *const *other = b;
    return (*one)->place < (*other)->place ? -1 : (*one)->place > (*other)->place;
}

static int compare_all(struct pair *pair, struct ken_error *error)
{
    struct kend_comparison *comparison = pair->comparison;
    const struct kend_layers *here = &pair->models[0].layers, *there = &pair->models[1].layers;
    const size_t most = here->count > there->count ? here->count : there->count;
    const struct kend_layer **order = calloc(most + 1, sizeof *order);
    comparison->compared = ken_arena_allocate(&comparison->arena, (here->count + 1) * sizeof *comparison->compared);
    comparison->skipped = ken_arena_allocate(&comparison->arena, (here->count + there->count + 1) * sizeof *comparison->skipped);
    const bool there_is = order && comparison->compared && comparison->skipped;
    int code = there_is ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a comparison");
    for (size_t i = 0; !code && i < here->count; i++) order[i] = &here->item[i];
    if (!code) qsort(order, here->count, sizeof *order, in_order);
    for (size_t i = 0; !code && i < here->count; i++) code = compare_here(pair, order[i], error);
    for (size_t i = 0; !code && i < there->count; i++)
        if (!kend_layers_find(here, there->item[i].name)) code = skip(comparison, there->item[i].name, KEND_SKIPPED_ONLY_THERE, error);
    free(order);
    return code;
}

int kend_comparison_make(struct kend_comparison *comparison, const struct kend_comparing *comparing, struct ken_error *error)
{
    struct pair pair = {.comparison = comparison, .interrupt = &comparing->interrupt};
    *comparison = (struct kend_comparison){0};
    for (size_t i = 0; i < 2; i++) pair.models[i].files = (struct kend_picture_files){-1, -1, 0, 0};
    int code = open_model(&pair.models[0], comparing, &comparing->here, error);
    if (!code) code = open_model(&pair.models[1], comparing, &comparing->there, error);
    if (!code) code = compare_all(&pair, error);
    close_model(&pair.models[0]);
    close_model(&pair.models[1]);
    return code;
}

void kend_comparison_free(struct kend_comparison *comparison)
{
    ken_arena_free(&comparison->arena);
    *comparison = (struct kend_comparison){0};
}
