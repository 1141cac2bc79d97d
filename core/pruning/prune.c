/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/packing.h"
#include "pruning/run.h"

#include "checkpoint/model_header.h"
#include "delta/delta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ken_run_cancelled(void *opaque)
{
    struct ken_prune *prune = opaque;
    return prune->env.cancelled && prune->env.cancelled(prune->env.opaque);
}

void ken_run_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant, const char *name)
{
    const char *folder = plan->options->variants[variant].name;
    snprintf(path, KEN_PATH_SIZE, "out/%s%s%s", folder, *folder ? "/" : "", name);
}

/* ---- opening */

static int make_folders(struct ken_prune *prune, struct ken_error *error)
{
    int directory = prune->env.directory;
    char path[KEN_PATH_SIZE];
    int code = ken_folder_make(directory, "out", error);
    if (!code) code = ken_folder_make(directory, "out/.kend", error);
    for (size_t v = 0; !code && v < prune->plan->options->variant_count; v++) {
        if (!*prune->plan->options->variants[v].name) continue;
        ken_run_path(path, prune->plan, v, "");
        code = ken_folder_make(directory, path, error);
    }
    return code;
}

static int sync_folders(struct ken_prune *prune, struct ken_error *error)
{
    int directory = prune->env.directory;
    char path[KEN_PATH_SIZE];
    if (!prune->env.durable) return KEN_OK;
    int code = KEN_OK;
    for (size_t v = 0; !code && v < prune->plan->options->variant_count; v++) {
        ken_run_path(path, prune->plan, v, "");
        code = ken_folder_sync(directory, path, error);
    }
    if (!code) code = ken_folder_sync(directory, "out/.kend", error);
    if (!code) code = ken_folder_sync(directory, "out", error);
    return code ? code : ken_folder_sync(directory, ".", error);
}

static int open_outputs(struct ken_prune *prune, bool fresh, struct ken_error *error)
{
    int code = KEN_OK;
    if (prune->plan->options->outputs & KEN_OUTPUT_MODEL)
        code = ken_model_writer_open(&prune->models, prune->plan, prune->env.directory, prune->env.durable, fresh, error);
    if (!code) code = ken_scratch_open(&prune->scratch, prune->plan, prune->env.directory, fresh, &prune->progress, error);
    if (!code && prune->plan->options->outputs & KEN_OUTPUT_DELTA)
        code = ken_cells_writer_open(&prune->cells, prune->plan, prune->env.directory, prune->env.durable, fresh, error);
    return code;
}

static void close_outputs(struct ken_prune *prune)
{
    ken_model_writer_close(&prune->models);
    ken_scratch_close(&prune->scratch);
    ken_cells_writer_close(&prune->cells);
    ken_journal_close(&prune->journal);
}

/* Whether it is known that the inputs' bytes are those of an earlier run with the same fingerprint. */
static bool has_states(const struct ken_checkpoint *checkpoint)
{
    size_t f = 0;
    while (f < checkpoint->file_count && checkpoint->files[f].source->has_state) f++;
    return f == checkpoint->file_count;
}

/* Takes up what an earlier run of the same plan made durable; KEN_ENOT_FOUND if there is nothing to be taken up. */
static int resume(struct ken_prune *prune, struct ken_error *error)
{
    int directory = prune->env.directory;
    if (!has_states(prune->plan->model) || !has_states(prune->plan->base)) return KEN_ENOT_FOUND;
    if (!prune->env.durable || !ken_journal_read(directory, prune->fingerprint, &prune->progress)) return KEN_ENOT_FOUND;
    int code = open_outputs(prune, false, error);
    if (!code) code = ken_journal_open(&prune->journal, directory, prune->fingerprint, true, error);
    if (code) close_outputs(prune);
    return code;
}

/* The old journal goes first, lest it tells of files that are emptied already. */
static int begin(struct ken_prune *prune, struct ken_error *error)
{
    memset(&prune->progress, 0, sizeof prune->progress);
    int code = KEN_OK;
    if (prune->env.durable)
        code = ken_journal_open(&prune->journal, prune->env.directory, prune->fingerprint, false, error);
    else if (unlinkat(prune->env.directory, KEN_JOURNAL_NAME, 0) && errno != ENOENT)
        code = ken_fail_errno(error, errno, "removing the journal");
    if (!code) code = open_outputs(prune, true, error);
    return code ? code : sync_folders(prune, error);
}

static int name_tensor_paths(struct ken_prune *prune, struct ken_error *error)
{
    for (size_t v = 0; v < prune->plan->options->variant_count; v++) {
        const char *name = prune->plan->options->variants[v].name;
        if (asprintf(&prune->tensors_path[v], ".kend/%s.jsonl", *name ? name : "tensors") < 0) {
            prune->tensors_path[v] = NULL;
            return ken_fail(error, KEN_ENOMEM, "out of memory for a path");
        }
        ken_cells_path(prune->cells_path[v], prune->plan, v);
    }
    return KEN_OK;
}

int ken_prune_open(struct ken_prune **prune, const struct ken_plan *plan, const struct ken_prune_env *env, uint64_t *resumed_rows,
                   struct ken_error *error)
{
    struct ken_prune *opened = calloc(1, sizeof *opened);
    *prune = NULL;
    if (!opened) return ken_fail(error, KEN_ENOMEM, "out of memory for a pruning");
    opened->plan = plan;
    opened->env = *env;
    int code = ken_plan_fingerprint(plan, opened->fingerprint, error);
    if (!code) code = name_tensor_paths(opened, error);
    if (!code) code = make_folders(opened, error);
    if (!code) code = ken_inputs_create(&opened->inputs, plan, error);
    if (!code) code = resume(opened, error);
    if (code == KEN_ENOT_FOUND) code = begin(opened, error);
    *prune = opened;
    if (code) ken_prune_close(prune);
    if (!code && resumed_rows) *resumed_rows = opened->progress.rows;
    if (!code && error) *error = (struct ken_error){0};
    return code;
}

/* ---- finishing: the files of a variant lie together, in the order delta, model files, index, report */

static size_t files_per_variant(const struct ken_plan *plan)
{
    unsigned outputs = plan->options->outputs;
    size_t models = outputs & KEN_OUTPUT_MODEL ? plan->model->file_count + plan->model->has_index : 0;
    return models + !!(outputs & KEN_OUTPUT_DELTA) + !!(outputs & KEN_OUTPUT_REPORT);
}

static struct ken_prune_file *delta_file(struct ken_prune *prune, size_t variant)
{
    if (!(prune->plan->options->outputs & KEN_OUTPUT_DELTA)) return NULL;
    return &prune->files[variant * files_per_variant(prune->plan)];
}

static struct ken_prune_file *model_file(struct ken_prune *prune, size_t variant, size_t index)
{
    bool delta = prune->plan->options->outputs & KEN_OUTPUT_DELTA;
    return &prune->files[variant * files_per_variant(prune->plan) + delta + index];
}

static struct ken_prune_file *report_file(struct ken_prune *prune, size_t variant)
{
    if (!(prune->plan->options->outputs & KEN_OUTPUT_REPORT)) return NULL;
    return &prune->files[(variant + 1) * files_per_variant(prune->plan) - 1];
}

static int name_file(struct ken_prune *prune, struct ken_prune_file *file, size_t variant, const char *path)
{
    file->variant = prune->plan->options->variants[variant].name;
    file->path = strdup(path + strlen("out/"));
    return file->path ? KEN_OK : KEN_ENOMEM;
}

static void free_files(struct ken_prune *prune)
{
    for (size_t i = 0; i < prune->file_count; i++) free((void *)(uintptr_t)prune->files[i].path);
    free(prune->files);
    prune->files = NULL;
    prune->file_count = 0;
}

static int name_own_file(struct ken_prune *prune, struct ken_prune_file *file, size_t variant, const char *name)
{
    char path[KEN_PATH_SIZE];
    ken_run_path(path, prune->plan, variant, name);
    return name_file(prune, file, variant, path);
}

static int name_variant_files(struct ken_prune *prune, size_t variant)
{
    const struct ken_plan *plan = prune->plan;
    char path[KEN_PATH_SIZE];
    int code = delta_file(prune, variant) ? name_own_file(prune, delta_file(prune, variant), variant, KEN_DELTA_FILE_NAME) : KEN_OK;
    for (size_t f = 0; !code && prune->models && f < plan->model->file_count; f++) {
        ken_model_path(path, plan, variant, f);
        code = name_file(prune, model_file(prune, variant, f), variant, path);
    }
    if (!code && prune->models && plan->model->has_index)
        code = name_own_file(prune, model_file(prune, variant, plan->model->file_count), variant, KEN_MODEL_INDEX_NAME);
    if (!code && report_file(prune, variant)) code = name_own_file(prune, report_file(prune, variant), variant, "report.json");
    return code;
}

static int list_files(struct ken_prune *prune, struct ken_error *error)
{
    size_t variants = prune->plan->options->variant_count, count = variants * files_per_variant(prune->plan);
    free_files(prune);
    prune->files = calloc(count + 1, sizeof *prune->files);
    if (!prune->files) return ken_fail(error, KEN_ENOMEM, "out of memory for a list of files");
    prune->file_count = count;
    for (size_t v = 0; v < variants; v++)
        if (name_variant_files(prune, v)) return ken_fail(error, KEN_ENOMEM, "out of memory for a list of files");
    return KEN_OK;
}

/* Digests a dense file if an earlier run wrote a part of it. */
static int finish_model_on_worker(struct ken_prune *prune, size_t index, struct ken_error *error)
{
    size_t files = prune->plan->model->file_count, variant = index / files, which = index % files;
    struct ken_prune_file *described = model_file(prune, variant, which);
    char path[KEN_PATH_SIZE];
    int file;
    described->size = prune->plan->file_bytes[which];
    if (ken_model_writer_digest(prune->models, variant, which, described->sha256)) return KEN_OK;
    ken_model_path(path, prune->plan, variant, which);
    int code = ken_file_open(&file, prune->env.directory, path, false, error);
    if (code) return code;
    code = ken_file_digest(file, described->size, path, ken_run_cancelled, prune, described->sha256, error);
    close(file);
    return code;
}

static int write_index(struct ken_prune *prune, size_t variant, struct ken_error *error)
{
    struct ken_prune_file *file = model_file(prune, variant, prune->plan->model->file_count);
    struct ken_output_file output;
    char path[KEN_PATH_SIZE], *text;
    size_t length;
    int code = ken_plan_index(prune->plan, &text, &length, error);
    if (code) return code;
    ken_run_path(path, prune->plan, variant, KEN_MODEL_INDEX_NAME);
    code = ken_output_create(&output, prune->env.directory, path, NULL, error);
    if (!code) code = ken_output_write(&output, text, length, error);
    file->size = length;
    if (!code) code = ken_output_close(&output, prune->env.durable, file->sha256, error);
    ken_output_abandon(&output);
    free(text);
    return code;
}

static int finish_variant_on_worker(struct ken_prune *prune, size_t variant, struct ken_error *error)
{
    struct ken_prune_file *delta = delta_file(prune, variant);
    int code = delta ? ken_delta_write(prune, variant, &prune->follow[variant], &delta->size, error) : KEN_OK;
    ken_follow_end(&prune->follow[variant]);
    if (!code && prune->models && prune->plan->model->has_index) code = write_index(prune, variant, error);
    return code ? code : ken_report_write(prune, variant, delta ? delta->size : 0, report_file(prune, variant), error);
}

/* Beside the task that writes it, so that a delta is there as soon as it is written. */
static int digest_delta_on_worker(struct ken_prune *prune, size_t variant, struct ken_error *error)
{
    struct ken_prune_file *delta = delta_file(prune, variant);
    char path[KEN_PATH_SIZE];
    ken_run_path(path, prune->plan, variant, KEN_DELTA_FILE_NAME);
    return ken_follow_digest(&prune->follow[variant], prune->env.directory, path, ken_run_cancelled, prune, delta->sha256, error);
}

/* Writing comes first, as it takes longest; who follows it must not begin before it. */
static int finish_on_worker(struct ken_prune *prune, void *opaque, size_t index, struct ken_error *error)
{
    size_t variants = prune->plan->options->variant_count, deltas = delta_file(prune, 0) ? variants : 0;
    (void)opaque;
    if (index < variants) return finish_variant_on_worker(prune, index, error);
    if (index < variants + deltas) return digest_delta_on_worker(prune, index - variants, error);
    return finish_model_on_worker(prune, index - variants - deltas, error);
}

int ken_prune_finish(struct ken_prune *prune, struct ken_error *error)
{
    size_t variants = prune->plan->options->variant_count;
    size_t models = prune->models ? variants * prune->plan->model->file_count : 0;
    size_t deltas = prune->plan->options->outputs & KEN_OUTPUT_DELTA ? variants : 0;
    KEN_ASSERT(prune->progress.tensor == prune->plan->model->tensor_count);
    int code = list_files(prune, error);
    for (size_t v = 0; v < variants; v++) ken_follow_init(&prune->follow[v]);
    if (!code) code = ken_inputs_finish(prune, error);
    if (!code && deltas && prune->plan->options->encoding == KEN_ENCODING_PACKED) code = ken_packing_make(&prune->packing, prune, error);
    if (!code) code = ken_run_parallel(prune, finish_on_worker, NULL, variants + deltas + models, KEN_WORK_BYTES, error);
    ken_packing_free(&prune->packing);
    for (size_t v = 0; v < variants; v++) ken_follow_destroy(&prune->follow[v]);
    if (!code) code = ken_inputs_check(prune->plan, error);
    return code ? code : sync_folders(prune, error);
}

size_t ken_prune_file_count(const struct ken_prune *prune)
{
    return prune->file_count;
}

const struct ken_prune_file *ken_prune_file(const struct ken_prune *prune, size_t index)
{
    KEN_ASSERT(index < prune->file_count);
    return &prune->files[index];
}

const char *ken_prune_totals_json(const struct ken_prune *prune, size_t variant)
{
    KEN_ASSERT(prune->totals[variant]);
    return prune->totals[variant];
}

const char *ken_prune_tensors_path(const struct ken_prune *prune, size_t variant)
{
    return prune->tensors_path[variant];
}

const char *ken_prune_cells_path(const struct ken_prune *prune, size_t variant)
{
    return prune->cells ? prune->cells_path[variant] + strlen("out/") : NULL;
}

void ken_prune_close(struct ken_prune **prune)
{
    if (!*prune) return;
    close_outputs(*prune);
    ken_pipeline_destroy(&(*prune)->pipeline);
    ken_inputs_destroy(&(*prune)->inputs);
    free_files(*prune);
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) {
        free((*prune)->totals[v]);
        free((*prune)->tensors_path[v]);
    }
    free(*prune);
    *prune = NULL;
}
