/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/run.h"

#include "json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 64 }; /* read at a time */

/* Sums over the tensors of one variant: DESIGN.md, "report.json". */
struct totals {
    uint64_t rows, selected, unchanged, kept, reset, whole, added, non_finite_rows;
    double difference, update;
};

struct report {
    struct ken_prune *prune;
    size_t variant;
    struct ken_error *error; /* of a sink */
    struct ken_output_file lines, file;
    struct ken_json_writer json; /* to file */
};

static double relative(double difference, double update)
{
    return update > 0 ? sqrt(difference) / sqrt(update) : 0;
}

/* Calls tell(opaque, tensor, record) for every tensor in order. */
static int each_record(struct report *report,
                       int (*tell)(struct report *report, void *opaque, size_t tensor, const struct ken_record *record), void *opaque,
                       struct ken_error *error)
{
    struct ken_record records[RECORDS];
    size_t tensors = report->prune->plan->model->tensor_count;
    for (size_t first = 0; first < tensors; first += RECORDS) {
        size_t count = tensors - first < RECORDS ? tensors - first : RECORDS;
        if (ken_run_cancelled(report->prune)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        int code = ken_scratch_records(report->prune->scratch, report->variant, first, records, count, error);
        for (size_t i = 0; !code && i < count; i++) code = tell(report, opaque, first + i, &records[i]);
        if (code) return code;
    }
    return KEN_OK;
}

static uint64_t reset_of(const struct ken_entry *entry, const struct ken_record *record)
{
    return ken_tensor_elements(entry->model) - record->unchanged - record->stored;
}

static int add_to_totals(struct report *report, void *opaque, size_t tensor, const struct ken_record *record)
{
    const struct ken_entry *entry = &report->prune->plan->entries[tensor];
    struct totals *totals = opaque;
    uint64_t elements = ken_tensor_elements(entry->model);
    totals->rows += entry->pruned ? entry->model->rows : 0;
    totals->selected += record->selected;
    totals->non_finite_rows += record->non_finite_rows;
    totals->difference += record->difference;
    totals->update += record->update;
    if (!entry->base) {
        totals->added += elements;
    } else if (entry->action == KEN_ACTION_KEEP) {
        totals->whole += elements;
    } else {
        totals->unchanged += record->unchanged;
        totals->kept += record->stored;
        totals->reset += reset_of(entry, record);
    }
    return KEN_OK;
}

static void number(struct ken_json_writer *json, const char *key, uint64_t value)
{
    ken_json_key(json, key);
    ken_json_uint(json, value);
}

static void string(struct ken_json_writer *json, const char *key, const char *value)
{
    ken_json_key(json, key);
    if (value)
        ken_json_string(json, value);
    else
        ken_json_null(json);
}

static void real(struct ken_json_writer *json, const char *key, double value)
{
    ken_json_key(json, key);
    ken_json_double(json, value);
}

static double percent(uint64_t part, uint64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

static char *totals_to_json(const struct ken_plan *plan, const struct totals *totals, uint64_t delta_bytes)
{
    struct ken_json_writer json;
    char *text;
    uint64_t parameters = plan->totals.parameters;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    number(&json, "parameters", parameters);
    number(&json, "rows", totals->rows);
    number(&json, "selected", totals->selected);
    number(&json, "unchanged", totals->unchanged);
    number(&json, "kept", totals->kept);
    number(&json, "reset", totals->reset);
    number(&json, "whole", totals->whole);
    number(&json, "added", totals->added);
    number(&json, "non_finite_rows", totals->non_finite_rows);
    real(&json, "kept_percent", percent(totals->kept, parameters));
    real(&json, "reset_percent", percent(totals->reset, parameters));
    number(&json, "delta_bytes", delta_bytes);
    number(&json, "model_bytes", plan->options->outputs & KEN_OUTPUT_MODEL ? plan->totals.model_bytes : 0);
    real(&json, "relative_l2", relative(totals->difference, totals->update));
    ken_json_end_object(&json);
    return ken_json_writer_take(&json, &text, NULL) ? NULL : text;
}

/* ---- tensors */

static void tell_tensor(const struct report *report, struct ken_json_writer *json, size_t tensor, const struct ken_record *record)
{
    const struct ken_plan *plan = report->prune->plan;
    const struct ken_entry *entry = &plan->entries[tensor];
    const struct ken_tensor *model = entry->model, *base = entry->base;
    ken_json_begin_object(json);
    string(json, "name", model->name);
    string(json, "base_name", base ? base->name : NULL);
    string(json, "dtype", ken_dtype_name(model->dtype));
    string(json, "base_dtype", base ? ken_dtype_name(base->dtype) : NULL);
    ken_json_key(json, "shape");
    ken_json_uints(json, model->shape, model->rank);
    number(json, "rows", model->rows);
    number(json, "n", model->n);
    if (entry->pruned)
        number(json, "k", ken_plan_k(plan, tensor, report->variant));
    else
        string(json, "k", NULL);
    string(json, "action", ken_action_name(entry->action));
    string(json, "method", entry->pruned ? ken_method_name(plan->options->variants[report->variant].method) : NULL);
    number(json, "selected", record->selected);
    number(json, "unchanged", record->unchanged);
    number(json, "kept", record->stored);
    number(json, "reset", reset_of(entry, record));
    number(json, "non_finite_rows", record->non_finite_rows);
    real(json, "relative_l2", relative(record->difference, record->update));
    ken_json_end_object(json);
}

static int write_tensor(struct report *report, void *opaque, size_t tensor, const struct ken_record *record)
{
    struct ken_json_writer json;
    const char *text;
    size_t length;
    (void)opaque;
    ken_json_writer_init(&json);
    tell_tensor(report, &json, tensor, record);
    int code = ken_json_writer_finish(&json, &text, &length);
    if (code) ken_fail(report->error, code, "out of memory for a line of the report");
    if (!code && report->file.buffer) ken_json_raw(&report->json, text, length);
    if (!code) code = ken_output_write(&report->lines, text, length, report->error);
    if (!code) code = ken_output_write(&report->lines, "\n", 1, report->error);
    ken_json_writer_free(&json);
    return code;
}

/* ---- the head of the report */

static void tell_checkpoint(struct ken_json_writer *json, const char *key, const struct ken_checkpoint *checkpoint,
                            const struct ken_inputs *inputs, const unsigned char *(*digest)(const struct ken_inputs *inputs, size_t file))
{
    char hex[KEN_SHA256_HEX_SIZE];
    ken_json_key(json, key);
    ken_json_begin_object(json);
    ken_json_key(json, "files");
    ken_json_begin_array(json);
    for (size_t f = 0; f < checkpoint->file_count; f++) {
        ken_json_begin_object(json);
        string(json, "name", checkpoint->files[f].name);
        number(json, "size", checkpoint->files[f].stored->size);
        string(json, "sha256", ken_hex_encode(hex, digest(inputs, f), KEN_SHA256_SIZE));
        ken_json_end_object(json);
    }
    ken_json_end_array(json);
    ken_json_end_object(json);
}

static void tell_variant(struct ken_json_writer *json, const struct ken_variant *variant)
{
    string(json, "variant", *variant->name ? variant->name : NULL);
    string(json, "method", ken_method_name(variant->method));
    if (variant->amount.k)
        number(json, "k", variant->amount.k);
    else
        real(json, "keep", variant->amount.keep);
    string(json, "rescale", ken_rescale_name(variant->rescale));
    string(json, "duplicates", ken_duplicates_name(variant->duplicates));
    number(json, "seed", variant->seed);
}

/* Names of the model for tensors that have another one; nothing where there are none. */
static void tell_ties(struct ken_json_writer *json, const struct ken_checkpoint *model)
{
    if (!model->tie_count) return;
    ken_json_key(json, "tied");
    ken_json_begin_array(json);
    for (size_t i = 0; i < model->tie_count; i++) {
        ken_json_begin_object(json);
        string(json, "name", model->ties[i].name);
        string(json, "of", model->ties[i].of);
        ken_json_end_object(json);
    }
    ken_json_end_array(json);
}

static void tell_lists(struct ken_json_writer *json, const struct ken_plan *plan)
{
    ken_json_key(json, "warnings");
    ken_json_begin_array(json);
    for (size_t i = 0; i < plan->warning_count; i++) ken_json_string(json, plan->warnings[i]);
    ken_json_end_array(json);
    ken_json_key(json, "dropped");
    ken_json_begin_array(json);
    for (size_t i = 0; i < plan->dropped_count; i++) ken_json_string(json, plan->base->tensors[plan->dropped[i]].name);
    ken_json_end_array(json);
    tell_ties(json, plan->model);
}

static void tell_head(struct report *report)
{
    struct ken_prune *prune = report->prune;
    struct ken_json_writer *json = &report->json;
    ken_json_begin_object(json);
    ken_json_key(json, "inputs");
    ken_json_begin_object(json);
    tell_checkpoint(json, "model", prune->plan->model, prune->inputs, ken_inputs_model_file);
    tell_checkpoint(json, "base", prune->plan->base, prune->inputs, ken_inputs_base_file);
    ken_json_end_object(json);
    tell_variant(json, &prune->plan->options->variants[report->variant]);
    tell_lists(json, prune->plan);
    ken_json_key(json, "totals");
    ken_json_raw(json, prune->totals[report->variant], strlen(prune->totals[report->variant]));
    ken_json_key(json, "tensors");
    ken_json_begin_array(json);
}

static int tell_end(struct report *report)
{
    ken_json_end_array(&report->json);
    ken_json_end_object(&report->json);
    ken_json_filler(&report->json, "\n", 1);
    return ken_json_writer_finish(&report->json, NULL, NULL);
}

/* ---- */

static int to_file(void *opaque, const void *bytes, size_t length)
{
    struct report *report = opaque;
    return ken_output_write(&report->file, bytes, length, report->error);
}

static int make_totals(struct report *report, uint64_t delta_bytes, struct ken_error *error)
{
    struct totals totals = {0};
    char **text = &report->prune->totals[report->variant];
    int code = each_record(report, add_to_totals, &totals, error);
    if (code) return code;
    free(*text);
    *text = totals_to_json(report->prune->plan, &totals, delta_bytes);
    return *text ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for the totals");
}

static int write_report(struct report *report, struct ken_error *error)
{
    ken_json_writer_init_sink(&report->json, to_file, report);
    if (report->file.buffer) tell_head(report);
    int code = each_record(report, write_tensor, NULL, error);
    if (!code && report->file.buffer && (code = tell_end(report)) && (!error || !error->code))
        ken_fail(error, code, "writing the report: %s", ken_error_text(code));
    ken_json_writer_free(&report->json);
    return code;
}

int ken_report_write(struct ken_prune *prune, size_t variant, uint64_t delta_bytes, struct ken_prune_file *file, struct ken_error *error)
{
    struct ken_error own = {0};
    struct report report = {.prune = prune, .variant = variant, .error = &own};
    unsigned char unused[KEN_SHA256_SIZE];
    char lines[KEN_PATH_SIZE], path[KEN_PATH_SIZE];
    snprintf(lines, sizeof lines, "out/%s", prune->tensors_path[variant]);
    ken_run_path(path, prune->plan, variant, "report.json");
    int code = make_totals(&report, delta_bytes, &own);
    if (!code) code = ken_output_create(&report.lines, prune->env.directory, lines, NULL, &own);
    if (!code && file) code = ken_output_create(&report.file, prune->env.directory, path, NULL, &own);
    if (!code) code = write_report(&report, &own);
    if (!code) code = ken_output_close(&report.lines, prune->env.durable, unused, &own);
    if (!code && file) {
        file->size = report.file.size;
        code = ken_output_close(&report.file, prune->env.durable, file->sha256, &own);
    }
    ken_output_abandon(&report.lines);
    ken_output_abandon(&report.file);
    if (code && error) *error = own;
    return code;
}
