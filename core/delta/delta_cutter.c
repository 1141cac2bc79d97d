/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/delta_internal.h"

#include "bits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 16, /* elements of a block in encoding plain: a multiple of 8, so that a block of the mask is whole bytes */
    RUN_BYTES = 1 << 16
};

/* Reads a range of the delta from its beginning to its end, buffered. */
struct run {
    struct ken_source *source;
    uint64_t offset, left; /* of what is not in the buffer yet */
    unsigned char *buffer; /* [RUN_BYTES] */
    size_t at, filled;
};

struct ken_delta_cutter {
    const struct ken_delta *delta;
    size_t tensor;       /* the one that is being cut */
    uint64_t done;       /* elements of it, cut so far */
    uint64_t stored;     /* values of it, so far */
    uint64_t next;       /* form gaps: element of the next value, or how many there are when there is none */
    uint64_t blocks;     /* encoding packed: place of the next block */
    uint64_t end;        /* where they end */
    struct run run;      /* of the mask, the gaps, or the index */
    uint32_t *positions; /* [PIECE], form gaps: of the values of a block, counted from its first element */
};

static void run_begin(struct run *run, struct ken_source *source, uint64_t offset, uint64_t length)
{
    run->source = source;
    run->offset = offset;
    run->left = length;
    run->at = run->filled = 0;
}

/* Makes *bytes the next `length` bytes, at most RUN_BYTES, which must be there. */
static int run_take(struct run *run, size_t length, const unsigned char **bytes, struct ken_error *error)
{
    size_t kept = run->filled - run->at;
    KEN_ASSERT(length <= RUN_BYTES && length <= kept + run->left);
    if (length > kept) {
        memmove(run->buffer, run->buffer + run->at, kept);
        size_t more = RUN_BYTES - kept;
        if (more > run->left) more = (size_t)run->left;
        int code = ken_source_wait_named(run->source, "delta", run->offset, more, error);
        if (!code) code = ken_source_read(run->source, run->offset, run->buffer + kept, more, error);
        if (code) return code;
        run->offset += more;
        run->left -= more;
        run->at = 0;
        run->filled = kept + more;
    }
    *bytes = run->buffer + run->at;
    run->at += length;
    return KEN_OK;
}

int ken_delta_cutter_create(struct ken_delta_cutter **cutter, const struct ken_delta *delta, struct ken_error *error)
{
    struct ken_delta_cutter *made = calloc(1, sizeof *made);
    *cutter = made;
    if (made) {
        made->delta = delta;
        made->run.buffer = malloc(RUN_BYTES);
        made->positions = malloc(PIECE * sizeof *made->positions);
        if (made->run.buffer && made->positions) return KEN_OK;
    }
    ken_delta_cutter_free(cutter);
    return ken_fail_no_memory(error, "a delta");
}

void ken_delta_cutter_free(struct ken_delta_cutter **cutter)
{
    if (!*cutter) return;
    free((*cutter)->run.buffer);
    free((*cutter)->positions);
    free(*cutter);
    *cutter = NULL;
}

/* Form gaps: finds the element of the next value. */
static int read_gap(struct ken_delta_cutter *cutter, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &cutter->delta->tensors[cutter->tensor];
    const struct ken_delta_entries *entries = &cutter->delta->entries[cutter->tensor];
    size_t size = ken_dtype_size(entries->places->dtype);
    const unsigned char *bytes;
    uint64_t gap = 0, next = cutter->stored ? cutter->next + 1 : 0;
    if (cutter->stored == tensor->stored) {
        cutter->next = entries->count;
        return KEN_OK;
    }
    int code = run_take(&cutter->run, size, &bytes, error);
    if (code) return code;
    memcpy(&gap, bytes, size); /* little-endian */
    if (gap >= entries->count || next >= entries->count - gap)
        return ken_delta_fail(error, tensor->name, "gap %" PRIu64 " leads beyond its %" PRIu64 " elements", cutter->stored, entries->count);
    cutter->next = next + gap;
    return KEN_OK;
}

static int begin_tensor(struct ken_delta_cutter *cutter, struct ken_error *error)
{
    const struct ken_delta_entries *entries = &cutter->delta->entries[cutter->tensor];
    const struct ken_tensor *values = entries->values, *places = entries->places;
    struct ken_source *source = cutter->delta->checkpoint->files[0].source;
    cutter->done = cutter->stored = cutter->next = 0;
    if (places) run_begin(&cutter->run, source, places->offset, places->length);
    if (values && cutter->delta->encoding == KEN_ENCODING_PACKED) { /* it is as long as its index at least */
        uint64_t index = KEN_PACKED_INDEX_ENTRY * ken_packed_blocks(entries->count, entries->size);
        run_begin(&cutter->run, source, values->offset, index);
        cutter->blocks = values->offset + index;
        cutter->end = values->offset + values->length;
    }
    return cutter->delta->tensors[cutter->tensor].form == KEN_FORM_GAPS ? read_gap(cutter, error) : KEN_OK;
}

/* ---- what a block is made of, by form */

static int cut_same(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, struct ken_error *error)
{
    (void)cutter, (void)cut, (void)error;
    return KEN_OK;
}

static int cut_whole(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, struct ken_error *error)
{
    (void)cutter, (void)error;
    cut->stored = cut->count;
    return KEN_OK;
}

static int cut_mask(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &cutter->delta->tensors[cutter->tensor];
    const unsigned char *mask;
    size_t length = (cut->count + 7) / 8;
    int code = run_take(&cutter->run, length, &mask, error);
    if (code) return code;
    if (cut->count % 8 && mask[length - 1] >> cut->count % 8)
        return ken_delta_fail(error, tensor->name, "its mask has bits behind its last element");
    cut->stored = (size_t)ken_bits_ones(mask, length);
    if (cut->stored > tensor->stored - cutter->stored)
        return ken_delta_fail(error, tensor->name, "its mask has more bits than the %" PRIu64 " values that are stored", tensor->stored);
    cut->places = mask;
    cut->places_length = length;
    return KEN_OK;
}

static int cut_gaps(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, struct ken_error *error)
{
    const uint64_t before = cutter->stored;
    int code = KEN_OK;
    while (!code && cutter->next < cut->first + cut->count) {
        cutter->positions[cutter->stored++ - before] = (uint32_t)(cutter->next - cut->first);
        code = read_gap(cutter, error);
    }
    cut->stored = (size_t)(cutter->stored - before);
    cut->places = cutter->positions;
    cut->places_length = cut->stored * sizeof *cutter->positions;
    cutter->stored = before;
    return code;
}

static int cut_packed(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, struct ken_error *error)
{
    const char *name = cutter->delta->tensors[cutter->tensor].name;
    const unsigned char *bytes;
    int code = run_take(&cutter->run, KEN_PACKED_INDEX_ENTRY, &bytes, error);
    if (code) return code;
    ken_packed_entry_read(&cut->entry, bytes);
    if (cut->entry.length > KEN_PACKED_LONGEST || cut->entry.length > cutter->end - cutter->blocks)
        return ken_delta_fail(error, name, "block %" PRIu64 " is longer than a block can be or than what is there",
                              ken_delta_cut_number(cutter->delta, cut));
    cut->stored = cut->entry.stored;
    cut->values = cutter->blocks;
    cut->values_length = cut->entry.length;
    cutter->blocks += cut->entry.length;
    return KEN_OK;
}

void ken_delta_cutter_begin(struct ken_delta_cutter *cutter, size_t tensor)
{
    cutter->tensor = tensor;
    cutter->done = 0;
}

int ken_delta_cutter_next(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, bool *ended, struct ken_error *error)
{
    static int (*const cuts[])(struct ken_delta_cutter *, struct ken_delta_cut *, struct ken_error *) = {
        [KEN_FORM_SAME] = cut_same, [KEN_FORM_WHOLE] = cut_whole, [KEN_FORM_MASK] = cut_mask, [KEN_FORM_GAPS] = cut_gaps};
    const struct ken_delta *delta = cutter->delta;
    *ended = cutter->tensor == delta->tensor_count;
    if (*ended) return KEN_OK;
    const struct ken_delta_entries *entries = &delta->entries[cutter->tensor];
    const enum ken_form form = delta->tensors[cutter->tensor].form;
    const bool packed = delta->encoding == KEN_ENCODING_PACKED;
    int code = cutter->done ? KEN_OK : begin_tensor(cutter, error);
    if (code) return code;
    const uint64_t left = entries->count - cutter->done, most = packed ? ken_packed_elements(entries->size) : PIECE;
    *cut = (struct ken_delta_cut){
        .tensor = cutter->tensor, .first = cutter->done, .count = (size_t)(left < most ? left : most), .last = left <= most};
    if (cut->count) code = (packed && form != KEN_FORM_SAME ? cut_packed : cuts[form])(cutter, cut, error);
    if (code) return code;
    if (!packed && cut->stored) {
        cut->values = entries->values->offset + cutter->stored * entries->size;
        cut->values_length = cut->stored * entries->size;
    }
    cutter->done += cut->count;
    cutter->stored += cut->stored;
    return KEN_OK;
}

int ken_delta_cutter_finish(struct ken_delta_cutter *cutter, struct ken_error *error)
{
    const struct ken_delta_tensor *tensor = &cutter->delta->tensors[cutter->tensor];
    const bool packed = cutter->delta->encoding == KEN_ENCODING_PACKED && tensor->form != KEN_FORM_SAME;
    uint64_t stored = tensor->form == KEN_FORM_WHOLE ? cutter->done : tensor->stored;
    if (packed && cutter->stored != stored)
        return ken_delta_fail(error, tensor->name, "its blocks store %" PRIu64 " elements, not %" PRIu64, cutter->stored, stored);
    if (packed && cutter->blocks != cutter->end)
        return ken_delta_fail(error, tensor->name, "%" PRIu64 " bytes behind its last block", cutter->end - cutter->blocks);
    if (tensor->form == KEN_FORM_MASK && cutter->stored != stored)
        return ken_delta_fail(error, tensor->name, "its mask has %" PRIu64 " bits, but %" PRIu64 " values are stored", cutter->stored,
                              stored);
    ken_delta_cutter_begin(cutter, cutter->tensor + 1);
    return KEN_OK;
}
