/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that apply a delta to its base: inject and verify. */
#include "checkpoint/model_header.h"
#include "digest.h"
#include "files.h"
#include "local.h"
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- inject */

static int print_injected(const struct kenctl *kenctl, const struct ken_delta *delta, const char *output)
{
    if (kenctl->json) {
        json_t *answer = json_pack("{s:s, s:I, s:I}", "output", output, "files", (json_int_t)ken_delta_file_count(delta), "tensors",
                                   (json_int_t)ken_delta_tensor_count(delta));
        int status = answer ? kenctl_print_json(answer) : kenctl_fail(KENCTL_FAILURE, "the output's name is not UTF-8");
        json_decref(answer);
        return status;
    }
    if (!kenctl->quiet) printf("%s: %zu tensors, every base tensor checked\n", output, ken_delta_tensor_count(delta));
    return KENCTL_SUCCESS;
}

/* Whether something is at output that may not be replaced. */
static bool is_taken(const struct kenctl *kenctl, const char *output)
{
    struct stat state;
    if (kenctl_option(kenctl, KENCTL_OPT_FORCE) || lstat(output, &state) != 0) return false;
    return !S_ISDIR(state.st_mode) || kenctl_folder_is_filled(output);
}

static int run_inject(struct kenctl *kenctl)
{
    const char *path = kenctl_option(kenctl, KENCTL_OPT_DELTA), *output = kenctl_option(kenctl, KENCTL_OPT_OUTPUT);
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    struct kenctl_work work;
    struct ken_inject_options options;
    if (!path || !output) return kenctl_usage(kenctl, "'inject' needs --base, --delta and -o");
    if (is_taken(kenctl, output)) return kenctl_fail(KENCTL_FAILURE, "%s is there already; --force replaces it", output);
    int status = ken_delta_open_path(&delta, path, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
    if (status == KENCTL_SUCCESS) status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status == KENCTL_SUCCESS) {
        kenctl_work_begin(&work, kenctl, "inject", &options);
        int code = ken_inject(delta, base, output, &options, &error);
        kenctl_progress_clear(&work.progress);
        status = code ? kenctl_fail_error(&error) : print_injected(kenctl, delta, output);
    }
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return status;
}

static const unsigned char inject_options[] = {KENCTL_OPT_BASE, KENCTL_OPT_DELTA, KENCTL_OPT_OUTPUT, KENCTL_OPT_FORCE};

const struct kenctl_command kenctl_command_inject = {
    .name = "inject",
    .summary = "Make the pruned model from its base and a delta",
    .operands = "",
    .text = "Gives the pruned model's files bit for bit: one file, or a folder where the model is sharded. Every base tensor is checked by "
            "its\n"
            "SHA-256; with another base nothing is written.\n"
            "\nExample:\n"
            "  kenctl inject --base bert/ --delta pruned/delta.safetensors -o model.safetensors\n",
    .options = inject_options,
    .option_count = sizeof inject_options,
    .run = run_inject,
};

/* ---- verify */

/* What is to be verified; paths are malloc'ed, or NULL. */
struct subject {
    char *delta, *model, *report;
};

static void free_subject(struct subject *subject)
{
    free(subject->delta);
    free(subject->model);
    free(subject->report);
}

static bool is_there(const char *folder, const char *name)
{
    struct stat state;
    char *path = kenctl_join(folder, name);
    bool there = path && stat(path, &state) == 0;
    free(path);
    return there;
}

/* Takes what the options name, and from the folder (or NULL) what they do not. */
static int find_subject(const struct kenctl *kenctl, const char *folder, struct subject *subject)
{
    const char *delta = kenctl_option(kenctl, KENCTL_OPT_DELTA), *model = kenctl_option(kenctl, KENCTL_OPT_MODEL);
    struct stat state;
    if (!folder && !delta) return kenctl_usage(kenctl, "'verify' needs a folder, or --delta");
    if (folder && (stat(folder, &state) != 0 || !S_ISDIR(state.st_mode))) return kenctl_fail(KENCTL_FAILURE, "%s is no folder", folder);
    subject->delta = delta ? strdup(delta) : kenctl_join(folder, "delta.safetensors");
    if (model)
        subject->model = strdup(model);
    else if (folder && (is_there(folder, KEN_MODEL_FILE_NAME) || is_there(folder, KEN_MODEL_INDEX_NAME)))
        subject->model = strdup(folder);
    if (folder && !delta && !model && is_there(folder, "report.json")) subject->report = kenctl_join(folder, "report.json");
    return subject->delta ? KENCTL_SUCCESS : kenctl_fail(KENCTL_FAILURE, "out of memory");
}

static int differs(const char *report, const char *what, json_int_t told, uint64_t found)
{
    return kenctl_fail(KENCTL_FAILURE, "%s: %s is %" JSON_INTEGER_FORMAT ", but the files have %" PRIu64, report, what, told, found);
}

/* Holds the report's totals against the files. */
static int check_report(const struct subject *subject, const struct ken_delta *delta, const struct ken_checkpoint *model)
{
    json_error_t fault;
    struct stat state;
    uint64_t bytes = 0;
    int status = KENCTL_SUCCESS;
    json_t *report = json_load_file(subject->report, JSON_REJECT_DUPLICATES, &fault);
    if (!report) return kenctl_fail(KENCTL_FAILURE, "%s: not a report: %s", subject->report, fault.text);
    const json_t *totals = json_object_get(report, "totals"), *delta_bytes = json_object_get(totals, "delta_bytes");
    const json_t *model_bytes = json_object_get(totals, "model_bytes"), *tensors = json_object_get(report, "tensors");
    for (size_t i = 0; model && i < model->file_count; i++) bytes += model->files[i].source->size;
    if (!json_is_object(totals))
        status = kenctl_fail(KENCTL_FAILURE, "%s: not a report: it has no totals", subject->report);
    else if (stat(subject->delta, &state) != 0)
        status = kenctl_fail(KENCTL_FAILURE, "cannot read %s: %s", subject->delta, strerror(errno));
    else if (json_is_integer(delta_bytes) && json_integer_value(delta_bytes) != (json_int_t)state.st_size)
        status = differs(subject->report, "delta_bytes", json_integer_value(delta_bytes), (uint64_t)state.st_size);
    else if (model && json_is_integer(model_bytes) && json_integer_value(model_bytes) != (json_int_t)bytes)
        status = differs(subject->report, "model_bytes", json_integer_value(model_bytes), bytes);
    else if (json_is_array(tensors) && json_array_size(tensors) != ken_delta_tensor_count(delta))
        status = differs(subject->report, "the number of tensors", (json_int_t)json_array_size(tensors), ken_delta_tensor_count(delta));
    json_decref(report);
    return status;
}

/* Compares the bytes of the index of a sharded model, which may be the folder's or the model's path itself. */
static int check_index(const struct subject *subject, const struct ken_delta *delta)
{
    struct stat state;
    struct ken_error error = {0};
    char *text = NULL;
    size_t length;
    if (!ken_delta_has_index(delta)) return KENCTL_SUCCESS;
    bool is_folder = stat(subject->model, &state) == 0 && S_ISDIR(state.st_mode);
    char *path = is_folder ? kenctl_join(subject->model, KEN_MODEL_INDEX_NAME) : strdup(subject->model);
    int status = KENCTL_SUCCESS, code = path ? KEN_OK : ken_fail(&error, KEN_ENOMEM, "out of memory");
    unsigned char wanted[KEN_SHA256_SIZE], found[KEN_SHA256_SIZE];
    if (!code) code = ken_delta_index(delta, &text, &length, &error);
    if (!code) code = ken_sha256(text, length, wanted, &error);
    if (!code) code = kenctl_file_sha256(path, found, &error);
    if (code)
        status = kenctl_fail_error(&error);
    else if (memcmp(wanted, found, sizeof wanted) != 0)
        status = kenctl_fail(KENCTL_FAILURE, "%s: the index has other bytes than the delta makes", path);
    free(text);
    free(path);
    return status;
}

static int print_verified(const struct kenctl *kenctl, const struct subject *subject, const struct ken_delta *delta)
{
    if (kenctl->json) {
        json_t *answer = json_pack("{s:b, s:I, s:b, s:b}", "valid", 1, "tensors", (json_int_t)ken_delta_tensor_count(delta),
                                   "model_compared", subject->model != NULL, "report_compared", subject->report != NULL);
        int status = kenctl_print_json(answer);
        json_decref(answer);
        return status;
    }
    if (!kenctl->quiet)
        printf("valid: %zu tensors; the delta fits the base%s%s\n", ken_delta_tensor_count(delta),
               subject->model ? ", base and delta make the model bit for bit" : "", subject->report ? ", the report's sizes hold" : "");
    return KENCTL_SUCCESS;
}

static int verify(const struct kenctl *kenctl, const struct subject *subject)
{
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL, *model = NULL;
    struct kenctl_work work;
    struct ken_inject_options options;
    int status = ken_delta_open_path(&delta, subject->delta, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
    if (status == KENCTL_SUCCESS) status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status == KENCTL_SUCCESS && subject->model && ken_checkpoint_open_path(&model, subject->model, NULL, &error))
        status = kenctl_fail_error(&error);
    if (status == KENCTL_SUCCESS && subject->report) status = check_report(subject, delta, model);
    if (status == KENCTL_SUCCESS) {
        kenctl_work_begin(&work, kenctl, "verify", &options);
        int code = ken_delta_verify(delta, base, model, &options, &error);
        kenctl_progress_clear(&work.progress);
        status = code ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
        if (status == KENCTL_SUCCESS && model) status = check_index(subject, delta);
        if (status == KENCTL_SUCCESS) status = print_verified(kenctl, subject, delta);
    }
    ken_checkpoint_close(&model);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return status;
}

static int run_verify(struct kenctl *kenctl)
{
    struct subject subject = {0};
    int status = find_subject(kenctl, kenctl->arguments.operand_count ? kenctl->arguments.operands[0] : NULL, &subject);
    if (status == KENCTL_SUCCESS) status = verify(kenctl, &subject);
    free_subject(&subject);
    return status;
}

static const unsigned char verify_options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_BASE, KENCTL_OPT_DELTA, KENCTL_OPT_MODEL};

const struct kenctl_command kenctl_command_verify = {
    .name = "verify",
    .summary = "Check a delta against its base, and against the pruned model",
    .operands = "[DIR]",
    .text =
        "Reads all of the delta and of the base, checks every base tensor by its SHA-256, and compares with the model, bit for bit, where\n"
        "there is one. DIR is a folder of artifacts (one variant's): its delta, its model and the sizes in its report are checked. The "
        "exit\n"
        "status is 1 if anything differs; the first difference is named.\n"
        "\nExamples:\n"
        "  kenctl verify pruned/ --base bert/\n"
        "  kenctl verify --delta delta.safetensors --base bert/ --model model.safetensors\n",
    .options = verify_options,
    .option_count = sizeof verify_options,
    .most = 1,
    .run = run_verify,
};
