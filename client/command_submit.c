/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"
#include "kenctl.h"
#include "print.h"
#include "remote_job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { KEY_BYTES = 16 };

/* A key of our own makes it safe to send the document again when the connection breaks. */
static bool make_key(char key[2 * KEY_BYTES + 1])
{
    unsigned char bytes[KEY_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return false;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static int post(const struct kenctl *kenctl, struct kenctl_http *http, const json_t *document, json_t **answer)
{
    bool dry_run = kenctl_option(kenctl, KENCTL_OPT_DRY_RUN) != NULL;
    const char *key = kenctl_option(kenctl, KENCTL_OPT_IDEMPOTENCY_KEY);
    char made[2 * KEY_BYTES + 1];
    struct ken_error error = {0};
    struct kenctl_response response = {0};
    if (!key && !dry_run && make_key(made)) key = made;
    struct kenctl_request request = {.method = "POST",
                                     .path = dry_run ? "/v1/jobs?dry_run=true" : "/v1/jobs",
                                     .body = document,
                                     .idempotency_key = dry_run ? NULL : key};
    int status = KENCTL_SUCCESS;
    if (kenctl_http_call(http, &request, &response, &error))
        status = kenctl_call_failed(kenctl, &error);
    else if ((response.status != 200 && response.status != 202) || !json_is_object(response.json))
        status = kenctl_refused(kenctl, &response);
    else
        *answer = json_incref(response.json);
    kenctl_response_clear(&response);
    return status;
}

/* Prints what the server answered, and waits for the job where that is wanted. */
static int settle(const struct kenctl *kenctl, struct kenctl_http *http, const json_t *answer)
{
    if (kenctl_option(kenctl, KENCTL_OPT_DRY_RUN)) {
        if (kenctl->json) return kenctl_print_json(answer);
        size_t i;
        json_t *warning;
        json_array_foreach(json_object_get(answer, "warnings"), i, warning) if (json_is_string(warning))
            kenctl_print_warning(json_string_value(warning));
        return kenctl_print_plan(answer);
    }
    const char *id = json_string_value(json_object_get(answer, "id"));
    if (!id) return kenctl_fail(KENCTL_FAILURE, "%s answered without a job's id", kenctl->server);
    if (!kenctl_option(kenctl, KENCTL_OPT_WAIT)) {
        if (kenctl->json) return kenctl_print_json(answer);
        kenctl_print_text(stdout, id);
        fputc('\n', stdout);
        if (!kenctl->quiet) fprintf(stderr, "Submitted. `kenctl watch %s` waits for its end.\n", id);
        return KENCTL_SUCCESS;
    }
    if (!kenctl->quiet) {
        kenctl_print_text(stderr, id);
        fputc('\n', stderr);
    }
    json_t *job = NULL;
    int status = kenctl_job_follow(kenctl, http, id, false, &job);
    if (job && status != KENCTL_INTERRUPTED) {
        int printed = kenctl->json ? kenctl_print_json(job) : kenctl_job_show(job);
        if (printed != KENCTL_SUCCESS) status = printed;
    }
    json_decref(job);
    return status;
}

static int run(struct kenctl *kenctl)
{
    int status;
    json_t *answer = NULL,
           *document = kenctl_document(kenctl, kenctl->arguments.operand_count ? kenctl->arguments.operands[0] : NULL, &status);
    if (!document) return status;
    struct kenctl_http *http = kenctl_http_open(kenctl);
    status = http ? post(kenctl, http, document, &answer) : KENCTL_USAGE;
    if (status == KENCTL_SUCCESS) status = settle(kenctl, http, answer);
    kenctl_http_close(&http);
    json_decref(answer);
    json_decref(document);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT,          KENCTL_OPT_WAIT,         KENCTL_OPT_DRY_RUN,
                                        KENCTL_OPT_IDEMPOTENCY_KEY, KENCTL_DOCUMENT_OPTIONS, KENCTL_JOB_OPTIONS};

const struct kenctl_command kenctl_command_submit = {
    .name = "submit",
    .summary = "Hand a job to the server",
    .operands = "[FILE.json]",
    .text =
        "The job is a document (FILE.json, - for standard input), or made from options. Its id is printed; with --wait the job when it "
        "has\n"
        "ended, and the exit status is 0 if it succeeded, 1 if it failed, 3 if it was cancelled. Inputs are URLs that the server fetches.\n"
        "\nExamples:\n"
        "  kenctl submit --wait --model https://models.example/sst2/ --base https://models.example/bert/ --keep 0.25 --rescale "
        "l1\n"
        "  kenctl submit --wait --kind inject --base https://models.example/bert/ --delta https://models.example/sst2/delta.safetensors\n"
        "  kenctl submit job.json --dry-run\n"
        "  echo '{\"model\": \"https://models.example/sst2/\", \"base\": \"https://models.example/bert/\", \"k\": 384}' | kenctl submit "
        "-\n",
    .options = options,
    .option_count = sizeof options,
    .most = 1,
    .run = run,
};
