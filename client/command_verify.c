/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/model_header.h"
#include "delta_folder.h"
#include "digest.h"
#include "files.h"
#include "local.h"
#include "print.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is to be verified; paths are malloc'ed, or NULL. */
struct subject {
    const char *variant; /* its name where a folder of several is verified, or NULL; borrowed */
    char *delta, *model, *report;
};

static void free_subject(struct subject *subject)
{
    free(subject->delta);
    free(subject->model);
    free(subject->report);
}

/* Takes what the options name, and from the folder (or NULL) what they do not. */
static int find_subject(const struct kenctl *kenctl, const char *folder, struct subject *subject)
{
    const char *delta = kenctl_option(kenctl, KENCTL_OPT_DELTA), *model = kenctl_option(kenctl, KENCTL_OPT_PRUNED);
    struct ken_error error = {0};
    if (delta && kenctl_delta_path(&subject->delta, delta, &error)) return kenctl_fail_error(&error);
    if (!delta) subject->delta = kenctl_join(folder, KEN_DELTA_FILE_NAME);
    if (model)
        subject->model = strdup(model);
    else if (folder && (kenctl_folder_has(folder, KEN_MODEL_FILE_NAME) || kenctl_folder_has(folder, KEN_MODEL_INDEX_NAME)))
        subject->model = strdup(folder);
    if (folder && !delta && !model && kenctl_folder_has(folder, "report.json")) subject->report = kenctl_join(folder, "report.json");
    return subject->delta ? KENCTL_SUCCESS : kenctl_fail(KENCTL_FAILURE, "out of memory");
}

/* Compares the bytes of the index of a sharded model, which may be the folder's or the model's path itself. */
static int check_index(const struct subject *subject, const struct ken_delta *delta)
{
    struct stat state = {0};
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

/* Tells a failure, and of which variant it is. */
static int fail(const struct subject *subject, const struct ken_error *error)
{
    if (!subject->variant || error->code == KEN_ECANCELLED) return kenctl_fail_error(error);
    return kenctl_fail(KENCTL_FAILURE, "%s: %s", subject->variant, error->message);
}

static int tell_valid(const struct kenctl *kenctl, const struct subject *subject, const struct ken_delta *delta, json_t **answer)
{
    *answer = json_pack("{s:b, s:I, s:b, s:b}", "valid", 1, "tensors", (json_int_t)ken_delta_tensor_count(delta), "model_compared",
                        subject->model != NULL, "report_compared", subject->report != NULL);
    if (!*answer) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (kenctl->json || kenctl->quiet) return KENCTL_SUCCESS;
    kenctl_print_text(stdout, subject->variant ? subject->variant : "");
    printf("%svalid: %zu tensor%s; the delta fits the base%s%s\n", subject->variant ? ": " : "", ken_delta_tensor_count(delta),
           kenctl_plural(ken_delta_tensor_count(delta)),
           subject->model ? ", base and delta make the model bit for bit" : ", no model was compared",
           subject->report ? ", the report agrees" : "");
    return KENCTL_SUCCESS;
}

/* Reads everything and compares. */
static int walk(const struct kenctl *kenctl, const struct subject *subject, const struct ken_delta *delta,
                const struct ken_checkpoint *model)
{
    struct ken_error error = {0};
    struct ken_checkpoint *base = NULL;
    struct kenctl_work work;
    struct ken_inject_options options;
    int status = kenctl_open_checkpoint(kenctl, KENCTL_OPT_BASE, "--base", &base);
    if (status != KENCTL_SUCCESS) return status;
    kenctl_work_begin(&work, kenctl, "verify", &options);
    status = kenctl_executor_begin(kenctl, &options);
    if (status == KENCTL_SUCCESS) {
        int code = ken_delta_verify(delta, base, model, &options, &error);
        if (code)
            kenctl_progress_clear(&work.progress);
        else
            kenctl_progress_end(&work.progress, "done");
        if (code) status = fail(subject, &error);
    }
    kenctl_executor_end(&options);
    ken_checkpoint_close(&base);
    return status;
}

/* Verifies one delta with what belongs to it. *answer (new reference) is what JSON tells of it. */
static int verify(const struct kenctl *kenctl, const struct subject *subject, json_t **answer)
{
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_checkpoint *model = NULL;
    struct stat state = {0};
    int code = ken_delta_open_path(&delta, subject->delta, &error);
    if (!code && stat(subject->delta, &state) != 0) code = ken_fail_errno(&error, errno, "cannot read %s", subject->delta);
    if (!code && subject->model) code = ken_checkpoint_open_path(&model, subject->model, NULL, &error);
    int status = code ? fail(subject, &error) : walk(kenctl, subject, delta, model);
    if (status == KENCTL_SUCCESS && model) status = check_index(subject, delta);
    if (status == KENCTL_SUCCESS && subject->report) status = kenctl_report_check(subject->report, delta, (uint64_t)state.st_size, model);
    if (status == KENCTL_SUCCESS) status = tell_valid(kenctl, subject, delta, answer);
    ken_checkpoint_close(&model);
    ken_delta_close(&delta);
    return status;
}

static int verify_one(const struct kenctl *kenctl, const char *folder, const char *variant, json_t **answer)
{
    struct subject subject = {.variant = variant};
    int status = find_subject(kenctl, folder, &subject);
    if (status == KENCTL_SUCCESS) status = verify(kenctl, &subject, answer);
    free_subject(&subject);
    return status;
}

/* ---- a folder of variants */

/* Verifies all of them, whatever is wrong with some. */
static int verify_variants(const struct kenctl *kenctl, const char *folder, char *const *names, int count, json_t **answer)
{
    json_t *variants = json_object();
    int worst = KENCTL_SUCCESS;
    for (int i = 0; i < count && worst != KENCTL_INTERRUPTED && worst != KENCTL_USAGE; i++) {
        json_t *one = NULL;
        char *path = kenctl_join(folder, names[i]);
        int status = path ? verify_one(kenctl, path, names[i], &one) : kenctl_fail(KENCTL_FAILURE, "out of memory");
        json_object_set_new(variants, names[i], one ? one : json_pack("{s:b}", "valid", 0));
        if (status != KENCTL_SUCCESS) worst = status;
        free(path);
    }
    *answer = json_pack("{s:b, s:o}", "valid", worst == KENCTL_SUCCESS, "variants", variants);
    return worst;
}

static int verify_folder(const struct kenctl *kenctl, const char *folder, json_t **answer)
{
    char *names[KEN_MAX_VARIANTS];
    int count = kenctl_find_variants(folder, names), status;
    if (count < 0) return kenctl_fail(KENCTL_FAILURE, "%s: %s", folder, errno == ENOTDIR ? "this is no folder" : strerror(errno));
    if (kenctl_option(kenctl, KENCTL_OPT_DELTA) || kenctl_folder_has(folder, KEN_DELTA_FILE_NAME))
        status = verify_one(kenctl, folder, NULL, answer);
    else if (!count)
        status = kenctl_fail(KENCTL_FAILURE, "%s: neither a " KEN_DELTA_FILE_NAME " nor folders of variants with one are in it", folder);
    else if (kenctl_option(kenctl, KENCTL_OPT_PRUNED))
        status = kenctl_usage(kenctl, "%s has several variants: --model needs the folder of one", folder);
    else
        status = verify_variants(kenctl, folder, names, count, answer);
    for (int i = 0; i < count; i++) free(names[i]);
    return status;
}

static int run(struct kenctl *kenctl)
{
    const char *folder = kenctl->arguments.operand_count ? kenctl->arguments.operands[0] : NULL;
    json_t *answer = NULL;
    if (!folder && !kenctl_option(kenctl, KENCTL_OPT_DELTA)) return kenctl_usage(kenctl, "'verify' needs a folder, or --delta");
    if (!kenctl_option(kenctl, KENCTL_OPT_BASE)) return kenctl_usage(kenctl, "'verify' needs --base");
    int status = folder ? verify_folder(kenctl, folder, &answer) : verify_one(kenctl, NULL, NULL, &answer);
    if (answer && kenctl->json) {
        int printed = kenctl_print_json(answer);
        if (status == KENCTL_SUCCESS) status = printed;
    }
    json_decref(answer);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_BASE, KENCTL_OPT_DELTA, KENCTL_OPT_PRUNED, KENCTL_OPT_THREADS};

const struct kenctl_command kenctl_command_verify = {
    .name = "verify",
    .summary = "Check a delta against its base, and against the pruned model",
    .operands = "[DIR]",
    .text =
        "Reads all of the delta and of the base, checks every base tensor by its SHA-256, and compares with the model, bit for bit, where\n"
        "there is one. DIR is what `prune` made or `download` fetched: delta, model and report of one variant, or a folder of several,\n"
        "which are all verified. DELTA may be a folder with a delta.safetensors. The exit status is 1 if anything differs; the first\n"
        "difference is named.\n"
        "\nExamples:\n"
        "  kenctl verify pruned/ --base bert/\n"
        "  kenctl verify --delta delta.safetensors --base bert/ --model model.safetensors\n",
    .options = options,
    .option_count = sizeof options,
    .most = 1,
    .local = true,
    .run = run,
};
