/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/block.h"

#include "digest.h"
#include "selection/kernel.h"
#include "selection/mask.h"
#include "selection/select.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, CONVERT_BYTES = 65536 };
enum row_kind { ROW_SELECT, ROW_UNCHANGED, ROW_NON_FINITE };

/* ---- memory: laid out by one function, which only measures while there is none */

struct layout {
    unsigned char *memory; /* or NULL */
    uint64_t used;
};

static void *take(struct layout *layout, uint64_t bytes)
{
    void *at = layout->memory ? layout->memory + layout->used : NULL;
    layout->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static bool any_variant(const struct ken_plan *plan, bool (*is)(const struct ken_variant *variant))
{
    for (size_t v = 0; v < plan->options->variant_count; v++)
        if (is(&plan->options->variants[v])) return true;
    return false;
}

static bool reads_x(const struct ken_variant *variant)
{
    return variant->method == KEN_METHOD_KEN || variant->method == KEN_METHOD_DENSITY || variant->duplicates == KEN_DUPLICATES_ALL;
}

static bool reads_base(const struct ken_variant *variant)
{
    return variant->method == KEN_METHOD_MAGNITUDE;
}

static uint64_t bands(const struct ken_entry *entry, const struct ken_range *range)
{
    return (range->first + range->units - 1) / entry->cells.height - range->first / entry->cells.height + 1;
}

/* Cells are kept beside a delta. */
static bool with_cells(const struct ken_plan *plan)
{
    return plan->options->outputs & KEN_OUTPUT_DELTA;
}

static void lay_selection(struct layout *layout, struct ken_block *block)
{
    const struct ken_options *options = block->plan->options;
    size_t need = 0;
    for (size_t v = 0; v < options->variant_count; v++) {
        size_t bytes = ken_select_scratch(options->variants[v].method, block->entry->unit);
        if (bytes > need) need = bytes;
    }
    bool widens = block->entry->model->dtype != KEN_F32 && any_variant(block->plan, reads_x);
    block->x = widens ? take(layout, block->entry->unit * sizeof *block->x) : NULL;
    block->scratch = take(layout, need);
}

static void lay_part(struct layout *layout, struct ken_block *block, struct ken_part *part)
{
    const struct ken_entry *entry = block->entry;
    *part = (struct ken_part){.dense = entry->pruned ? take(layout, block->elements * entry->size) : NULL};
    if (!entry->base || entry->packed) return;
    part->kept = take(layout, block->elements / 8 + 2 + KEN_KEPT_SLACK);
    part->row_kept = take(layout, block->range.units * sizeof *part->row_kept);
    part->difference = take(layout, block->range.units * sizeof *part->difference);
    if (entry->pruned && with_cells(block->plan))
        part->cells = take(layout, bands(entry, &block->range) * entry->cells.columns * sizeof *part->cells);
}

static void lay_parts(struct layout *layout, struct ken_block *block)
{
    struct ken_part unused;
    for (size_t p = 0; p < block->part_count; p++) lay_part(layout, block, block->parts ? &block->parts[p] : &unused);
}

/* The scratch lies over the output, and over the base row if no method reads it. */
static void lay_tight(struct layout *layout, struct ken_block *block)
{
    uint64_t length = block->elements * block->entry->size;
    uint64_t start = layout->used;
    if (any_variant(block->plan, reads_base)) {
        block->base = take(layout, length);
        start = layout->used;
    }
    lay_selection(layout, block);
    uint64_t end = layout->used;
    layout->used = start;
    if (!any_variant(block->plan, reads_base)) block->base = take(layout, length);
    lay_parts(layout, block);
    if (layout->used < end) layout->used = end;
}

static void lay_out(struct layout *layout, struct ken_block *block)
{
    const struct ken_entry *entry = block->entry;
    uint64_t units = block->range.units, words = entry->pruned ? ken_mask_words(entry->unit) : 0;
    block->part_count = entry->pruned && !entry->tight ? block->plan->options->variant_count : 1;
    block->parts = take(layout, block->part_count * sizeof *block->parts);
    block->model = take(layout, block->elements * entry->size);
    if (entry->base && entry->base->dtype != entry->model->dtype) block->convert = take(layout, CONVERT_BYTES);
    if (entry->base && !entry->packed) block->update = take(layout, units * sizeof *block->update);
    if (entry->pruned) {
        block->kinds = take(layout, units);
        block->masks = take(layout, words * sizeof *block->masks * (entry->tight ? block->plan->options->variant_count : 1));
    }
    if (entry->tight) {
        lay_tight(layout, block);
    } else {
        if (entry->base) block->base = take(layout, block->elements * entry->size);
        if (entry->pruned) lay_selection(layout, block);
        lay_parts(layout, block);
    }
}

uint64_t ken_block_bytes(const struct ken_plan *plan, const struct ken_entry *entry, uint64_t units)
{
    struct layout layout = {0};
    struct ken_block block = {.plan = plan, .entry = entry, .range = {.units = units}, .elements = units * entry->unit};
    lay_out(&layout, &block);
    return layout.used;
}

struct ken_block *ken_block_create(const struct ken_plan *plan, const struct ken_range *range)
{
    const struct ken_entry *entry = &plan->entries[range->tensor];
    struct ken_block *block = calloc(1, sizeof *block);
    if (!block) return NULL;
    block->bytes = ken_block_bytes(plan, entry, range->units);
    block->memory = aligned_alloc(ALIGNMENT, block->bytes);
    if (!block->memory) {
        free(block);
        return NULL;
    }
    block->plan = plan;
    block->entry = entry;
    block->range = *range;
    block->first_element = ken_entry_first(entry, range->first);
    block->elements = ken_entry_elements(entry, range->first, range->units);
    struct layout layout = {.memory = block->memory};
    lay_out(&layout, block);
    KEN_ASSERT(layout.used <= block->bytes);
    return block;
}

void ken_block_destroy(struct ken_block **block)
{
    if (!*block) return;
    free((*block)->memory);
    free(*block);
    *block = NULL;
}

/* ---- reading */

static int read_model(struct ken_block *block)
{
    const struct ken_entry *entry = block->entry;
    struct ken_source *source = block->plan->model->files[entry->model->file].source;
    return ken_source_read(source, entry->model->offset + block->first_element * entry->size, block->model, block->elements * entry->size,
                           &block->error);
}

static int read_base(struct ken_block *block)
{
    const struct ken_entry *entry = block->entry;
    const struct ken_tensor *base = entry->base;
    struct ken_source *source = block->plan->base->files[base->file].source;
    if (!block->convert)
        return ken_source_read(source, base->offset + block->first_element * entry->size, block->base, block->elements * entry->size,
                               &block->error);
    size_t size = ken_dtype_size(base->dtype);
    for (uint64_t done = 0; done < block->elements;) {
        uint64_t count = block->elements - done < CONVERT_BYTES / size ? block->elements - done : CONVERT_BYTES / size;
        int code =
            ken_source_read(source, base->offset + (block->first_element + done) * size, block->convert, count * size, &block->error);
        if (code) return code;
        ken_convert(base->dtype, block->convert, entry->model->dtype, block->base + done * entry->size, count);
        done += count;
    }
    return KEN_OK;
}

static bool is_cancelled(struct ken_block *block)
{
    if (!block->cancelled || !block->cancelled(block->opaque)) return false;
    ken_fail(&block->error, KEN_ECANCELLED, "cancelled");
    return true;
}

/* ---- sums and cells */

static const struct ken_elements *elements(void)
{
    return ken_kernel()->elements;
}

/* Adds one row of a part to its cells. mask: NULL where all columns are selected. */
static void add_to_cells(const struct ken_block *block, struct ken_part *part, uint64_t row, const uint64_t *mask)
{
    const struct ken_entry *entry = block->entry;
    const uint64_t start = row * entry->unit * entry->size, height = entry->cells.height;
    const struct ken_cell_row of = {
        .dtype = entry->model->dtype,
        .finite = block->kinds[row] != ROW_NON_FINITE,
        .has_above = row > 0,
        .n = entry->unit,
        .width = entry->cells.width,
        .model = block->model + start,
        .base = block->base + start,
        .dense = part->dense + start,
        .mask = mask,
        .kept = part->kept,
        .first = block->first_element % 8 + row * entry->unit,
    };
    const uint64_t band = (block->range.first + row) / height - block->range.first / height;
    elements()->cells(&of, part->cells + band * entry->cells.columns);
}

/* ---- rows of a pruned tensor */

static const unsigned char *row_of(const struct ken_block *block, const unsigned char *values, uint64_t row)
{
    return values + row * block->entry->unit * block->entry->size;
}

/* A value of the base may be finite there and too large for the dtype that it is converted to. */
static int non_finite(struct ken_block *block, uint64_t row, bool in_base, uint64_t column)
{
    char name[160];
    const struct ken_tensor *model = block->entry->model, *base = block->entry->base;
    bool converted = in_base && base->dtype != model->dtype;
    return ken_fail(&block->error, KEN_ENON_FINITE,
                    "tensor \"%s\", row %" PRIu64 ", column %" PRIu64 ": NaN or infinity in the %s checkpoint%s%s",
                    ken_printable(name, sizeof name, model->name, strlen(model->name)), block->range.first + row, column,
                    in_base ? "base" : "fine-tuned", converted ? ", converted to " : "", converted ? ken_dtype_name(model->dtype) : "");
}

/* Tells what kind of row it is, and adds what holds for all variants. */
static int look_at_row(struct ken_block *block, uint64_t row)
{
    const struct ken_entry *entry = block->entry;
    enum ken_dtype dtype = entry->model->dtype;
    uint64_t n = entry->unit;
    const unsigned char *model = row_of(block, block->model, row), *base = row_of(block, block->base, row);
    uint64_t changed = elements()->count(model, base, n, entry->size);
    block->unchanged += n - changed;
    block->update[row] = 0;
    block->kinds[row] = changed ? ROW_SELECT : ROW_UNCHANGED;
    bool in_model = elements()->any_non_finite(dtype, model, n), in_base = elements()->any_non_finite(dtype, base, n);
    if (in_model || in_base) {
        if (block->plan->options->non_finite == KEN_NON_FINITE_FAIL)
            return non_finite(block, row, !in_model, ken_first_non_finite(dtype, in_model ? model : base, n));
        block->kinds[row] = ROW_NON_FINITE;
        block->non_finite_rows++;
    } else if (changed) {
        block->update[row] = elements()->squares(dtype, model, base, n);
    }
    return KEN_OK;
}

static void prepare_row(const struct ken_block *block, uint64_t row, const unsigned char *key, struct ken_row *prepared)
{
    const unsigned char *model = row_of(block, block->model, row);
    *prepared = (struct ken_row){
        .n = block->entry->unit,
        .x = block->x ? block->x : (const float *)(const void *)model,
        .dtype = block->entry->model->dtype,
        .model = model,
        .base = row_of(block, block->base, row),
        .tensor_key = key,
        .row = block->range.first + row,
    };
}

/* Whether the row is kept whole, or unchanged, so that nothing is to be selected. */
static bool is_whole(const struct ken_block *block, uint64_t row, size_t variant)
{
    return block->kinds[row] != ROW_SELECT || block->entry->unit <= ken_plan_k(block->plan, block->range.tensor, variant);
}

static void select_row(struct ken_block *block, const struct ken_row *row, size_t variant, uint64_t *mask)
{
    const struct ken_variant *of = &block->plan->options->variants[variant];
    ken_select(row, ken_plan_k(block->plan, block->range.tensor, variant), of->method, of->duplicates, of->seed, mask, block->scratch);
}

/* Makes one row of one variant's outputs. */
static void make_row(struct ken_block *block, struct ken_part *part, size_t variant, uint64_t row, const struct ken_row *prepared,
                     const uint64_t *mask)
{
    const struct ken_entry *entry = block->entry;
    bool whole = is_whole(block, row, variant), unchanged = block->kinds[row] == ROW_UNCHANGED;
    unsigned char *out = part->dense + row * entry->unit * entry->size;
    if (whole)
        memcpy(out, prepared->model, entry->unit * entry->size);
    else if (block->plan->options->variants[variant].rescale == KEN_RESCALE_L1)
        ken_rescale_l1(prepared, mask, out);
    else
        elements()->merge(prepared->model, prepared->base, mask, out, entry->unit, entry->size);
    if (!unchanged) part->selected += whole ? entry->unit : ken_mask_count(mask, ken_mask_words(entry->unit));
    uint64_t first_bit = block->first_element % 8 + row * entry->unit;
    uint64_t stored = elements()->mark(out, prepared->base, entry->unit, entry->size, part->kept, first_bit);
    part->row_kept[row] = (uint32_t)stored;
    part->stored += stored;
    part->difference[row] = whole ? 0 : elements()->squares(entry->model->dtype, out, prepared->model, entry->unit);
    if (part->cells && !unchanged) add_to_cells(block, part, row, whole ? NULL : mask);
}

static void clear_part(const struct ken_block *block, struct ken_part *part)
{
    part->selected = part->stored = 0;
    memset(part->kept, 0, block->elements / 8 + 2);
    if (part->cells) memset(part->cells, 0, bands(block->entry, &block->range) * block->entry->cells.columns * sizeof *part->cells);
}

static int tensor_key(struct ken_block *block, unsigned char key[32])
{
    const char *name = block->entry->model->name;
    return ken_sha256(name, strlen(name), key, &block->error);
}

static int run_roomy(struct ken_block *block)
{
    unsigned char key[32];
    struct ken_row row;
    if (tensor_key(block, key)) return block->error.code;
    for (size_t v = 0; v < block->part_count; v++) clear_part(block, &block->parts[v]);
    for (uint64_t r = 0; r < block->range.units; r++) {
        if (look_at_row(block, r)) return block->error.code;
        prepare_row(block, r, key, &row);
        if (block->x && block->kinds[r] == ROW_SELECT) ken_kernel_widen(row.dtype, row.model, block->x, row.n);
        for (size_t v = 0; v < block->part_count; v++) {
            if (is_cancelled(block)) return block->error.code;
            if (!is_whole(block, r, v)) select_row(block, &row, v, block->masks);
            make_row(block, &block->parts[v], v, r, &row, block->masks);
        }
    }
    return KEN_OK;
}

static uint64_t *tight_mask(const struct ken_block *block, size_t variant)
{
    return block->masks + variant * ken_mask_words(block->entry->unit);
}

static int run_tight(struct ken_block *block)
{
    unsigned char key[32];
    struct ken_row row;
    if (tensor_key(block, key) || look_at_row(block, 0)) return block->error.code;
    if (block->kinds[0] != ROW_SELECT) return KEN_OK;
    prepare_row(block, 0, key, &row);
    if (block->x) ken_kernel_widen(row.dtype, row.model, block->x, row.n);
    for (size_t v = 0; v < block->plan->options->variant_count; v++) {
        if (is_cancelled(block)) return block->error.code;
        if (!is_whole(block, 0, v)) select_row(block, &row, v, tight_mask(block, v));
    }
    return any_variant(block->plan, reads_base) ? KEN_OK : read_base(block);
}

/* ---- tensors that are kept, reset or added */

/* Spans with NaN or infinity have no distance. */
static double span_squares(const struct ken_block *block, uint64_t first, uint64_t count)
{
    enum ken_dtype dtype = block->entry->model->dtype;
    const unsigned char *model = block->model + first * block->entry->size, *base = block->base + first * block->entry->size;
    if (!ken_dtype_is_prunable(dtype) || elements()->any_non_finite(dtype, model, count) || elements()->any_non_finite(dtype, base, count))
        return 0;
    return elements()->squares(dtype, model, base, count);
}

static void compare_spans(struct ken_block *block, struct ken_part *part)
{
    const struct ken_entry *entry = block->entry;
    bool reset = entry->action == KEN_ACTION_RESET;
    clear_part(block, part);
    for (uint64_t u = 0; u < block->range.units; u++) {
        uint64_t first = u * entry->unit, count = ken_entry_elements(entry, block->range.first + u, 1);
        const unsigned char *model = block->model + first * entry->size, *base = block->base + first * entry->size;
        uint64_t changed = elements()->count(model, base, count, entry->size);
        block->unchanged += count - changed;
        block->update[u] = span_squares(block, first, count);
        part->difference[u] = reset ? block->update[u] : 0;
        part->row_kept[u] = (uint32_t)(reset ? 0 : elements()->mark(model, base, count, entry->size, part->kept, first));
        part->stored += part->row_kept[u];
    }
}

static int run_spans(struct ken_block *block)
{
    const struct ken_entry *entry = block->entry;
    struct ken_part *part = &block->parts[0];
    part->dense = entry->action == KEN_ACTION_RESET ? block->base : block->model;
    if (is_cancelled(block)) return block->error.code;
    if (!entry->base)
        part->stored = block->elements;
    else if (!entry->packed)
        compare_spans(block, part);
    else if (memcmp(block->model, block->base, block->elements) != 0)
        part->stored = entry->action == KEN_ACTION_RESET ? 0 : block->elements;
    else
        block->unchanged = block->elements;
    return KEN_OK;
}

/* ---- */

void ken_block_run(struct ken_block *block)
{
    block->code = read_model(block);
    if (!block->code && block->entry->base) block->code = read_base(block);
    if (block->code) return;
    if (!block->entry->pruned)
        block->code = run_spans(block);
    else if (block->entry->tight)
        block->code = run_tight(block);
    else
        block->code = run_roomy(block);
}

struct ken_part *ken_block_part(struct ken_block *block, size_t variant)
{
    KEN_ASSERT(!block->code);
    if (!block->entry->tight) return &block->parts[block->entry->pruned ? variant : 0];
    struct ken_row row;
    struct ken_part *part = &block->parts[0];
    prepare_row(block, 0, NULL, &row);
    clear_part(block, part);
    make_row(block, part, variant, 0, &row, tight_mask(block, variant));
    return part;
}
