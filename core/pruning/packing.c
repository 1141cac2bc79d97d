/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/packing.h"

#include "bits.h"
#include "selection/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GROUP = 64,          /* blocks that are packed one after the other */
    CONVERTED = 1 << 13, /* elements at a time */
    RANKED = 1 << 16,    /* bytes of a mask at a time */
    MASK_BYTES = KEN_PACKED_RAW / 8,
    NO_FILE = -1
};

struct block {
    uint64_t offset; /* in the scratch file */
    struct ken_packed_entry entry;
};

struct tensor {
    struct block *blocks; /* [count] */
    uint64_t count;
};

struct group {
    size_t variant, tensor;
    uint64_t first, count; /* blocks */
    uint64_t values;       /* where those of the first block begin in the scratch file; not for tensors that are stored whole */
};

struct variant {
    int file;
    uint64_t length;            /* of the file: under the lock */
    struct ken_record *records; /* [tensors] */
    struct tensor *tensors;     /* [tensors] */
};

struct ken_packing {
    struct ken_prune *prune;
    struct variant variants[KEN_MAX_VARIANTS];
    struct group *groups; /* [group_count] */
    size_t group_count, group_capacity;
    pthread_mutex_t lock;
};

/* ---- what is to be packed */

/* delta-format.md, "Packed": everything of a tensor without base is stored, and of one whose elements have not whole bytes. */
static bool is_whole(const struct ken_entry *entry)
{
    return !entry->base || entry->packed;
}

static int add_group(struct ken_packing *packing, const struct group *group)
{
    if (packing->group_count == packing->group_capacity) {
        size_t capacity = packing->group_capacity ? 2 * packing->group_capacity : 64;
        struct group *groups = reallocarray(packing->groups, capacity, sizeof *groups);
        if (!groups) return KEN_ENOMEM;
        packing->groups = groups;
        packing->group_capacity = capacity;
    }
    packing->groups[packing->group_count++] = *group;
    return KEN_OK;
}

/* Adds to *values the bytes of those values whose bits are in bytes [length] of the mask from `offset` on. */
static int skip_values(const struct ken_packing *packing, size_t variant, uint64_t offset, uint64_t length, size_t size, uint64_t *values,
                       struct ken_error *error)
{
    unsigned char mask[RANKED];
    for (uint64_t done = 0, count; done < length; done += count) {
        count = length - done < RANKED ? length - done : RANKED;
        if (ken_run_cancelled(packing->prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        int code = ken_scratch_mask(packing->prune->scratch, variant, offset + done, mask, count, error);
        if (code) return code;
        *values += ken_bits_ones(mask, count) * size;
    }
    return KEN_OK;
}

static int list_tensor(struct ken_packing *packing, size_t variant, size_t index, struct ken_error *error)
{
    const struct ken_entry *entry = &packing->prune->plan->entries[index];
    const struct ken_record *record = &packing->variants[variant].records[index];
    struct tensor *tensor = &packing->variants[variant].tensors[index];
    struct group group = {.variant = variant, .tensor = index, .values = record->values};
    if (entry->base && !record->stored) return KEN_OK;
    tensor->count = ken_packed_blocks(entry->elements, entry->size);
    tensor->blocks = calloc(tensor->count + 1, sizeof *tensor->blocks);
    if (!tensor->blocks) return ken_fail(error, KEN_ENOMEM, "out of memory for the index of a delta");
    for (; group.first < tensor->count; group.first += GROUP) {
        group.count = tensor->count - group.first < GROUP ? tensor->count - group.first : GROUP;
        if (add_group(packing, &group)) return ken_fail(error, KEN_ENOMEM, "out of memory for the index of a delta");
        if (is_whole(entry) || group.first + GROUP >= tensor->count) continue;
        uint64_t bytes = ken_packed_elements(entry->size) / 8;
        int code = skip_values(packing, variant, record->mask + group.first * bytes, GROUP * bytes, entry->size, &group.values, error);
        if (code) return code;
    }
    return KEN_OK;
}

static int list_variant(struct ken_packing *packing, size_t v, struct ken_error *error)
{
    const struct ken_prune *prune = packing->prune;
    size_t tensors = prune->plan->model->tensor_count;
    struct variant *variant = &packing->variants[v];
    char path[KEN_PATH_SIZE];
    snprintf(path, sizeof path, "packed.%zu", v);
    variant->records = calloc(tensors + 1, sizeof *variant->records);
    variant->tensors = calloc(tensors + 1, sizeof *variant->tensors);
    if (!variant->records || !variant->tensors) return ken_fail(error, KEN_ENOMEM, "out of memory for the index of a delta");
    int code = ken_file_open(&variant->file, prune->env.directory, path, true, error);
    if (!code) code = ken_scratch_records(prune->scratch, v, 0, variant->records, tensors, error);
    for (size_t t = 0; !code && t < tensors; t++) code = list_tensor(packing, v, t, error);
    return code;
}

/* ---- packing, on workers */

struct worker {
    struct ken_packer *packer;
    unsigned char values[KEN_PACKED_RAW], base[KEN_PACKED_RAW], gathered[KEN_PACKED_RAW + KEN_GATHER_SLACK];
    unsigned char raw[8 * CONVERTED], mask[MASK_BYTES];
};

/* Reads elements of the base, in the dtype of the model. */
static int read_base(const struct ken_plan *plan, const struct ken_entry *entry, struct worker *worker, uint64_t first, size_t count,
                     struct ken_error *error)
{
    const struct ken_tensor *base = entry->base;
    struct ken_source *source = plan->base->files[base->file].source;
    size_t size = ken_dtype_size(base->dtype);
    if (base->dtype == entry->model->dtype) return ken_source_read(source, base->offset + first * size, worker->base, count * size, error);
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < CONVERTED ? count - done : CONVERTED;
        int code = ken_source_read(source, base->offset + (first + done) * size, worker->raw, some * size, error);
        if (code) return code;
        ken_convert(base->dtype, worker->raw, entry->model->dtype, worker->base + done * entry->size, some);
    }
    return KEN_OK;
}

/* Reads what a block is made of; *values is moved behind its values. */
static int read_input(struct ken_prune *prune, const struct group *group, struct worker *worker, uint64_t first, uint64_t *values,
                      struct ken_packed_input *input, struct ken_error *error)
{
    const struct ken_entry *entry = &prune->plan->entries[group->tensor];
    const struct ken_tensor *model = entry->model;
    const struct ken_record *record = &prune->packing->variants[group->variant].records[group->tensor];
    uint64_t left = entry->elements - first, most = ken_packed_elements(entry->size);
    *input = (struct ken_packed_input){.dtype = model->dtype, .count = left < most ? left : most, .values = worker->values};
    input->stored = input->count;
    if (is_whole(entry))
        return ken_source_read(prune->plan->model->files[model->file].source, model->offset + first * entry->size, worker->values,
                               input->count * entry->size, error);
    size_t bytes = (input->count + 7) / 8;
    int code = ken_scratch_mask(prune->scratch, group->variant, record->mask + first / 8, worker->mask, bytes, error);
    if (code) return code;
    input->stored = ken_bits_ones(worker->mask, bytes);
    code = ken_scratch_values(prune->scratch, group->variant, *values, worker->values, input->stored * entry->size, error);
    *values += input->stored * entry->size;
    if (!code && input->stored) code = read_base(prune->plan, entry, worker, first, input->count, error);
    if (code) return code;
    ken_kernel()->elements->gather(worker->base, worker->mask, 0, input->count, entry->size, worker->gathered);
    input->mask = worker->mask;
    input->base = worker->gathered;
    return KEN_OK;
}

static int keep_block(struct ken_packing *packing, size_t variant, struct block *block, const void *bytes, struct ken_error *error)
{
    struct variant *of = &packing->variants[variant];
    pthread_mutex_lock(&packing->lock);
    block->offset = of->length;
    of->length += block->entry.length;
    pthread_mutex_unlock(&packing->lock);
    return ken_file_write(of->file, block->offset, bytes, block->entry.length, "the scratch file of blocks", error);
}

static int pack_group(struct ken_prune *prune, const struct group *group, struct worker *worker, struct ken_error *error)
{
    struct ken_packing *packing = prune->packing;
    struct block *blocks = packing->variants[group->variant].tensors[group->tensor].blocks;
    uint64_t most = ken_packed_elements(prune->plan->entries[group->tensor].size), values = group->values;
    struct ken_packed_input input;
    const unsigned char *bytes;
    for (uint64_t b = group->first; b < group->first + group->count; b++) {
        if (ken_run_cancelled(prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        int code = read_input(prune, group, worker, b * most, &values, &input, error);
        if (!code) code = ken_packer_pack(worker->packer, &input, &bytes, &blocks[b].entry, error);
        if (!code) code = keep_block(packing, group->variant, &blocks[b], bytes, error);
        if (code) return code;
    }
    return KEN_OK;
}

static int pack_on_worker(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error)
{
    struct worker *worker = malloc(sizeof *worker);
    (void)opaque;
    if (!worker) return ken_fail(error, KEN_ENOMEM, "out of memory for packing a delta");
    int code = ken_packer_create(&worker->packer, error);
    if (!code) code = pack_group(prune, &prune->packing->groups[index], worker, error);
    ken_packer_free(&worker->packer);
    free(worker);
    return code;
}

int ken_packing_make(struct ken_packing **packing, struct ken_prune *prune, struct ken_error *error)
{
    _Static_assert(sizeof(struct worker) + KEN_PACKER_BYTES <= KEN_PACKING_BYTES, "a worker keeps to its budget");
    struct ken_packing *made = calloc(1, sizeof *made);
    *packing = made;
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for packing a delta");
    made->prune = prune;
    pthread_mutex_init(&made->lock, NULL);
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) made->variants[v].file = NO_FILE;
    int code = KEN_OK;
    for (size_t v = 0; !code && v < prune->plan->options->variant_count; v++) code = list_variant(made, v, error);
    if (!code) code = ken_run_parallel(prune, pack_on_worker, NULL, made->group_count, KEN_PACKING_BYTES, error);
    if (code) ken_packing_free(packing);
    return code;
}

void ken_packing_free(struct ken_packing **packing)
{
    if (!*packing) return;
    size_t tensors = (*packing)->prune->plan->model->tensor_count;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) {
        struct variant *variant = &(*packing)->variants[v];
        if (variant->file != NO_FILE) close(variant->file);
        for (size_t t = 0; variant->tensors && t < tensors; t++) free(variant->tensors[t].blocks);
        free(variant->tensors);
        free(variant->records);
    }
    pthread_mutex_destroy(&(*packing)->lock);
    free((*packing)->groups);
    free(*packing);
    *packing = NULL;
}

/* ---- reading */

uint64_t ken_packing_length(const struct ken_packing *packing, size_t variant, size_t tensor)
{
    const struct tensor *of = &packing->variants[variant].tensors[tensor];
    uint64_t length = of->count * KEN_PACKED_INDEX_ENTRY;
    for (uint64_t b = 0; b < of->count; b++) length += of->blocks[b].entry.length;
    return length;
}

uint64_t ken_packing_blocks(const struct ken_packing *packing, size_t variant, size_t tensor)
{
    return packing->variants[variant].tensors[tensor].count;
}

const struct ken_packed_entry *ken_packing_entry(const struct ken_packing *packing, size_t variant, size_t tensor, uint64_t block)
{
    return &packing->variants[variant].tensors[tensor].blocks[block].entry;
}

int ken_packing_read(const struct ken_packing *packing, size_t variant, size_t tensor, uint64_t block, void *bytes, struct ken_error *error)
{
    const struct block *of = &packing->variants[variant].tensors[tensor].blocks[block];
    return ken_file_read(packing->variants[variant].file, of->offset, bytes, of->entry.length, "the scratch file of blocks", error);
}
