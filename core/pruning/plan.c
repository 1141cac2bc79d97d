/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/plan.h"

#include "checkpoint/model_header.h"
#include "delta/packed.h"
#include "pruning/block.h"
#include "pruning/cells_writer.h"
#include "pruning/progress.h"
#include "selection/select.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values whose selection takes a few milliseconds, and whose bytes stay in a cache until they are written. */
#define BLOCK_VALUES (UINT64_C(1) << 18)
enum { MAX_WARNINGS = 1000 };

const char *ken_plan_show(char buffer[KEN_PLAN_NAME], const char *name)
{
    return ken_printable(buffer, KEN_PLAN_NAME, name, strlen(name));
}

int ken_plan_warn(struct ken_plan *plan, struct ken_error *error, const char *format, ...)
{
    if (plan->warning_count > MAX_WARNINGS) return KEN_OK;
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = plan->warning_count < MAX_WARNINGS ? vasprintf(&text, format, arguments) : asprintf(&text, "more warnings are left out");
    va_end(arguments);
    char **warnings = length < 0 ? NULL : realloc(plan->warnings, (plan->warning_count + 1) * sizeof *warnings);
    if (!warnings) {
        if (length >= 0) free(text);
        return ken_fail_no_memory(error, "warnings");
    }
    plan->warnings = warnings;
    plan->warnings[plan->warning_count++] = text;
    return KEN_OK;
}

int ken_plan_go_on(const struct ken_plan_limits *limits, struct ken_error *error)
{
    return limits->cancelled && limits->cancelled(limits->opaque) ? ken_fail(error, KEN_ECANCELLED, "cancelled") : KEN_OK;
}

/* ---- what is done */

static int decide(struct ken_plan *plan, struct ken_entry *entry, struct ken_error *error)
{
    char name[KEN_PLAN_NAME];
    const struct ken_amount *amount = NULL;
    entry->action = ken_options_action(plan->options, entry->model->name, &amount, plan->used);
    if (!entry->base) {
        if (plan->options->unmatched == KEN_UNMATCHED_FAIL)
            return ken_fail(error, KEN_EMISMATCH, "tensor \"%s\" has no counterpart in the base; \"names\" can tell it one",
                            ken_plan_show(name, entry->model->name));
        if (entry->action == KEN_ACTION_RESET)
            return ken_fail(error, KEN_EMISMATCH, "tensor \"%s\" is to be reset, but the base has no such tensor",
                            ken_plan_show(name, entry->model->name));
        entry->action = KEN_ACTION_KEEP;
    }
    if (!ken_dtype_is_prunable(entry->model->dtype) && entry->action == KEN_ACTION_PRUNE) entry->action = KEN_ACTION_KEEP;
    if (amount) entry->amount = *amount;
    return KEN_OK;
}

/* ---- units and blocks */

static void cut_into_units(struct ken_entry *entry)
{
    const struct ken_tensor *tensor = entry->model;
    entry->size = ken_dtype_size(tensor->dtype);
    entry->packed = entry->size == 0;
    if (entry->packed) entry->size = 1;
    entry->elements = entry->packed ? tensor->length : ken_tensor_elements(tensor);
    entry->pruned = entry->action == KEN_ACTION_PRUNE && entry->elements;
    entry->unit = entry->pruned ? tensor->n : KEN_SPAN;
    entry->units = entry->pruned ? tensor->rows : entry->elements / KEN_SPAN + (entry->elements % KEN_SPAN != 0);
    if (entry->pruned) ken_cells_measure(&entry->cells, tensor->rows, tensor->n);
}

/* Multiples of a band of cells, or parts of one. */
static uint64_t align_rows(uint64_t rows)
{
    if (rows >= KEN_CELL) return rows / KEN_CELL * KEN_CELL;
    while (rows & (rows - 1)) rows &= rows - 1;
    return rows;
}

static void cut_into_blocks(const struct ken_plan *plan, struct ken_entry *entry, const struct ken_plan_limits *limits)
{
    uint64_t share = limits->memory / (2 * (uint64_t)limits->threads);
    uint64_t values = entry->pruned ? BLOCK_VALUES / plan->options->variant_count : BLOCK_VALUES;
    uint64_t units = values / entry->unit;
    if (units > entry->units) units = entry->units;
    while (units > 1 && ken_block_bytes(plan, entry, units) > share) units /= 2;
    entry->block_units = units > 1 && entry->pruned ? align_rows(units) : units ? units : 1;
}

static int fit(const struct ken_plan *plan, struct ken_entry *entry, const struct ken_plan_limits *limits, struct ken_error *error)
{
    char name[KEN_PLAN_NAME];
    if (entry->pruned && entry->model->n > KEN_MAX_COLUMNS)
        return ken_fail(error, KEN_ETOO_LARGE, "tensor \"%s\": a row has %" PRIu64 " values, the limit is %zu",
                        ken_plan_show(name, entry->model->name), entry->model->n, KEN_MAX_COLUMNS);
    if (!entry->units) {
        entry->block_units = 1;
        return KEN_OK;
    }
    entry->tight = entry->pruned && ken_block_bytes(plan, entry, 1) > limits->memory / 2;
    uint64_t need = ken_block_bytes(plan, entry, 1);
    if (need > limits->memory)
        return ken_fail(error, KEN_ETOO_LARGE,
                        "tensor \"%s\": a row of %" PRIu64 " values needs %" PRIu64 " bytes of buffers, the limit is %" PRIu64
                        " (prune.memory)",
                        ken_plan_show(name, entry->model->name), entry->unit, need, limits->memory);
    if (entry->tight)
        entry->block_units = 1;
    else
        cut_into_blocks(plan, entry, limits);
    return KEN_OK;
}

bool ken_plan_next(const struct ken_plan *plan, size_t *tensor, uint64_t *unit, struct ken_range *range)
{
    while (*tensor < plan->model->tensor_count && *unit >= plan->entries[*tensor].units) {
        (*tensor)++;
        *unit = 0;
    }
    if (*tensor == plan->model->tensor_count) return false;
    const struct ken_entry *entry = &plan->entries[*tensor];
    uint64_t units = entry->block_units - *unit % entry->block_units;
    if (units > entry->units - *unit) units = entry->units - *unit;
    *range = (struct ken_range){.tensor = *tensor, .first = *unit, .units = units};
    *unit += units;
    return true;
}

uint64_t ken_entry_first(const struct ken_entry *entry, uint64_t unit)
{
    return unit < entry->units ? unit * entry->unit : entry->elements;
}

uint64_t ken_entry_elements(const struct ken_entry *entry, uint64_t first, uint64_t units)
{
    return ken_entry_first(entry, first + units) - ken_entry_first(entry, first);
}

/* ---- sizes */

uint64_t ken_plan_offset(const struct ken_plan *plan, size_t tensor)
{
    const struct ken_tensor *model = plan->entries[tensor].model;
    return plan->header_bytes[model->file] + (model->offset - plan->model->files[model->file].data_offset);
}

int ken_plan_header(const struct ken_plan *plan, size_t file, char **bytes, size_t *length, struct ken_error *error)
{
    const struct ken_checkpoint_file *of = &plan->model->files[file];
    struct ken_header_tensor *tensors = calloc(of->count + 1, sizeof *tensors);
    if (!tensors) return ken_fail(error, KEN_ENOMEM, "out of memory for the header of %s", of->name);
    for (size_t i = 0; i < of->count; i++) {
        const struct ken_tensor *tensor = &plan->model->tensors[of->first + i];
        tensors[i] = (struct ken_header_tensor){tensor->name, tensor->dtype, tensor->rank, tensor->shape, tensor->length};
    }
    int code = ken_model_header_make(bytes, length, of->metadata_json, tensors, of->count, error);
    free(tensors);
    return code;
}

int ken_plan_index(const struct ken_plan *plan, char **text, size_t *length, struct ken_error *error)
{
    uint64_t total = 0;
    size_t count = plan->model->tensor_count;
    struct ken_index_entry *entries = calloc(count + 1, sizeof *entries);
    if (!entries) return ken_fail(error, KEN_ENOMEM, "out of memory for the index of the model");
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct ken_index_entry){plan->model->tensors[i].name, plan->model->tensors[i].file};
        total += plan->model->tensors[i].length;
    }
    int code = ken_model_index_make(text, length, entries, count, plan->model->file_count, total, error);
    free(entries);
    return code;
}

static int measure_files(struct ken_plan *plan, struct ken_error *error)
{
    for (size_t f = 0; f < plan->model->file_count; f++) {
        char *bytes = NULL;
        size_t length = 0;
        int code = ken_plan_header(plan, f, &bytes, &length, error);
        if (code) return code;
        free(bytes);
        plan->header_bytes[f] = length;
        plan->file_bytes[f] = length + (plan->model->files[f].source->size - plan->model->files[f].data_offset);
        plan->totals.model_bytes += plan->file_bytes[f];
    }
    return KEN_OK;
}

uint64_t ken_plan_k(const struct ken_plan *plan, size_t tensor, size_t variant)
{
    const struct ken_entry *entry = &plan->entries[tensor];
    if (!entry->pruned) return 0;
    bool own = entry->amount.k || entry->amount.keep > 0;
    return ken_amount_k(own ? &entry->amount : &plan->options->variants[variant].amount, entry->model->n);
}

/* Values that one variant stores of a tensor at most. */
static uint64_t stored_at_most(const struct ken_plan *plan, size_t tensor, size_t variant)
{
    const struct ken_entry *entry = &plan->entries[tensor];
    if (entry->action == KEN_ACTION_RESET) return 0;
    bool exact = plan->options->variants[variant].duplicates == KEN_DUPLICATES_EXACT && plan->options->non_finite == KEN_NON_FINITE_FAIL;
    if (!entry->pruned || !exact) return entry->elements;
    uint64_t k = ken_plan_k(plan, tensor, variant);
    return entry->model->rows * (k < entry->model->n ? k : entry->model->n);
}

static uint64_t base_name_length(const struct ken_entry *entry)
{
    return entry->base ? strlen(entry->base->name) : 0;
}

/* What the header of a delta says of a tensor at most: in two JSON texts that are quoted once more, and as two entries. */
static uint64_t described_at_most(const struct ken_entry *entry)
{
    enum { FIXED = 640, DIGITS = 3 * 21, ESCAPED = 6, QUOTED = 7 /* bytes of JSON, and of JSON in JSON, for a byte */ };
    uint64_t own = strlen(entry->model->name);
    return FIXED + (2 * ESCAPED + 2 * QUOTED) * own + QUOTED * base_name_length(entry) + DIGITS * (uint64_t)entry->model->rank;
}

/* What one variant takes beside its model and delta, at most: report, lines of tensors, index, records. */
static uint64_t reported_at_most(const struct ken_plan *plan)
{
    enum { FIELDS = 640, DIGITS = 21, ESCAPED = 6 /* bytes of JSON for a byte */ };
    uint64_t bytes = 0;
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_tensor *tensor = plan->entries[t].model;
        uint64_t name = ESCAPED * (uint64_t)strlen(tensor->name), base_name = ESCAPED * base_name_length(&plan->entries[t]);
        uint64_t line = FIELDS + DIGITS * (uint64_t)tensor->rank + name + base_name;
        bytes += 2 * line + name + DIGITS + KEN_MODEL_NAME_SIZE + sizeof(struct ken_record);
    }
    for (size_t i = 0; i < plan->dropped_count; i++) bytes += ESCAPED * (uint64_t)strlen(plan->base->tensors[plan->dropped[i]].name) + 3;
    for (size_t i = 0; i < plan->warning_count; i++) bytes += ESCAPED * (uint64_t)strlen(plan->warnings[i]) + 3;
    for (size_t i = 0; i < plan->model->tie_count; i++)
        bytes += ESCAPED * (uint64_t)(strlen(plan->model->ties[i].name) + strlen(plan->model->ties[i].of)) + 32;
    for (size_t f = 0; f < plan->model->file_count; f++) bytes += ESCAPED * (uint64_t)strlen(plan->model->files[f].name) + 160;
    for (size_t f = 0; f < plan->base->file_count; f++) bytes += ESCAPED * (uint64_t)strlen(plan->base->files[f].name) + 160;
    return bytes;
}

/* What packing adds to values and mask at most, where they are noise. */
static uint64_t packing_at_most(const struct ken_plan *plan, const struct ken_entry *entry, uint64_t stored)
{
    enum { HEAD = 256 }; /* of a block, and what the index tells of it */
    if (plan->options->encoding != KEN_ENCODING_PACKED || !stored) return 0;
    return stored + HEAD * ken_packed_blocks(entry->elements, entry->size);
}

/* Adds what one variant needs: its delta, and values and masks on their way there. */
static void measure_variant(struct ken_plan *plan, size_t variant)
{
    uint64_t delta = 4096, scratch = 0;
    for (size_t f = 0; f < plan->model->file_count; f++) {
        const char *metadata = plan->model->files[f].metadata_json;
        delta += 256 + (metadata ? 2 * (uint64_t)strlen(metadata) : 0);
    }
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_entry *entry = &plan->entries[t];
        uint64_t values = stored_at_most(plan, t, variant) * entry->size;
        uint64_t mask = entry->base && !entry->packed && values ? entry->elements / 8 + 1 : 0;
        uint64_t packing = packing_at_most(plan, entry, values / entry->size);
        bool packed = plan->options->encoding == KEN_ENCODING_PACKED;
        uint64_t smallest = values + mask < entry->model->length || packed ? values + mask + packing : entry->model->length;
        delta += described_at_most(entry) + smallest;
        scratch += values + mask + described_at_most(entry) + (packed ? smallest : 0);
    }
    plan->totals.delta_bytes_at_most += delta;
    plan->totals.disk_bytes += plan->options->outputs & KEN_OUTPUT_DELTA ? delta + scratch + ken_cells_bytes_at_most(plan) : 0;
    if (plan->options->outputs & KEN_OUTPUT_MODEL) plan->totals.disk_bytes += plan->totals.model_bytes;
    plan->totals.disk_bytes += reported_at_most(plan) + (UINT64_C(1) << 20); /* the latter for the journal and the rest of the report */
}

static void add_up(struct ken_plan *plan, const struct ken_plan_limits *limits)
{
    struct ken_plan_totals *totals = &plan->totals;
    uint64_t largest = 0;
    totals->tensors = plan->model->tensor_count;
    totals->dropped_tensors = plan->dropped_count;
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_entry *entry = &plan->entries[t];
        uint64_t bytes = entry->units ? ken_block_bytes(plan, entry, entry->block_units) : 0;
        if (bytes > largest) largest = bytes;
        totals->parameters += ken_tensor_elements(entry->model);
        if (!entry->base)
            totals->added_tensors++;
        else if (strcmp(entry->model->name, entry->base->name) != 0)
            totals->renamed_tensors++;
        if (!entry->pruned) continue;
        totals->pruned_tensors++;
        totals->pruned_parameters += entry->elements;
        totals->rows += entry->model->rows;
    }
    uint64_t most = limits->memory / (largest ? largest : 1);
    totals->memory_bytes = largest * (most < 2 * (uint64_t)limits->threads ? most : 2 * (uint64_t)limits->threads);
    for (size_t v = 0; v < plan->options->variant_count; v++) measure_variant(plan, v);
}

/* ---- making and showing */

/* Whether the rules leave anything to do. */
static bool changes_anything(const struct ken_plan *plan)
{
    for (size_t t = 0; t < plan->model->tensor_count; t++)
        if (plan->entries[t].pruned || (plan->entries[t].action == KEN_ACTION_RESET && plan->entries[t].elements)) return true;
    return false;
}

/* A rule that matches nothing is most often a slip of the pen. */
static int warn_of_idle_rules(struct ken_plan *plan, struct ken_error *error)
{
    const struct ken_options *options = plan->options;
    int code = KEN_OK;
    char text[KEN_PLAN_NAME];
    for (size_t i = 0; !code && i < options->rule_count + options->name_count; i++) {
        bool of_names = i >= options->rule_count;
        size_t number = of_names ? i - options->rule_count : i;
        const char *glob = of_names ? options->names[number].match : options->rules[number].match;
        if (plan->used[i]) continue;
        code = ken_plan_warn(plan, error, "%s %zu, \"%s\", matches no tensor of the model", of_names ? "names rule" : "rule", number + 1,
                             ken_plan_show(text, glob));
    }
    return code;
}

static int plan_tensors(struct ken_plan *plan, const struct ken_plan_limits *limits, struct ken_error *error)
{
    for (size_t t = 0; t < plan->model->tensor_count; t++) plan->entries[t].model = &plan->model->tensors[t];
    int code = ken_plan_match(plan, limits, error);
    for (size_t t = 0; !code && t < plan->model->tensor_count; t++) {
        struct ken_entry *entry = &plan->entries[t];
        code = ken_plan_go_on(limits, error);
        if (!code) code = decide(plan, entry, error);
        if (code) break;
        cut_into_units(entry);
        code = fit(plan, entry, limits, error);
    }
    if (!code && !changes_anything(plan)) code = ken_plan_warn(plan, error, "no tensor is pruned or reset: the rules keep all of them");
    return code ? code : warn_of_idle_rules(plan, error);
}

int ken_plan_make(struct ken_plan **plan, const struct ken_checkpoint *model, const struct ken_checkpoint *base,
                  const struct ken_options *options, const struct ken_plan_limits *limits, struct ken_error *error)
{
    KEN_ASSERT(options->variant_count >= 1 && options->variant_count <= KEN_MAX_VARIANTS && limits->threads > 0);
    *plan = NULL;
    struct ken_plan *made = calloc(1, sizeof *made);
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for a plan");
    *made = (struct ken_plan){.model = model, .base = base, .options = options};
    made->entries = calloc(model->tensor_count + 1, sizeof *made->entries);
    made->header_bytes = calloc(model->file_count + 1, sizeof *made->header_bytes);
    made->file_bytes = calloc(model->file_count + 1, sizeof *made->file_bytes);
    made->used = calloc(options->rule_count + options->name_count + 1, sizeof *made->used);
    if (!made->entries || !made->header_bytes || !made->file_bytes || !made->used) {
        ken_plan_free(&made);
        return ken_fail(error, KEN_ENOMEM, "out of memory for a plan of %zu tensors", model->tensor_count);
    }
    int code = plan_tensors(made, limits, error);
    if (!code) code = measure_files(made, error);
    if (code) {
        ken_plan_free(&made);
        return code;
    }
    add_up(made, limits);
    *plan = made;
    return KEN_OK;
}

void ken_plan_free(struct ken_plan **plan)
{
    if (!*plan) return;
    for (size_t i = 0; i < (*plan)->warning_count; i++) free((*plan)->warnings[i]);
    free((*plan)->warnings);
    free((*plan)->used);
    free((*plan)->dropped);
    free((*plan)->file_bytes);
    free((*plan)->header_bytes);
    free((*plan)->entries);
    free(*plan);
    *plan = NULL;
}

const struct ken_plan_totals *ken_plan_totals(const struct ken_plan *plan)
{
    return &plan->totals;
}

size_t ken_plan_warning_count(const struct ken_plan *plan)
{
    return plan->warning_count;
}

const char *ken_plan_warning(const struct ken_plan *plan, size_t index)
{
    KEN_ASSERT(index < plan->warning_count);
    return plan->warnings[index];
}

size_t ken_plan_tensor_count(const struct ken_plan *plan)
{
    return plan->model->tensor_count;
}

struct ken_plan_tensor ken_plan_tensor(const struct ken_plan *plan, size_t index)
{
    KEN_ASSERT(index < plan->model->tensor_count);
    const struct ken_entry *entry = &plan->entries[index];
    return (struct ken_plan_tensor){.model = entry->model, .base = entry->base, .action = entry->action, .pruned = entry->pruned};
}
