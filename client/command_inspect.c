/* SPDX-License-Identifier: Apache-2.0 */
#include "delta_folder.h"
#include "local.h"
#include "plan_view.h"
#include "print.h"
#include "remote_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void add_shape(struct kenctl_table *table, const uint64_t *shape, uint32_t rank)
{
    char *text = kenctl_shape_text(shape, rank);
    kenctl_table_add(table, text);
    free(text);
}

/* ---- checkpoint */

struct totals {
    uint64_t parameters, bytes, file_bytes;
};

static struct totals checkpoint_totals(const struct ken_checkpoint *checkpoint)
{
    struct totals totals = {0};
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        totals.parameters += ken_tensor_elements(&checkpoint->tensors[i]);
        totals.bytes += checkpoint->tensors[i].length;
    }
    for (size_t i = 0; i < checkpoint->file_count; i++) totals.file_bytes += checkpoint->files[i].stored->size;
    return totals;
}

/* The name of a file on disk, which of a single one is not the canonical one. */
static const char *file_name(const struct ken_checkpoint_file *file)
{
    const char *slash = strrchr(file->label, '/');
    return slash ? slash + 1 : file->label;
}

/* A torch file has no metadata: what stands for them in a view of it are ties. */
static bool is_torch(const struct ken_checkpoint_file *file)
{
    return file->source != file->stored;
}

static size_t torch_count(const struct ken_checkpoint *checkpoint)
{
    size_t count = 0;
    for (size_t i = 0; i < checkpoint->file_count; i++) count += is_torch(&checkpoint->files[i]);
    return count;
}

static json_t *ties_json(const struct ken_checkpoint *checkpoint)
{
    json_t *ties = json_array();
    for (size_t i = 0; i < checkpoint->tie_count; i++)
        json_array_append_new(ties, json_pack("{s:s, s:s}", "name", checkpoint->ties[i].name, "of", checkpoint->ties[i].of));
    return ties;
}

static json_t *file_json(const struct ken_checkpoint_file *file)
{
    bool told = file->metadata_json && !is_torch(file);
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "name", file_name(file), "format", is_torch(file) ? "pytorch" : "safetensors", "size",
                     (json_int_t)file->stored->size, "tensors", (json_int_t)file->count, "metadata",
                     told ? json_loads(file->metadata_json, JSON_ALLOW_NUL, NULL) : json_null());
}

static json_t *checkpoint_json(const struct ken_checkpoint *checkpoint)
{
    struct totals totals = checkpoint_totals(checkpoint);
    json_t *files = json_array(), *tensors = json_array();
    for (size_t i = 0; i < checkpoint->file_count; i++) json_array_append_new(files, file_json(&checkpoint->files[i]));
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:o, s:I, s:s}", "name", tensor->name, "dtype", ken_dtype_name(tensor->dtype),
                                                 "shape", proto_shape_to_json(tensor->shape, tensor->rank), "bytes",
                                                 (json_int_t)tensor->length, "file", file_name(&checkpoint->files[tensor->file])));
    }
    return json_pack("{s:s, s:b, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:o}", "kind", "checkpoint", "has_index", checkpoint->has_index,
                     "totals", "tensors", (json_int_t)checkpoint->tensor_count, "parameters", (json_int_t)totals.parameters, "tensor_bytes",
                     (json_int_t)totals.bytes, "file_bytes", (json_int_t)totals.file_bytes, "files", files, "tensors", tensors, "tied",
                     ties_json(checkpoint));
}

static void print_metadata(const struct ken_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        const struct ken_checkpoint_file *file = &checkpoint->files[i];
        if (!file->metadata_json || is_torch(file)) continue;
        printf("metadata of ");
        kenctl_print_text(stdout, file->label);
        printf(": ");
        kenctl_print_text(stdout, file->metadata_json);
        fputc('\n', stdout);
    }
}

/* Lines of a list that may be long, and how many more there are. */
enum { MOST_LINES = 20 };

static void print_more(size_t count)
{
    if (count > MOST_LINES) printf("and %zu more\n", count - MOST_LINES);
}

static void print_tie(const char *name, const char *of)
{
    printf("tied: ");
    kenctl_print_text(stdout, name);
    printf(" is ");
    kenctl_print_text(stdout, of);
    fputc('\n', stdout);
}

static void print_ties(const struct ken_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->tie_count && i < MOST_LINES; i++) print_tie(checkpoint->ties[i].name, checkpoint->ties[i].of);
    print_more(checkpoint->tie_count);
}

static int print_checkpoint(const struct ken_checkpoint *checkpoint)
{
    static const char *const heads[] = {"TENSOR", "DTYPE", "SHAPE", "PARAMETERS", "BYTES", "FILE"};
    struct totals totals = checkpoint_totals(checkpoint);
    struct kenctl_table *table = kenctl_table_create("lllrrl", heads);
    char size[32];
    printf("checkpoint, %zu %sfile%s%s, %zu tensor%s, %" PRIu64 " parameter%s, %s\n", checkpoint->file_count,
           torch_count(checkpoint) == checkpoint->file_count ? "PyTorch " : "", kenctl_plural(checkpoint->file_count),
           checkpoint->has_index ? " with an index" : "", checkpoint->tensor_count, kenctl_plural(checkpoint->tensor_count),
           totals.parameters, kenctl_plural(totals.parameters), kenctl_human_size(size, sizeof size, totals.file_bytes));
    print_metadata(checkpoint);
    print_ties(checkpoint);
    fputc('\n', stdout);
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        kenctl_table_add(table, tensor->name);
        kenctl_table_add(table, ken_dtype_name(tensor->dtype));
        add_shape(table, tensor->shape, tensor->rank);
        kenctl_table_add_format(table, "%" PRIu64, ken_tensor_elements(tensor));
        kenctl_table_add_size(table, stdout, tensor->length);
        kenctl_table_add(table, file_name(&checkpoint->files[tensor->file]));
    }
    return kenctl_table_finish(&table);
}

/* ---- delta */

static uint64_t elements_of(const struct ken_delta_tensor *tensor)
{
    uint64_t elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) elements *= tensor->shape[i]; /* checked when the delta was opened */
    return elements;
}

static void count_delta(const struct ken_delta *delta, uint64_t *parameters, uint64_t *stored)
{
    *parameters = *stored = 0;
    for (size_t i = 0; i < ken_delta_tensor_count(delta); i++) {
        *parameters += elements_of(ken_delta_tensor(delta, i));
        *stored += ken_delta_tensor(delta, i)->stored;
    }
}

static json_t *delta_json(const struct ken_delta *delta, uint64_t size)
{
    uint64_t parameters, stored;
    json_t *tensors = json_array();
    count_delta(delta, &parameters, &stored);
    for (size_t i = 0; i < ken_delta_tensor_count(delta); i++) {
        const struct ken_delta_tensor *tensor = ken_delta_tensor(delta, i);
        json_t *base = tensor->has_base ? json_pack("{s:s, s:s}", "name", tensor->base_name, "dtype", ken_dtype_name(tensor->base_dtype))
                                        : json_null();
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:o, s:o, s:s, s:I}", "name", tensor->name, "dtype",
                                                 ken_dtype_name(tensor->dtype), "shape", proto_shape_to_json(tensor->shape, tensor->rank),
                                                 "base", base, "form", ken_form_name(tensor->form), "stored", (json_int_t)tensor->stored));
    }
    return json_pack("{s:s, s:s, s:s, s:{s:I, s:I, s:I, s:I, s:I}, s:o}", "kind", "delta", "version", KEN_DELTA_VERSION, "encoding",
                     ken_delta_encoding(delta), "totals", "tensors", (json_int_t)ken_delta_tensor_count(delta), "parameters",
                     (json_int_t)parameters, "stored", (json_int_t)stored, "model_files", (json_int_t)ken_delta_file_count(delta),
                     "file_bytes", (json_int_t)size, "tensors", tensors);
}

static int print_delta(const struct ken_delta *delta, uint64_t size)
{
    static const char *const heads[] = {"TENSOR", "DTYPE", "SHAPE", "FORM", "STORED", "SHARE", "BASE"};
    uint64_t parameters, stored;
    char text[32];
    struct kenctl_table *table = kenctl_table_create("llllrrl", heads);
    count_delta(delta, &parameters, &stored);
    printf("delta, encoding %s, %s, for a model of %zu file%s, %zu tensor%s, %" PRIu64 " parameter%s, of which %" PRIu64 " %s stored\n\n",
           ken_delta_encoding(delta), kenctl_human_size(text, sizeof text, size), ken_delta_file_count(delta),
           kenctl_plural(ken_delta_file_count(delta)), ken_delta_tensor_count(delta), kenctl_plural(ken_delta_tensor_count(delta)),
           parameters, kenctl_plural(parameters), stored, stored == 1 ? "is" : "are");
    for (size_t i = 0; i < ken_delta_tensor_count(delta); i++) {
        const struct ken_delta_tensor *tensor = ken_delta_tensor(delta, i);
        uint64_t elements = elements_of(tensor);
        kenctl_table_add(table, tensor->name);
        kenctl_table_add(table, ken_dtype_name(tensor->dtype));
        add_shape(table, tensor->shape, tensor->rank);
        kenctl_table_add(table, ken_form_name(tensor->form));
        kenctl_table_add_format(table, "%" PRIu64, tensor->stored);
        kenctl_table_add_format(table, "%.1f%%", elements ? 100.0 * (double)tensor->stored / (double)elements : 0.0);
        if (tensor->has_base && strcmp(tensor->name, tensor->base_name) == 0 && tensor->dtype == tensor->base_dtype)
            kenctl_table_add(table, "same-name");
        else if (tensor->has_base)
            kenctl_table_add_format(table, "%s:%s", ken_dtype_name(tensor->base_dtype), tensor->base_name);
        else
            kenctl_table_add(table, NULL);
    }
    return kenctl_table_finish(&table);
}

/* ---- report */

/* Lists of the report: what is no list, or no text in one, says nothing. */
static void print_words(const char *label, const json_t *words)
{
    for (size_t i = 0; i < json_array_size(words) && i < MOST_LINES; i++) {
        const char *word = json_string_value(json_array_get(words, i));
        printf("%s: ", label);
        kenctl_print_text(stdout, word ? word : "");
        fputc('\n', stdout);
    }
    print_more(json_array_size(words));
}

static void print_lists(const json_t *report)
{
    const json_t *tied = json_object_get(report, "tied");
    print_words("warning", json_object_get(report, "warnings"));
    print_words("dropped", json_object_get(report, "dropped"));
    for (size_t i = 0; i < json_array_size(tied) && i < MOST_LINES; i++) {
        const json_t *tie = json_array_get(tied, i);
        const char *name = json_string_value(json_object_get(tie, "name")), *of = json_string_value(json_object_get(tie, "of"));
        if (name && of) print_tie(name, of);
    }
    print_more(json_array_size(tied));
}

static void add_value(struct kenctl_table *table, const json_t *value)
{
    char *text = value && !json_is_string(value) && !json_is_null(value)
                     ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6))
                     : NULL;
    kenctl_table_add(table, text ? text : json_string_value(value));
    free(text);
}

/* The base's name of a tensor, behind its dtype there where that is another one. */
static void add_base(struct kenctl_table *table, const json_t *tensor)
{
    const char *name = json_string_value(json_object_get(tensor, "base_name"));
    const char *dtype = json_string_value(json_object_get(tensor, "dtype")),
               *base_dtype = json_string_value(json_object_get(tensor, "base_dtype"));
    if (name && dtype && base_dtype && strcmp(dtype, base_dtype) != 0)
        kenctl_table_add_format(table, "%s:%s", base_dtype, name);
    else
        kenctl_table_add(table, name);
}

static int print_report(const json_t *report)
{
    static const char *const heads[] = {"TENSOR", "DTYPE", "SHAPE", "ACTION", "K", "KEPT", "RESET", "UNCHANGED", "RELATIVE-L2", "BASE"};
    static const char *const keys[] = {"name", "dtype", "shape", "action", "k", "kept", "reset", "unchanged", "relative_l2"};
    size_t i;
    json_t *tensor;
    printf("report\n\n");
    int status = kenctl_print_fields(report);
    if (status != KENCTL_SUCCESS) return status;
    print_lists(report);
    fputc('\n', stdout);
    struct kenctl_table *table = kenctl_table_create("llllrrrrrl", heads);
    json_array_foreach(json_object_get(report, "tensors"), i, tensor)
    {
        for (size_t j = 0; j < sizeof keys / sizeof *keys; j++) add_value(table, json_object_get(tensor, keys[j]));
        add_base(table, tensor);
    }
    return kenctl_table_finish(&table);
}

/* ---- what is it? */

/* Reads a file that begins as JSON; NULL if it does not, or is none. */
static json_t *read_report(const char *path)
{
    FILE *file = fopen(path, "re");
    int first = file ? fgetc(file) : EOF;
    json_t *json = NULL;
    if (first == '{' && fseek(file, 0, SEEK_SET) == 0) json = json_loadf(file, JSON_REJECT_DUPLICATES, NULL);
    if (file) fclose(file);
    if (json_is_object(json_object_get(json, "totals")) && json_is_array(json_object_get(json, "tensors"))) return json;
    json_decref(json);
    return NULL;
}

static int inspect_delta(const struct kenctl *kenctl, const struct kenctl_thing *thing)
{
    return kenctl->json ? kenctl_print_new_json(delta_json(thing->delta, thing->size)) : print_delta(thing->delta, thing->size);
}

static int inspect_checkpoint(const struct kenctl *kenctl, const struct kenctl_thing *thing)
{
    return kenctl->json ? kenctl_print_new_json(checkpoint_json(thing->checkpoint)) : print_checkpoint(thing->checkpoint);
}

static int inspect_report(const struct kenctl *kenctl, json_t *report)
{
    if (!kenctl->json) return print_report(report);
    json_t *answer = json_pack("{s:s}", "kind", "report");
    json_object_update(answer, report);
    return kenctl_print_new_json(answer);
}

static int run(struct kenctl *kenctl)
{
    const char *path = kenctl->arguments.operands[0];
    struct ken_error error = {0};
    struct kenctl_thing thing;
    struct stat state;
    int status;
    if (stat(path, &state) != 0) return kenctl_fail(KENCTL_FAILURE, "cannot read %s: %s", path, strerror(errno));
    json_t *report = S_ISREG(state.st_mode) ? read_report(path) : NULL;
    if (report) {
        status = inspect_report(kenctl, report);
        json_decref(report);
        return status;
    }
    status = kenctl_thing_open(&thing, path, kenctl->quiet, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
    if (status == KENCTL_SUCCESS) status = (thing.delta ? inspect_delta : inspect_checkpoint)(kenctl, &thing);
    kenctl_thing_close(&thing);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT};

const struct kenctl_command kenctl_command_inspect = {
    .name = "inspect",
    .summary = "Tell what is in a checkpoint, a delta or a report",
    .operands = "FILE",
    .text = "FILE is a safetensors or PyTorch file, the index of a sharded checkpoint, a folder with one, a delta, or a report. What it\n"
            "is, is told from its content; a folder without a checkpoint is the delta in it. Headers are checked in full.\n"
            "\nExamples:\n"
            "  kenctl inspect model.safetensors\n"
            "  kenctl inspect delta.safetensors -o json | jq .totals\n",
    .options = options,
    .option_count = sizeof options,
    .least = 1,
    .most = 1,
    .local = true,
    .run = run,
};
