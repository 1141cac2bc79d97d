/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"
#include "delta_folder.h"
#include "digest.h"
#include "files.h"
#include "inputs.h"
#include "local.h"
#include "print.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The files of the model [ken_inject_file_count], as prune tells of its own. New reference. */
static json_t *artifacts_json(const struct ken_delta *delta, const struct ken_inject_file *files)
{
    json_t *artifacts = json_array();
    for (size_t i = 0; i < ken_inject_file_count(delta); i++) {
        char hex[KEN_SHA256_HEX_SIZE];
        json_array_append_new(artifacts, json_pack("{s:s, s:I, s:s}", "name", files[i].name, "size", (json_int_t)files[i].size, "sha256",
                                                   ken_hex_encode(hex, files[i].sha256, KEN_SHA256_SIZE)));
    }
    return artifacts;
}

static int print_injected(const struct kenctl *kenctl, const struct ken_delta *delta, const struct ken_inject_file *files,
                          const char *output)
{
    if (kenctl->json) {
        json_t *answer = json_pack("{s:s, s:I, s:I, s:o}", "output", output, "files", (json_int_t)ken_delta_file_count(delta), "tensors",
                                   (json_int_t)ken_delta_tensor_count(delta), "artifacts", artifacts_json(delta, files));
        int status = answer ? kenctl_print_json(answer) : kenctl_fail(KENCTL_FAILURE, "the output's name is not UTF-8");
        json_decref(answer);
        return status;
    }
    if (kenctl->quiet) return KENCTL_SUCCESS;
    kenctl_print_text(stdout, output);
    printf(": %zu tensor%s, every base tensor checked\n", ken_delta_tensor_count(delta), kenctl_plural(ken_delta_tensor_count(delta)));
    return KENCTL_SUCCESS;
}

static int inject(const struct kenctl *kenctl, const struct ken_delta *delta, const struct ken_checkpoint *base, const char *output)
{
    struct ken_error error = {0};
    struct kenctl_work work;
    struct ken_inject_options options;
    struct ken_inject_file *files = calloc(ken_inject_file_count(delta), sizeof *files);
    kenctl_work_begin(&work, kenctl, "inject", &options);
    int status = files ? kenctl_executor_begin(kenctl, &options) : kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (status == KENCTL_SUCCESS) {
        int code = ken_inject(delta, base, output, kenctl->json ? files : NULL, &options, &error); /* digests take time */
        if (code)
            kenctl_progress_clear(&work.progress);
        else
            kenctl_progress_end(&work.progress, "done");
        status = code ? kenctl_fail_error(&error) : print_injected(kenctl, delta, files, output);
    }
    kenctl_executor_end(&options);
    free(files);
    return status;
}

/* Where the model goes, malloc'ed: a single file of it into a folder that is there. NULL if out of memory. */
static char *place(const struct ken_delta *delta, const char *output)
{
    struct stat state;
    bool into = !ken_delta_has_index(delta) && stat(output, &state) == 0 && S_ISDIR(state.st_mode);
    return into ? kenctl_join(output, KEN_MODEL_FILE_NAME) : strdup(output);
}

/* Whether a file that would be written is one of what it is made from. */
static int check_inputs(const struct ken_delta *delta, const struct kenctl_input *inputs, size_t count, const char *output)
{
    size_t files = ken_delta_file_count(delta);
    char name[KEN_MODEL_NAME_SIZE];
    int status = kenctl_check_inputs(output, inputs, count);
    if (!ken_delta_has_index(delta)) return status;
    if (status == KENCTL_SUCCESS) status = kenctl_check_inputs_in(output, KEN_MODEL_INDEX_NAME, inputs, count);
    for (size_t i = 0; i < files && status == KENCTL_SUCCESS; i++) {
        ken_model_file_name(name, i, files, true);
        status = kenctl_check_inputs_in(output, name, inputs, count);
    }
    return status;
}

static int check_and_inject(const struct kenctl *kenctl, const struct ken_delta *delta, const char *path, const struct ken_checkpoint *base)
{
    const struct kenctl_input inputs[] = {{"base", kenctl_option(kenctl, KENCTL_OPT_BASE), base}, {"delta", path, NULL}};
    char *output = place(delta, kenctl_option(kenctl, KENCTL_OPT_OUTPUT));
    if (!output) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    int status = check_inputs(delta, inputs, sizeof inputs / sizeof *inputs, output);
    if (status == KENCTL_SUCCESS) status = kenctl_check_free(kenctl, output);
    if (status == KENCTL_SUCCESS) status = inject(kenctl, delta, base, output);
    free(output);
    return status;
}

static int run(struct kenctl *kenctl)
{
    const char *given = kenctl_option(kenctl, KENCTL_OPT_DELTA), *output = kenctl_option(kenctl, KENCTL_OPT_OUTPUT);
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    char *path;
    if (!given || !output) return kenctl_usage(kenctl, "'inject' needs --base, --delta and -o");
    if (strcmp(output, "-") == 0) return kenctl_usage(kenctl, "the model cannot go to standard output; -o is a file or a folder");
    int status = kenctl_delta_open(&delta, &path, given, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
    if (status == KENCTL_SUCCESS) status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status == KENCTL_SUCCESS) status = check_and_inject(kenctl, delta, path, base);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    free(path);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_BASE, KENCTL_OPT_DELTA, KENCTL_OPT_OUTPUT, KENCTL_OPT_FORCE, KENCTL_OPT_THREADS};

const struct kenctl_command kenctl_command_inject = {
    .name = "inject",
    .summary = "Make the pruned model from its base and a delta",
    .operands = "",
    .text = "Gives the pruned model's files bit for bit: one file, or a folder where the model is sharded. A file goes into OUT as\n"
            "model.safetensors where OUT is a folder. DELTA may be a folder with a delta.safetensors. Every base tensor is checked by its\n"
            "SHA-256; with another base nothing is written.\n"
            "\nExample:\n"
            "  kenctl inject --base bert/ --delta pruned/delta.safetensors -o model.safetensors\n",
    .options = options,
    .option_count = sizeof options,
    .local = true,
    .run = run,
};
