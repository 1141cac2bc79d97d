/* SPDX-License-Identifier: Apache-2.0 */
/* The commands over jobs that are there: list, show, cancel, delete. */
#include "kenctl.h"
#include "job_pages.h"
#include "layer_bars.h"
#include "lifecycle.h"
#include "owner_jobs.h"
#include "print.h"
#include "remote_job.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

/* ---- list */

static int add_metadata(const struct kenctl *kenctl, char **path)
{
    for (size_t i = 0; i < kenctl->arguments.value_count; i++) {
        if (kenctl->arguments.values[i].option != KENCTL_OPT_METADATA) continue;
        const char *text = kenctl->arguments.values[i].text, *equals = strchr(text, '=');
        if (!equals || equals == text) return kenctl_usage(kenctl, "--metadata is KEY=VALUE, not '%s'", text);
        char *key = strndup(text, (size_t)(equals - text)), *encoded = key ? proto_percent_encode(key, "") : NULL, *name = NULL;
        bool added = encoded && asprintf(&name, "metadata.%s", encoded) >= 0 && kenctl_query_add(path, name, equals + 1);
        free(key);
        free(encoded);
        if (name) free(name);
        if (!added) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    }
    return KENCTL_SUCCESS;
}

/* The query of one page; NULL and *status after a fault. */
static char *list_path(const struct kenctl *kenctl, const char *after, int *status)
{
    const char *owner = kenctl_option(kenctl, KENCTL_OPT_WHOSE), *wanted = kenctl_option(kenctl, KENCTL_OPT_STATUS);
    const char *limit = kenctl_option(kenctl, KENCTL_OPT_LIMIT);
    bool all = kenctl_option(kenctl, KENCTL_OPT_ALL) != NULL;
    char *path = strdup("/v1/jobs"), most[16];
    snprintf(most, sizeof most, "%d", KENCTL_PAGE_MOST);
    if (!limit && all) limit = most;
    *status = KENCTL_FAILURE;
    bool added = path && (!owner || kenctl_query_add(&path, "owner", owner)) && (!wanted || kenctl_query_add(&path, "status", wanted)) &&
                 (!limit || kenctl_query_add(&path, "limit", limit)) && (!after || kenctl_query_add(&path, "after", after));
    if (!added)
        kenctl_fail(KENCTL_FAILURE, "out of memory");
    else
        *status = add_metadata(kenctl, &path);
    if (*status == KENCTL_SUCCESS) return path;
    free(path);
    return NULL;
}

/* GETs one page. New reference; NULL and *status after a fault. */
static json_t *get_page(const struct kenctl *kenctl, struct kenctl_http *http, const char *after, int *status)
{
    char *path = list_path(kenctl, after, status);
    json_t *page = path ? kenctl_page_get(kenctl, http, path, status) : NULL;
    free(path);
    return page;
}

static void add_job(struct kenctl_table *table, const json_t *job, bool owners)
{
    static const char *const keys[] = {"id", "kind", "status", "stage"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) kenctl_table_add(table, json_string_value(json_object_get(job, keys[i])));
    const json_t *percent = json_object_get(json_object_get(job, "progress"), "percent");
    if (json_is_number(percent))
        kenctl_table_add_format(table, "%u%%", kenctl_percent(percent));
    else
        kenctl_table_add(table, NULL);
    kenctl_table_add(table, json_string_value(json_object_get(job, "created_at")));
    if (owners) kenctl_table_add(table, json_string_value(json_object_get(job, "owner")));
    kenctl_table_add(table, json_string_value(json_object_get(job, "name")));
}

static int print_jobs(const json_t *jobs)
{
    static const char *const heads[] = {"ID", "KIND", "STATUS", "STAGE", "DONE", "CREATED", "NAME"};
    static const char *const heads_of_admins[] = {"ID", "KIND", "STATUS", "STAGE", "DONE", "CREATED", "OWNER", "NAME"};
    bool owners = json_object_get(json_array_get(jobs, 0), "owner") != NULL; /* admins are told of each job, others of none */
    struct kenctl_table *table = owners ? kenctl_table_create("llllrlll", heads_of_admins) : kenctl_table_create("llllrll", heads);
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i, job) add_job(table, job, owners);
    return kenctl_table_finish(&table);
}

static int run_list(struct kenctl *kenctl)
{
    bool all = kenctl_option(kenctl, KENCTL_OPT_ALL) != NULL;
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    int status;
    json_t *list = get_page(kenctl, http, NULL, &status);
    while (list && all && json_is_true(json_object_get(list, "has_more"))) {
        const char *after = json_string_value(json_object_get(list, "next"));
        json_t *page = after ? get_page(kenctl, http, after, &status) : NULL;
        if (!page) {
            json_decref(list);
            list = NULL;
            break;
        }
        json_array_extend(json_object_get(list, "data"), json_object_get(page, "data"));
        json_object_set(list, "has_more", json_object_get(page, "has_more"));
        json_object_set(list, "next", json_object_get(page, "next"));
        json_decref(page);
    }
    if (list) status = kenctl->json ? kenctl_print_json(list) : print_jobs(json_object_get(list, "data"));
    if (list && !kenctl->json && !kenctl->quiet && json_is_true(json_object_get(list, "has_more")))
        fprintf(stderr, "There are more: --all lists them all.\n");
    json_decref(list);
    kenctl_http_close(&http);
    return status;
}

static const unsigned char list_options[] = {KENCTL_OPT_FORMAT,   KENCTL_OPT_STATUS, KENCTL_OPT_WHOSE,
                                             KENCTL_OPT_METADATA, KENCTL_OPT_LIMIT,  KENCTL_OPT_ALL};

const struct kenctl_command kenctl_command_list = {
    .name = "list",
    .summary = "List the server's jobs, newest first",
    .operands = "",
    .text = "A table: id, kind, status, stage, how much is done, when it was created, whose it is (told to admins), name.\n"
            "\nExamples:\n"
            "  kenctl list --status running\n"
            "  kenctl list --owner nlp\n"
            "  kenctl list --all --metadata team=nlp -o json\n",
    .options = list_options,
    .option_count = sizeof list_options,
    .run = run_list,
};

/* ---- show, cancel, delete */

static int run_show(struct kenctl *kenctl)
{
    int status;
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    json_int_t last_event = 0;
    json_t *job = kenctl_job_get(kenctl, http, kenctl->arguments.operands[0], "", &status);
    if (job) kenctl_job_warn(http, kenctl->arguments.operands[0], &last_event);
    if (job) status = kenctl->json ? kenctl_print_json(job) : kenctl_job_show(job);
    if (job && status == KENCTL_SUCCESS && !kenctl->json) status = kenctl_layer_bars_show(kenctl, http, job);
    json_decref(job);
    kenctl_http_close(&http);
    return status;
}

static const unsigned char show_options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_VARIANT};

const struct kenctl_command kenctl_command_show = {
    .name = "show",
    .summary = "Tell all about one job",
    .operands = "ID",
    .text =
        "Its status, document, times, artifacts with their digests, the summary of its report, and its layers: how much of each was kept,\n"
        "was reset and had not changed, and the largest relative L2 of its tensors; as bars on a terminal, as counts in a pipe, of one\n"
        "variant. Warnings go to standard error.\n"
        "\nExamples:\n"
        "  kenctl show job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C\n"
        "  kenctl show -o json job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C | jq .summary\n",
    .options = show_options,
    .option_count = sizeof show_options,
    .least = 1,
    .most = 1,
    .run = run_show,
};

/* Sends a request about a job that is answered with `wanted`; *answer (may be NULL) is a new reference to its body. */
static int act(const struct kenctl *kenctl, const char *method, const char *rest, long wanted, json_t **answer)
{
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    int status = KENCTL_SUCCESS;
    char *path = kenctl_job_path(kenctl->arguments.operands[0], rest);
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http || !path) {
        status = http ? kenctl_fail(KENCTL_FAILURE, "out of memory") : KENCTL_USAGE;
        goto out;
    }
    struct kenctl_request request = {.method = method, .path = path};
    if (kenctl_http_call(http, &request, &response, &error))
        status = kenctl_call_failed(kenctl, &error);
    else if (response.status != wanted || (answer && !json_is_object(response.json)))
        status = kenctl_refused(kenctl, &response);
    else if (answer)
        *answer = json_incref(response.json);
out:
    kenctl_response_clear(&response);
    kenctl_http_close(&http);
    free(path);
    return status;
}

/* One job by its ID, or all of an owner; KENCTL_USAGE (and told) if it is not said which. */
static int check_which(const struct kenctl *kenctl)
{
    const char *name = kenctl->command->name;
    const bool one = kenctl->arguments.operand_count, all = kenctl_option(kenctl, KENCTL_OPT_OWNED) != NULL;
    if (one && all) return kenctl_usage(kenctl, "'%s' takes an ID or --owner, not both", name);
    return one || all ? KENCTL_SUCCESS : kenctl_usage(kenctl, "'%s' needs ID, or --owner NAME", name);
}

static const unsigned char owner_options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_OWNED};

static int run_cancel(struct kenctl *kenctl)
{
    const char *owner = kenctl_option(kenctl, KENCTL_OPT_OWNED);
    if (check_which(kenctl) != KENCTL_SUCCESS) return KENCTL_USAGE;
    if (owner) return kenctl_owner_cancel(kenctl, owner);
    json_t *job = NULL;
    int status = act(kenctl, "POST", "/cancel", 202, &job);
    if (status == KENCTL_SUCCESS && kenctl->json)
        status = kenctl_print_json(job);
    else if (status == KENCTL_SUCCESS) {
        const char *name = json_string_value(json_object_get(job, "status"));
        bool ended = name && strcmp(name, proto_status_name(PROTO_CANCELLED)) == 0;
        printf("%s\n", ended ? "cancelled" : "cancel requested");
    }
    json_decref(job);
    return status;
}

const struct kenctl_command kenctl_command_cancel = {
    .name = "cancel",
    .summary = "Cancel a job, or all of an owner",
    .operands = "ID | --owner NAME",
    .text =
        "Its work stops within a second. A job that has ended cannot be cancelled.\n"
        "With --owner, an admin cancels all jobs of an owner that are queued or running, as after the owner's tokens were revoked: first\n"
        "revoke and send the server a SIGHUP, so that no new ones come. On a terminal it asks before; -q asks nothing. It may be\n"
        "repeated.\n"
        "\nExamples:\n"
        "  kenctl cancel job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C\n"
        "  kenctl --token-file admin.token cancel --owner nlp\n",
    .options = owner_options,
    .option_count = sizeof owner_options,
    .most = 1,
    .run = run_cancel,
};

static int run_delete(struct kenctl *kenctl)
{
    const char *owner = kenctl_option(kenctl, KENCTL_OPT_OWNED);
    if (check_which(kenctl) != KENCTL_SUCCESS) return KENCTL_USAGE;
    if (owner) return kenctl_owner_delete(kenctl, owner);
    int status = act(kenctl, "DELETE", "", 204, NULL);
    if (status == KENCTL_SUCCESS && kenctl->json) {
        json_t *answer = json_pack("{s:s, s:b}", "id", kenctl->arguments.operands[0], "deleted", 1);
        status = kenctl_print_json(answer);
        json_decref(answer);
    } else if (status == KENCTL_SUCCESS)
        printf("deleted\n");
    return status;
}

const struct kenctl_command kenctl_command_delete = {
    .name = "delete",
    .summary = "Delete a job that has ended, or all of an owner, with their artifacts",
    .operands = "ID | --owner NAME",
    .text =
        "A job that is active must be cancelled first.\n"
        "With --owner, an admin deletes all jobs of an owner that have ended. The exit status is 1 if others are left. On a terminal it\n"
        "asks before; -q asks nothing. It may be repeated.\n"
        "\nExamples:\n"
        "  kenctl delete job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C\n"
        "  kenctl --token-file admin.token delete --owner nlp\n",
    .options = owner_options,
    .option_count = sizeof owner_options,
    .most = 1,
    .run = run_delete,
};
