/* SPDX-License-Identifier: Apache-2.0 */
#include "local.h"
#include "print.h"

#include <string.h>

static int print_injected(const struct kenctl *kenctl, const struct ken_delta *delta, const char *output)
{
    if (kenctl->json) {
        json_t *answer = json_pack("{s:s, s:I, s:I}", "output", output, "files", (json_int_t)ken_delta_file_count(delta), "tensors",
                                   (json_int_t)ken_delta_tensor_count(delta));
        int status = answer ? kenctl_print_json(answer) : kenctl_fail(KENCTL_FAILURE, "the output's name is not UTF-8");
        json_decref(answer);
        return status;
    }
    if (kenctl->quiet) return KENCTL_SUCCESS;
    kenctl_print_text(stdout, output);
    printf(": %zu tensors, every base tensor checked\n", ken_delta_tensor_count(delta));
    return KENCTL_SUCCESS;
}

static int inject(const struct kenctl *kenctl, const struct ken_delta *delta, const struct ken_checkpoint *base, const char *output)
{
    struct ken_error error = {0};
    struct kenctl_work work;
    struct ken_inject_options options;
    kenctl_work_begin(&work, kenctl, "inject", &options);
    int status = kenctl_executor_begin(kenctl, &options);
    if (status == KENCTL_SUCCESS) {
        int code = ken_inject(delta, base, output, &options, &error);
        if (code)
            kenctl_progress_clear(&work.progress);
        else
            kenctl_progress_end(&work.progress, "done");
        status = code ? kenctl_fail_error(&error) : print_injected(kenctl, delta, output);
    }
    kenctl_executor_end(&options);
    return status;
}

static int run(struct kenctl *kenctl)
{
    const char *path = kenctl_option(kenctl, KENCTL_OPT_DELTA), *output = kenctl_option(kenctl, KENCTL_OPT_OUTPUT);
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    if (!path || !output) return kenctl_usage(kenctl, "'inject' needs --base, --delta and -o");
    if (strcmp(output, "-") == 0) return kenctl_usage(kenctl, "the model cannot go to standard output; -o is a file or a folder");
    int status = kenctl_check_free(kenctl, output);
    if (status == KENCTL_SUCCESS && ken_delta_open_path(&delta, path, &error)) status = kenctl_fail_error(&error);
    if (status == KENCTL_SUCCESS) status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status == KENCTL_SUCCESS) status = inject(kenctl, delta, base, output);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_BASE, KENCTL_OPT_DELTA, KENCTL_OPT_OUTPUT, KENCTL_OPT_FORCE, KENCTL_OPT_THREADS};

const struct kenctl_command kenctl_command_inject = {
    .name = "inject",
    .summary = "Make the pruned model from its base and a delta",
    .operands = "",
    .text = "Gives the pruned model's files bit for bit: one file, or a folder where the model is sharded. Every base tensor is checked by "
            "its\n"
            "SHA-256; with another base nothing is written.\n"
            "\nExample:\n"
            "  kenctl inject --base bert/ --delta pruned/delta.safetensors -o model.safetensors\n",
    .options = options,
    .option_count = sizeof options,
    .local = true,
    .run = run,
};
