/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/prefix.h"
#include "delta_folder.h"
#include "diff_view.h"
#include "local.h"
#include "print.h"

#include <stdlib.h>
#include <string.h>

/* A comparison that is under way. */
struct call {
    const struct kenctl *kenctl;
    const struct kenctl_thing *a, *b;
    const struct ken_checkpoint *base; /* or NULL */
    struct kenctl_work work;
    struct ken_inject_options options;
    struct ken_error error;
};

static void end_progress(struct call *call, int code)
{
    if (code)
        kenctl_progress_clear(&call->work.progress);
    else
        kenctl_progress_end(&call->work.progress, "done");
}

/* Where no name is on both sides: whether a prefix is all that keeps them apart. */
static void tell_prefix(const struct ken_side *a, const struct ken_side *b)
{
    struct ken_side_prefix prefix;
    char *text = ken_side_find_prefix(&prefix, a, b) ? strndup(prefix.text, prefix.length) : NULL;
    if (!text) return;
    fprintf(stderr, "note: tensors of the same name are compared, and %c has '", prefix.of_b ? 'B' : 'A');
    kenctl_print_text(stderr, text);
    fprintf(stderr, "' in front of the names of %c\n", prefix.of_b ? 'A' : 'B');
    free(text);
}

static int compare(struct call *call)
{
    const struct kenctl_thing *a = call->a, *b = call->b;
    struct ken_side sides[2] = {{0}};
    struct ken_comparison comparison = {0};
    int status = KENCTL_TROUBLE;
    int code = ken_side_open(&sides[0], a->delta ? call->base : a->checkpoint, a->delta, &call->error);
    if (!code) code = ken_side_open(&sides[1], b->delta ? call->base : b->checkpoint, b->delta, &call->error);
    if (!code) code = ken_compare(&comparison, &sides[0], &sides[1], &call->options, &call->error);
    end_progress(call, code);
    if (!code) {
        status = comparison.same == comparison.count ? KENCTL_SUCCESS : KENCTL_DIFFERENT;
        if (!call->kenctl->quiet && kenctl_print_comparison(call->kenctl, &comparison) != KENCTL_SUCCESS) status = KENCTL_TROUBLE;
        if (!call->kenctl->quiet && comparison.count == sides[0].count + sides[1].count) tell_prefix(&sides[0], &sides[1]);
    }
    ken_comparison_free(&comparison);
    ken_side_close(&sides[1]);
    ken_side_close(&sides[0]);
    return status;
}

static int overlap(struct call *call)
{
    struct ken_overlap found = {0};
    int status = KENCTL_TROUBLE;
    int code = ken_overlap(&found, call->a->delta, call->b->delta, call->base, &call->options, &call->error);
    end_progress(call, code);
    if (!code) {
        status = found.same == found.count ? KENCTL_SUCCESS : KENCTL_DIFFERENT;
        if (!call->kenctl->quiet && kenctl_print_overlap(call->kenctl, &found) != KENCTL_SUCCESS) status = KENCTL_TROUBLE;
        if (found.unknown && found.same + found.unknown == found.count)
            status = kenctl_fail(KENCTL_TROUBLE,
                                 "the same elements are stored, but the values of %zu tensor%s are packed: --base tells "
                                 "whether they are the same",
                                 found.unknown, kenctl_plural(found.unknown));
    }
    ken_overlap_free(&found);
    return status;
}

static int diff(const struct kenctl *kenctl, const struct kenctl_thing *a, const struct kenctl_thing *b, const struct ken_checkpoint *base)
{
    struct call call = {.kenctl = kenctl, .a = a, .b = b, .base = base};
    kenctl_work_begin(&call.work, kenctl, "diff", &call.options);
    int status = a->delta && b->delta ? overlap(&call) : compare(&call);
    if (!call.error.code) return status;
    status = kenctl_fail_error(&call.error);
    return status == KENCTL_INTERRUPTED ? status : KENCTL_TROUBLE;
}

static int run(struct kenctl *kenctl)
{
    const char *const *paths = kenctl->arguments.operands;
    struct ken_error error = {0};
    struct kenctl_thing a = {0}, b = {0};
    struct ken_checkpoint *base = NULL;
    bool has_base = kenctl_option(kenctl, KENCTL_OPT_BASE);
    int status = KENCTL_SUCCESS, code = kenctl_thing_open(&a, paths[0], kenctl->quiet, &error);
    if (!code) code = kenctl_thing_open(&b, paths[1], kenctl->quiet, &error);
    if (code) {
        kenctl_fail_error(&error);
        status = KENCTL_TROUBLE;
    } else if (!a.delta != !b.delta && !has_base)
        status = kenctl_usage(kenctl, "%s is a delta and %s is none: --base must name what makes a model of it", paths[a.delta ? 0 : 1],
                              paths[a.delta ? 1 : 0]);
    else if (!a.delta && !b.delta && has_base)
        status = kenctl_usage(kenctl, "neither %s nor %s is a delta: --base is of no use", paths[0], paths[1]);
    if (status == KENCTL_SUCCESS && has_base && kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base) != KENCTL_SUCCESS)
        status = KENCTL_TROUBLE;
    if (status == KENCTL_SUCCESS) status = diff(kenctl, &a, &b, base);
    ken_checkpoint_close(&base);
    kenctl_thing_close(&b);
    kenctl_thing_close(&a);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_BASE, KENCTL_OPT_SAME};

const struct kenctl_command kenctl_command_diff = {
    .name = "diff",
    .summary = "Tell which tensors of two models or deltas differ",
    .operands = "A B",
    .text =
        "A and B are checkpoints of any kind, or deltas; their content tells which. A folder is the model in it; its delta is\n"
        "DIR/delta.safetensors. Of models: how many values of each tensor differ, bit for bit, and ||B - A|| / ||A||. Of two deltas: "
        "which\n"
        "elements both store, and with what values; the base is needed only for the values of packed ones. Of a delta and a checkpoint:\n"
        "the model that the delta and --base make is compared.\n"
        "The exit status is 0 if all is the same, 1 if something differs, 2 if it cannot be told; -q tells nothing else.\n"
        "\nExamples:\n"
        "  kenctl diff tuned/ pruned/model.safetensors\n"
        "  kenctl diff half/delta.safetensors tenth/delta.safetensors\n"
        "  kenctl diff --base bert/ pruned/delta.safetensors model.safetensors\n",
    .options = options,
    .option_count = sizeof options,
    .least = 2,
    .most = 2,
    .local = true,
    .compares = true,
    .run = run,
};
