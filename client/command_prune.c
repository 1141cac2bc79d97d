/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"
#include "delta_folder.h"
#include "digest.h"
#include "document.h"
#include "files.h"
#include "folder.h"
#include "inputs.h"
#include "job.h"
#include "local.h"
#include "plan_view.h"
#include "print.h"
#include "remote_job.h"
#include "selection/kernel.h"
#include "staging.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAST_MEMORY = 1 << 20 };
static const char work_folder[] = ".work"; /* of the pruning, within the staged output */

/* One pruning on this machine. */
struct pruning {
    const struct kenctl *kenctl;
    const char *output;
    struct proto_job *job;
    struct ken_plan_limits limits;
    struct ken_checkpoint *model, *base;
    struct ken_plan *plan;
    struct ken_staging *staging;
    struct ken_prune_env env;
    struct ken_prune *prune;
    struct kenctl_progress progress;
    struct ken_error error;
};

/* ---- what to do */

static int print_faults(const struct kenctl *kenctl, const struct proto_faults *faults)
{
    bool from_options = !kenctl_option(kenctl, KENCTL_OPT_JOB);
    kenctl_fail(KENCTL_USAGE, "%s", from_options ? "the options make no valid job" : proto_problem_title(proto_faults_problem(faults)));
    for (size_t i = 0; i < faults->count; i++) {
        const char *pointer = faults->fault[i].pointer, *option = from_options ? kenctl_option_of(pointer) : NULL;
        kenctl_print_fault(option ? option : pointer, faults->fault[i].detail);
    }
    return KENCTL_USAGE;
}

static int read_job(struct pruning *pruning)
{
    const struct proto_policy policy = {.schemes = "file", .allow_paths = true};
    struct proto_faults faults = {0};
    int status;
    json_t *document = kenctl_document(pruning->kenctl, NULL, &status);
    if (!document) return status;
    status = KENCTL_SUCCESS;
    if (proto_job_parse(&pruning->job, document, &policy, &faults))
        status = faults.count ? print_faults(pruning->kenctl, &faults) : kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (pruning->job->kind != PROTO_KIND_PRUNE)
        status = kenctl_fail(KENCTL_USAGE, "this is a job of another kind; `kenctl inject` injects a delta");
    proto_faults_clear(&faults);
    json_decref(document);
    return status;
}

static int read_limits(struct pruning *pruning)
{
    const char *memory = kenctl_option(pruning->kenctl, KENCTL_OPT_MEMORY);
    pruning->limits.memory = KENCTL_MEMORY;
    if (memory && (!kenctl_parse_size(memory, &pruning->limits.memory) || pruning->limits.memory < LEAST_MEMORY))
        return kenctl_usage(pruning->kenctl, "--memory is a size as 96MiB, at least 1MiB, not '%s'", memory);
    return kenctl_threads(pruning->kenctl, &pruning->limits.threads);
}

static int choose_kernel(struct pruning *pruning)
{
    const char *name = kenctl_option(pruning->kenctl, KENCTL_OPT_KERNEL);
    if (!name || ken_kernel_choose(name, &pruning->error) == KEN_OK) return KENCTL_SUCCESS;
    return kenctl_usage(pruning->kenctl, "--kernel: %s", pruning->error.message);
}

/* Opens one input (its side begins what errors say), checking its digest where the document has one: after it was opened, since a change
 * from then on is seen at the end. */
static int open_input(struct pruning *pruning, const char *side, const struct proto_input *input, struct ken_checkpoint **checkpoint)
{
    struct ken_error error = {0};
    unsigned char sha256[KEN_SHA256_SIZE];
    char found[KEN_SHA256_HEX_SIZE], wanted[KEN_SHA256_HEX_SIZE];
    char *path = kenctl_input_path(input->url);
    int code = path ? KEN_OK : ken_fail(&error, KEN_ENOMEM, "out of memory");
    if (!code) code = ken_checkpoint_open_path(checkpoint, path, NULL, &error);
    if (!code && input->has_sha256) {
        code = kenctl_file_sha256(path, sha256, &error);
        if (!code && memcmp(sha256, input->sha256, sizeof sha256) != 0)
            code = ken_fail(&error, KEN_EDIGEST, "%s has SHA-256 %s, not %s", path, ken_hex_encode(found, sha256, sizeof sha256),
                            ken_hex_encode(wanted, input->sha256, sizeof sha256));
    }
    if (!code && ken_delta_is(*checkpoint))
        code = ken_fail(&error, KEN_EINVALID, "%s is a delta: `kenctl inject` makes the model of it and its base", path);
    free(path);
    return code ? ken_fail(&pruning->error, code, "%s: %s", side, error.message) : KEN_OK;
}

/* Where the two sides differ in dtype, values are not those of the base's file. */
static void tell_dtypes(const struct ken_plan *plan)
{
    size_t count = 0;
    struct ken_plan_tensor first = {0};
    for (size_t i = 0; i < ken_plan_tensor_count(plan); i++) {
        const struct ken_plan_tensor tensor = ken_plan_tensor(plan, i);
        if (!tensor.base || tensor.base->dtype == tensor.model->dtype) continue;
        if (!count++) first = tensor;
    }
    if (count)
        fprintf(stderr, "note: %zu tensor%s of another dtype in the base (%s, here %s): compared and reset in the model's\n", count,
                count == 1 ? " is" : "s are", ken_dtype_name(first.base->dtype), ken_dtype_name(first.model->dtype));
}

static int make_plan(struct pruning *pruning)
{
    int code = open_input(pruning, "model", &pruning->job->model, &pruning->model);
    if (!code) code = open_input(pruning, "base", &pruning->job->base, &pruning->base);
    kenctl_watch_signals();
    pruning->limits.cancelled = kenctl_interrupted;
    if (!code)
        code = ken_plan_make(&pruning->plan, pruning->model, pruning->base, &pruning->job->options, &pruning->limits, &pruning->error);
    if (code) return kenctl_fail_error(&pruning->error);
    for (size_t i = 0; i < ken_plan_warning_count(pruning->plan); i++) kenctl_print_warning(ken_plan_warning(pruning->plan, i));
    if (!pruning->kenctl->quiet) tell_dtypes(pruning->plan);
    return KENCTL_SUCCESS;
}

/* ---- doing it */

static void on_rows(void *opaque, uint64_t rows)
{
    struct pruning *pruning = opaque;
    struct kenctl_progress_state state = {
        .stage = "pruning", .done = rows, .total = ken_plan_totals(pruning->plan)->rows, .unit = KENCTL_ROWS, .eta_seconds = -1};
    kenctl_progress_show(&pruning->progress, &state);
}

static int open_work(struct pruning *pruning)
{
    int code = ken_staging_open(&pruning->staging, pruning->output, true, &pruning->error);
    if (code) return code;
    char *work = kenctl_join(ken_staging_path(pruning->staging), work_folder);
    if (!work)
        code = ken_fail(&pruning->error, KEN_ENOMEM, "out of memory");
    else if (mkdir(work, 0777) != 0 || (pruning->env.directory = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        code = ken_fail_errno(&pruning->error, errno, "cannot write %s", work);
    free(work);
    return code;
}

static int take_file(struct pruning *pruning, const char *made, const char *staged, const char *path)
{
    char *from = kenctl_join(made, path), *to = kenctl_join(staged, path);
    int code = from && to ? kenctl_make_parents(to, &pruning->error) : ken_fail(&pruning->error, KEN_ENOMEM, "out of memory");
    if (!code && rename(from, to) != 0) code = ken_fail_errno(&pruning->error, errno, "cannot write %s", to);
    free(from);
    free(to);
    return code;
}

/* Moves the finished files from where the pruning made them to where they belong, and removes the rest. */
static int take_files(struct pruning *pruning)
{
    const char *staged = ken_staging_path(pruning->staging);
    char *work = kenctl_join(staged, work_folder), *made = work ? kenctl_join(work, "out") : NULL;
    int code = made ? KEN_OK : ken_fail(&pruning->error, KEN_ENOMEM, "out of memory");
    for (size_t i = 0; i < ken_prune_file_count(pruning->prune) && !code; i++)
        code = take_file(pruning, made, staged, ken_prune_file(pruning->prune, i)->path);
    for (size_t v = 0; v < pruning->job->options.variant_count && !code; v++)
        if (ken_prune_cells_path(pruning->prune, v)) code = take_file(pruning, made, staged, ken_prune_cells_path(pruning->prune, v));
    if (work) ken_tree_remove(work);
    free(made);
    free(work);
    return code;
}

/* The result for programs. New reference; NULL if out of memory. */
static json_t *result_json(const struct pruning *pruning)
{
    const struct ken_options *options = &pruning->job->options;
    json_t *artifacts = json_array(), *warnings = json_array(), *summary = NULL;
    for (size_t i = 0; i < ken_prune_file_count(pruning->prune); i++) {
        const struct ken_prune_file *file = ken_prune_file(pruning->prune, i);
        char hex[KEN_SHA256_HEX_SIZE];
        json_array_append_new(artifacts, json_pack("{s:s, s:s, s:I, s:s}", "name", file->path, "variant", file->variant, "size",
                                                   (json_int_t)file->size, "sha256", ken_hex_encode(hex, file->sha256, KEN_SHA256_SIZE)));
    }
    for (size_t i = 0; i < ken_plan_warning_count(pruning->plan); i++)
        json_array_append_new(warnings, json_string(ken_plan_warning(pruning->plan, i)));
    if (options->variant_count == 1 && !*options->variants[0].name)
        summary = json_loads(ken_prune_totals_json(pruning->prune, 0), 0, NULL);
    else {
        json_t *variants = json_object();
        for (size_t i = 0; i < options->variant_count; i++)
            json_object_set_new(variants, options->variants[i].name, json_loads(ken_prune_totals_json(pruning->prune, i), 0, NULL));
        summary = json_pack("{s:o}", "variants", variants);
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "output", pruning->output, "artifacts", artifacts, "summary", summary, "warnings", warnings);
}

static int print_result(const struct pruning *pruning, const json_t *result)
{
    if (pruning->kenctl->json) return kenctl_print_json(result);
    if (pruning->kenctl->quiet) return KENCTL_SUCCESS;
    int status = kenctl_print_artifacts(json_object_get(result, "artifacts"));
    if (status != KENCTL_SUCCESS) return status;
    fputc('\n', stdout);
    return kenctl_print_summary(json_object_get(result, "summary"));
}

static int run_prune(struct pruning *pruning)
{
    int code = ken_prune_open(&pruning->prune, pruning->plan, &pruning->env, NULL, &pruning->error);
    if (!code) code = ken_prune_rows(pruning->prune, &pruning->error);
    if (!code) {
        const struct kenctl_progress_state state = {.stage = "publishing"};
        kenctl_progress_show(&pruning->progress, &state);
        code = ken_prune_finish(pruning->prune, &pruning->error);
    }
    return code ? code : take_files(pruning);
}

static int prune(struct pruning *pruning)
{
    json_t *result = NULL;
    kenctl_progress_begin(&pruning->progress, pruning->kenctl->quiet);
    pruning->env = (struct ken_prune_env){.directory = -1, .cancelled = kenctl_interrupted, .progress = on_rows, .opaque = pruning};
    pruning->env.budget = ken_budget_create(pruning->limits.memory);
    int code = pruning->env.budget ? KEN_OK : ken_fail(&pruning->error, KEN_ENOMEM, "out of memory");
    if (!code) code = ken_threads_create(&pruning->env.executor, pruning->limits.threads, &pruning->error);
    if (!code) code = open_work(pruning);
    if (!code) code = run_prune(pruning);
    if (!code && !(result = result_json(pruning))) code = ken_fail(&pruning->error, KEN_ENOMEM, "out of memory");
    ken_prune_close(&pruning->prune);
    if (pruning->env.directory >= 0) close(pruning->env.directory);
    if (!code) code = ken_staging_commit(&pruning->staging, &pruning->error);
    ken_staging_abandon(&pruning->staging);
    ken_threads_destroy(&pruning->env.executor);
    ken_budget_destroy(&pruning->env.budget);
    if (code)
        kenctl_progress_clear(&pruning->progress);
    else
        kenctl_progress_end(&pruning->progress, "done");
    int status = code ? kenctl_fail_error(&pruning->error) : print_result(pruning, result);
    json_decref(result);
    return status;
}

/* ---- the command */

/* What the plan says, for people or programs. */
static int print_plan(const struct pruning *pruning)
{
    const struct ken_plan_totals *totals = ken_plan_totals(pruning->plan);
    json_t *plan = proto_plan_view_to_json(pruning->plan, &pruning->job->options, SIZE_MAX),
           *needs = json_pack("{s:I, s:I}", "disk_bytes", (json_int_t)totals->disk_bytes, "memory_bytes", (json_int_t)totals->memory_bytes);
    bool made = plan && needs && json_object_update(plan, needs) == 0;
    json_decref(needs);
    if (!made) {
        json_decref(plan);
        return kenctl_fail(KENCTL_FAILURE, "out of memory");
    }
    int status = KENCTL_SUCCESS;
    if (pruning->kenctl->json)
        status = kenctl_print_json(plan);
    else
        status = kenctl_print_plan(plan);
    json_decref(plan);
    return status;
}

static int check_output(const struct pruning *pruning)
{
    struct stat state;
    if (!pruning->output) return kenctl_usage(pruning->kenctl, "'prune' needs -o DIR");
    if (strcmp(pruning->output, "-") == 0) return kenctl_usage(pruning->kenctl, "-o is a folder; '-' is none (./- is)");
    if (lstat(pruning->output, &state) != 0 || kenctl_option(pruning->kenctl, KENCTL_OPT_FORCE)) return KENCTL_SUCCESS;
    if (!S_ISDIR(state.st_mode)) return kenctl_fail(KENCTL_FAILURE, "%s is there already and is no folder", pruning->output);
    if (!kenctl_folder_is_filled(pruning->output)) return KENCTL_SUCCESS;
    return kenctl_fail(KENCTL_FAILURE, "the folder %s is not empty; --force replaces the files in it that are made anew", pruning->output);
}

/* Whether a file that would be written into a folder is one of what it is made from. */
static int check_files(const struct pruning *pruning, const char *folder, const struct kenctl_input *inputs, size_t count)
{
    const struct ken_checkpoint *model = pruning->model;
    unsigned outputs = pruning->job->options.outputs;
    char name[KEN_MODEL_NAME_SIZE];
    int status = KENCTL_SUCCESS;
    if (outputs & KEN_OUTPUT_DELTA) status = kenctl_check_inputs_in(folder, KEN_DELTA_FILE_NAME, inputs, count);
    if (status == KENCTL_SUCCESS && outputs & KEN_OUTPUT_REPORT) status = kenctl_check_inputs_in(folder, "report.json", inputs, count);
    if (!(outputs & KEN_OUTPUT_MODEL)) return status;
    if (status == KENCTL_SUCCESS && model->has_index) status = kenctl_check_inputs_in(folder, KEN_MODEL_INDEX_NAME, inputs, count);
    for (size_t i = 0; i < model->file_count && status == KENCTL_SUCCESS; i++) {
        ken_model_file_name(name, i, model->file_count, model->has_index);
        status = kenctl_check_inputs_in(folder, name, inputs, count);
    }
    return status;
}

static int check_inputs(const struct pruning *pruning)
{
    const struct ken_options *options = &pruning->job->options;
    char *model = kenctl_input_path(pruning->job->model.url), *base = kenctl_input_path(pruning->job->base.url);
    const struct kenctl_input inputs[] = {{"model", model, pruning->model}, {"base", base, pruning->base}};
    int status = model && base ? kenctl_check_inputs(pruning->output, inputs, sizeof inputs / sizeof *inputs)
                               : kenctl_fail(KENCTL_FAILURE, "out of memory");
    for (size_t i = 0; i < options->variant_count && status == KENCTL_SUCCESS; i++) {
        char *folder = kenctl_join(pruning->output, options->variants[i].name);
        status =
            folder ? check_files(pruning, folder, inputs, sizeof inputs / sizeof *inputs) : kenctl_fail(KENCTL_FAILURE, "out of memory");
        free(folder);
    }
    free(base);
    free(model);
    return status;
}

static int run(struct kenctl *kenctl)
{
    struct pruning pruning = {.kenctl = kenctl, .output = kenctl_option(kenctl, KENCTL_OPT_FOLDER)};
    bool dry_run = kenctl_option(kenctl, KENCTL_OPT_DRY_RUN) != NULL;
    int status = read_limits(&pruning);
    if (status == KENCTL_SUCCESS) status = choose_kernel(&pruning);
    if (status == KENCTL_SUCCESS) status = read_job(&pruning);
    if (status == KENCTL_SUCCESS && !dry_run) status = check_output(&pruning);
    if (status == KENCTL_SUCCESS) status = make_plan(&pruning);
    if (status == KENCTL_SUCCESS && !dry_run) status = check_inputs(&pruning);
    if (status == KENCTL_SUCCESS) status = dry_run ? print_plan(&pruning) : prune(&pruning);
    ken_plan_free(&pruning.plan);
    ken_checkpoint_close(&pruning.base);
    ken_checkpoint_close(&pruning.model);
    proto_job_free(&pruning.job);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FOLDER, KENCTL_OPT_FORCE,  KENCTL_DOCUMENT_OPTIONS, KENCTL_OPT_THREADS,
                                        KENCTL_OPT_MEMORY, KENCTL_OPT_KERNEL, KENCTL_OPT_DRY_RUN};

const struct kenctl_command kenctl_command_prune = {
    .name = "prune",
    .summary = "Prune a model on this machine",
    .operands = "",
    .text =
        "MODEL and BASE are safetensors or PyTorch files, indexes of sharded checkpoints, or folders with one. DIR receives\n"
        "delta.safetensors, the pruned model and report.json: the same bytes as a job of a kend gives, whatever the threads and the\n"
        "memory. It comes into sight whole. --job takes the full document, variants and all; its inputs are paths or file: URLs.\n"
        "\nExamples:\n"
        "  kenctl prune --model tuned/ --base bert/ --keep 0.25 --rescale l1 -o pruned\n"
        "  kenctl prune --model tuned.safetensors --base bert.safetensors --k 384 --rule '*.LayerNorm.*=keep' --outputs delta,report -o "
        "pruned\n"
        "  kenctl prune --job job.json -o pruned\n",
    .options = options,
    .option_count = sizeof options,
    .local = true,
    .run = run,
};
