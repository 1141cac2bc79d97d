/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/export.h"
#include "delta/places.h"
#include "delta_folder.h"
#include "inputs.h"
#include "local.h"
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int print_exported(const struct kenctl *kenctl, const struct ken_export *written, const char *format, const char *output)
{
    char size[32];
    if (kenctl->json) {
        json_t *answer =
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "output", output, "format", format, "tensors",
                      (json_int_t)written->tensors, "added", (json_int_t)written->added, "renamed", (json_int_t)written->renamed, "values",
                      (json_int_t)written->values, "parameters", (json_int_t)written->elements, "bytes", (json_int_t)written->bytes);
        int status = answer ? kenctl_print_json(answer) : kenctl_fail(KENCTL_FAILURE, "the output's name is not UTF-8");
        json_decref(answer);
        return status;
    }
    if (kenctl->quiet) return KENCTL_SUCCESS;
    kenctl_print_text(stdout, output);
    printf(": %zu tensor%s, %" PRIu64 " value%s of %" PRIu64 ", %s%s\n", written->tensors, kenctl_plural(written->tensors), written->values,
           kenctl_plural(written->values), written->elements, kenctl_size(size, sizeof size, stdout, written->bytes),
           kenctl_is_terminal(stdout) ? "" : " bytes");
    if (written->added)
        fprintf(stderr, "%zu of the tensors %s not in the base: the receiver must have them, of any value\n", written->added,
                written->added == 1 ? "is" : "are");
    if (written->renamed)
        fprintf(stderr, "%zu of the tensors %s another name in the base: the file has the model's names\n", written->renamed,
                written->renamed == 1 ? "has" : "have");
    return KENCTL_SUCCESS;
}

static int export(const struct kenctl *kenctl, const struct ken_delta *delta, const struct ken_checkpoint *base,
                  enum ken_export_format format)
{
    const char *output = kenctl_option(kenctl, KENCTL_OPT_FILE);
    struct ken_error error = {0};
    struct ken_export written;
    struct kenctl_work work;
    struct ken_inject_options options;
    kenctl_work_begin(&work, kenctl, "export", &options);
    int code = ken_delta_export(&written, delta, base, format, output, &options, &error);
    if (code)
        kenctl_progress_clear(&work.progress);
    else
        kenctl_progress_end(&work.progress, "done");
    return code ? kenctl_fail_error(&error) : print_exported(kenctl, &written, kenctl_option(kenctl, KENCTL_OPT_LAYOUT), output);
}

static int check_output(const struct kenctl *kenctl, const char *path, const struct ken_checkpoint *base)
{
    const struct kenctl_input inputs[] = {{"delta", path, NULL}, {"base", kenctl_option(kenctl, KENCTL_OPT_BASE), base}};
    const char *output = kenctl_option(kenctl, KENCTL_OPT_FILE);
    int status = kenctl_check_inputs(output, inputs, base ? 2 : 1);
    return status == KENCTL_SUCCESS ? kenctl_check_free(kenctl, output) : status;
}

static int run(struct kenctl *kenctl)
{
    const char *given = kenctl_option(kenctl, KENCTL_OPT_DELTA), *output = kenctl_option(kenctl, KENCTL_OPT_FILE);
    const char *layout = kenctl_option(kenctl, KENCTL_OPT_LAYOUT);
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *base = NULL;
    enum ken_export_format format;
    char *path;
    if (!given || !output || !layout) return kenctl_usage(kenctl, "'export' needs --delta, --format and -o");
    if (ken_export_find(&format, layout, &error)) return kenctl_usage(kenctl, "%s", error.message);
    if (strcmp(output, "-") == 0) return kenctl_usage(kenctl, "the export cannot go to standard output; -o is a file");
    int status = kenctl_delta_open(&delta, &path, given, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
    if (status == KENCTL_SUCCESS && !kenctl_option(kenctl, KENCTL_OPT_BASE) && ken_delta_needs_base(delta))
        status = kenctl_usage(kenctl, "%s is packed: its values are differences to the base, which --base must name", path);
    if (status == KENCTL_SUCCESS && kenctl_option(kenctl, KENCTL_OPT_BASE))
        status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status == KENCTL_SUCCESS) status = check_output(kenctl, path, base);
    if (status == KENCTL_SUCCESS) status = export(kenctl, delta, base, format);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    free(path);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_DELTA, KENCTL_OPT_BASE, KENCTL_OPT_LAYOUT, KENCTL_OPT_FILE, KENCTL_OPT_FORCE};

const struct kenctl_command kenctl_command_export = {
    .name = "export",
    .summary = "Write a delta in the layout of another program",
    .operands = "",
    .text =
        "For programs that have the base in memory and take sparse updates: a safetensors file with NAME.indices (flat, 32 bits) and\n"
        "NAME.values of every tensor of which the delta stores something. DELTA may be a folder with a delta.safetensors. A packed\n"
        "delta tells values as differences, so that --base is needed; where it is given, what is used of it is checked by its SHA-256.\n"
        "\nExamples:\n"
        "  kenctl export --delta pruned/delta.safetensors --format trl -o update.safetensors\n"
        "  kenctl export --delta small/delta.safetensors --base bert/ --format trl -o update.safetensors\n",
    .options = options,
    .option_count = sizeof options,
    .local = true,
    .run = run,
};
