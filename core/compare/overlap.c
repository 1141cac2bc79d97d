/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/overlap.h"

#include "checkpoint/shape.h"
#include "delta/delta_internal.h"
#include "delta/places.h"

#include <stdlib.h>
#include <string.h>

struct work {
    const struct ken_delta *a, *b;
    struct ken_places *places_a, *places_b;
    const struct ken_inject_options *options; /* or NULL */
    uint64_t done, total;                     /* bytes of tensors */
    struct ken_error *error;
};

double ken_overlap_jaccard(const struct ken_overlap_counts *counts)
{
    uint64_t either = counts->both + counts->only_a + counts->only_b;
    return either ? (double)counts->both / (double)either : 1;
}

/* ---- one tensor */

static uint64_t load_mask(const unsigned char *mask, size_t at, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, mask + at, length - at < 8 ? length - at : 8); /* little-endian */
    return word;
}

static unsigned ones(uint64_t word)
{
    return (unsigned)__builtin_popcountll(word);
}

/* Values that both have of 64 elements and that differ; a and b are the values of the first ones that either has. */
static unsigned compare_values(const unsigned char *a, uint64_t in_a, const unsigned char *b, uint64_t in_b, size_t size)
{
    unsigned differing = 0;
    for (uint64_t both = in_a & in_b; both; both &= both - 1) {
        uint64_t below = (both & -both) - 1;
        differing += memcmp(a + ones(in_a & below) * size, b + ones(in_b & below) * size, size) != 0;
    }
    return differing;
}

static void count_piece(struct ken_overlap_counts *counts, const struct ken_places_piece *a, const struct ken_places_piece *b, size_t size)
{
    bool compare = a->values && b->values;
    size_t length = (a->count + 7) / 8;
    const unsigned char *values_a = a->values, *values_b = b->values;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t in_a = load_mask(a->mask, at, length), in_b = load_mask(b->mask, at, length);
        counts->both += ones(in_a & in_b);
        counts->only_a += ones(in_a & ~in_b);
        counts->only_b += ones(in_b & ~in_a);
        if (!compare) continue;
        counts->other_values += compare_values(values_a, in_a, values_b, in_b, size);
        values_a += ones(in_a) * size;
        values_b += ones(in_b) * size;
    }
}

/* Whether the values that both pieces store can be told the same without the base. */
static bool same_blocks(const struct ken_places_piece *a, const struct ken_places_piece *b)
{
    return a->block && b->block && a->block_length == b->block_length && memcmp(a->block, b->block, a->block_length) == 0;
}

static bool same_base(const struct ken_delta_tensor *a, const struct ken_delta_tensor *b)
{
    if (!a->has_base || !b->has_base) return a->has_base == b->has_base;
    return a->base_dtype == b->base_dtype && memcmp(a->base_sha256, b->base_sha256, sizeof a->base_sha256) == 0;
}

/* Walks both tensors; their pieces are of the same elements. */
static int count_tensor(struct work *work, struct ken_overlapping_tensor *tensor)
{
    struct ken_overlap_counts *counts = &tensor->counts;
    size_t size = ken_dtype_size(tensor->a->dtype) ? ken_dtype_size(tensor->a->dtype) : 1;
    bool based = same_base(tensor->a, tensor->b);
    struct ken_places_piece a, b;
    int code = ken_places_begin(work->places_a, (size_t)(tensor->a - work->a->tensors), work->error);
    if (!code) code = ken_places_begin(work->places_b, (size_t)(tensor->b - work->b->tensors), work->error);
    counts->values_known = true;
    while (!code) {
        uint64_t before = counts->both;
        code = ken_places_next(work->places_a, &a, work->error);
        if (!code) code = ken_places_next(work->places_b, &b, work->error);
        if (code || !a.count) break;
        KEN_ASSERT(a.count == b.count);
        count_piece(counts, &a, &b, size);
        if (counts->both != before && (!a.values || !b.values) && !(based && same_blocks(&a, &b))) counts->values_known = false;
        work->done += a.count * (uint64_t)size;
        code = ken_delta_go_on(work->options, work->done, work->total, work->error);
    }
    return code;
}

static int compare_tensor(struct work *work, struct ken_overlapping_tensor *tensor)
{
    const struct ken_delta_tensor *a = tensor->a, *b = tensor->b;
    const struct ken_overlap_counts *counts = &tensor->counts;
    enum ken_difference found = KEN_DIFFERENCE_SAME;
    int code = KEN_OK;
    if (!a || !b)
        found = a ? KEN_DIFFERENCE_ONLY_A : KEN_DIFFERENCE_ONLY_B;
    else if (!ken_shape_is(a->shape, a->rank, b->shape, b->rank))
        found = KEN_DIFFERENCE_SHAPE;
    else if (a->dtype != b->dtype)
        found = KEN_DIFFERENCE_DTYPE;
    tensor->counted = found == KEN_DIFFERENCE_SAME;
    if (tensor->counted) {
        code = count_tensor(work, tensor);
        if (!counts->values_known) found = KEN_DIFFERENCE_UNKNOWN;
        if (counts->only_a || counts->only_b || counts->other_values) found = KEN_DIFFERENCE_VALUES;
        if (!same_base(a, b)) found = KEN_DIFFERENCE_BASE;
    }
    tensor->difference = found;
    return code;
}

/* ---- both deltas */

static void list(struct work *work, struct ken_overlap *overlap)
{
    const struct ken_delta *a = work->a, *b = work->b;
    for (size_t i = 0; i < a->tensor_count; i++) {
        size_t other = ken_delta_find(b, a->tensors[i].name);
        bool there = other < b->tensor_count;
        overlap->tensors[overlap->count++] =
            (struct ken_overlapping_tensor){.name = a->tensors[i].name, .a = &a->tensors[i], .b = there ? &b->tensors[other] : NULL};
        if (there) work->total += a->entries[i].length;
    }
    for (size_t i = 0; i < b->tensor_count; i++)
        if (ken_delta_find(a, b->tensors[i].name) == a->tensor_count)
            overlap->tensors[overlap->count++] = (struct ken_overlapping_tensor){.name = b->tensors[i].name, .b = &b->tensors[i]};
}

static void add(struct ken_overlap *overlap, const struct ken_overlapping_tensor *tensor)
{
    struct ken_overlap_counts *sums = &overlap->counts;
    overlap->same += tensor->difference == KEN_DIFFERENCE_SAME;
    overlap->unknown += tensor->difference == KEN_DIFFERENCE_UNKNOWN;
    if (!tensor->counted) return;
    overlap->counted++;
    sums->both += tensor->counts.both;
    sums->only_a += tensor->counts.only_a;
    sums->only_b += tensor->counts.only_b;
    sums->other_values += tensor->counts.other_values;
    sums->values_known &= tensor->counts.values_known;
}

int ken_overlap(struct ken_overlap *overlap, const struct ken_delta *a, const struct ken_delta *b, const struct ken_checkpoint *base,
                const struct ken_inject_options *options, struct ken_error *error)
{
    struct work work = {.a = a, .b = b, .options = options, .error = error};
    *overlap = (struct ken_overlap){.tensors = calloc(a->tensor_count + b->tensor_count + 1, sizeof *overlap->tensors),
                                    .counts = {.values_known = true}};
    int code = overlap->tensors ? KEN_OK : ken_fail_no_memory(error, "a comparison");
    if (!code) code = ken_places_create(&work.places_a, a, base, error);
    if (!code) code = ken_places_create(&work.places_b, b, base, error);
    if (!code) list(&work, overlap);
    for (size_t i = 0; i < overlap->count && !code; i++) {
        code = compare_tensor(&work, &overlap->tensors[i]);
        if (!code) add(overlap, &overlap->tensors[i]);
    }
    if (!code) code = ken_source_check(a->checkpoint->files[0].source, error);
    if (!code) code = ken_source_check(b->checkpoint->files[0].source, error);
    for (size_t i = 0; base && i < base->file_count && !code; i++) code = ken_source_check(base->files[i].source, error);
    ken_places_free(&work.places_a);
    ken_places_free(&work.places_b);
    return code;
}

void ken_overlap_free(struct ken_overlap *overlap)
{
    free(overlap->tensors);
    *overlap = (struct ken_overlap){0};
}
