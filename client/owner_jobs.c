/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First the ids are gathered from all pages, for what is done to jobs would move the pages under the cursor. What another one has done to
 * a job in the meantime is no fault, hence all of this may be repeated, and each call be tried again.
 */
#include "owner_jobs.h"

#include "http.h"
#include "job_pages.h"
#include "lifecycle.h"
#include "print.h"
#include "remote_job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct owner {
    const struct kenctl *kenctl;
    struct kenctl_http *http;
    const char *name;
};

/* ---- finding them */

static bool add_id(void *ids, json_t *job)
{
    const char *id = json_string_value(json_object_get(job, "id"));
    return !id || json_object_set_new(ids, id, json_true()) == 0;
}

/* The ids of all jobs that have ended, or that have not: an object, so that one which moves on meanwhile counts once. NULL and *status. */
static json_t *gather_all(const struct owner *owner, bool ended, int *status)
{
    json_t *ids = json_object();
    *status = ids ? KENCTL_SUCCESS : kenctl_fail(KENCTL_FAILURE, "out of memory");
    for (int one = 0; *status == KENCTL_SUCCESS && one < PROTO_STATUS_COUNT; one++)
        if (proto_status_is_terminal((enum proto_status)one) == ended)
            *status = kenctl_jobs_each(owner->kenctl, owner->http, owner->name, (enum proto_status)one, add_id, ids);
    if (*status == KENCTL_SUCCESS) return ids;
    json_decref(ids);
    return NULL;
}

/* ---- acting on them */

/* What is done to each job: the request, what its success is answered with, and the code that says that there is nothing to do. */
struct act {
    const char *method, *rest;
    long done;
    const char *idle;
    const char *verb; /* of the question */
};

/* A second thought for people alone: a program has had its own. */
static bool is_agreed(const struct owner *owner, const struct act *act, size_t count)
{
    if (!count || owner->kenctl->quiet || owner->kenctl->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return true;
    fprintf(stderr, "%s %zu job%s of ", act->verb, count, kenctl_plural(count));
    kenctl_print_text(stderr, *owner->name ? owner->name : "nobody in particular");
    fprintf(stderr, "? [y/N] ");
    const int answer = getchar();
    return answer == 'y' || answer == 'Y';
}

/* One request, tried again while the server is busy. */
static int call(const struct owner *owner, const struct act *act, const char *id, struct kenctl_response *response)
{
    struct ken_error error = {0};
    char *path = kenctl_job_path(id, act->rest);
    if (!path) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    const struct kenctl_request request = {.method = act->method, .path = path};
    int code;
    for (unsigned attempt = 0;; attempt++) {
        code = kenctl_http_call(owner->http, &request, response, &error);
        if (code ? code != KEN_EFETCH : !kenctl_is_busy(response->status)) break;
        if (!kenctl_back_off(owner->http, attempt)) break;
    }
    free(path);
    return code ? kenctl_call_failed(owner->kenctl, &error) : KENCTL_SUCCESS;
}

struct tally {
    size_t done, pending; /* pending: asked to end, and not ended yet */
};

static int act_on(const struct owner *owner, const struct act *act, const char *id, struct tally *tally)
{
    struct kenctl_response response = {0};
    int status = call(owner, act, id, &response);
    const char *code = json_string_value(json_object_get(response.json, "code"));
    const char *name = json_string_value(json_object_get(response.json, "status"));
    if (status == KENCTL_SUCCESS && response.status == act->done)
        ++*(name && strcmp(name, proto_status_name(PROTO_RUNNING)) == 0 ? &tally->pending : &tally->done);
    else if (status == KENCTL_SUCCESS && (!code || (strcmp(code, "not_found") != 0 && strcmp(code, act->idle) != 0)))
        status = kenctl_refused(owner->kenctl, &response);
    kenctl_response_clear(&response);
    return status;
}

static int act_on_all(const struct owner *owner, const struct act *act, bool ended, struct tally *tally)
{
    int status;
    const char *id;
    json_t *unused, *ids = gather_all(owner, ended, &status);
    if (ids && !is_agreed(owner, act, json_object_size(ids))) status = kenctl_fail(KENCTL_FAILURE, "nothing was done");
    json_object_foreach(ids, id, unused)
    {
        if (status != KENCTL_SUCCESS) break;
        status = act_on(owner, act, id, tally);
    }
    json_decref(ids);
    return status;
}

/* Tells how many, also of what was done before something failed. */
static int tell(const struct owner *owner, int status, const char *done_as, size_t done, const char *rest_as, size_t rest)
{
    if (!owner->kenctl->json) {
        printf("%zu job%s %s", done, kenctl_plural(done), done_as);
        if (rest) printf(", %zu %s", rest, rest_as);
        putchar('\n');
        return status;
    }
    json_t *answer =
        json_pack("{s:s?, s:I, s:I}", "owner", *owner->name ? owner->name : NULL, done_as, (json_int_t)done, rest_as, (json_int_t)rest);
    const int printed = kenctl_print_new_json(answer);
    return status != KENCTL_SUCCESS ? status : printed;
}

int kenctl_owner_cancel(const struct kenctl *kenctl, const char *name)
{
    static const struct act act = {"POST", "/cancel", 202, "job_finished", "Cancel"};
    struct owner owner = {.kenctl = kenctl, .name = name, .http = kenctl_http_open(kenctl)};
    struct tally tally = {0};
    if (!owner.http) return KENCTL_USAGE;
    int status = act_on_all(&owner, &act, false, &tally);
    if (status == KENCTL_SUCCESS || tally.done || tally.pending)
        status = tell(&owner, status, "cancelled", tally.done, "stopping", tally.pending);
    kenctl_http_close(&owner.http);
    return status;
}

int kenctl_owner_delete(const struct kenctl *kenctl, const char *name)
{
    static const struct act act = {"DELETE", "", 204, "job_active", "Delete"};
    struct owner owner = {.kenctl = kenctl, .name = name, .http = kenctl_http_open(kenctl)};
    struct tally tally = {0};
    if (!owner.http) return KENCTL_USAGE;
    int status = act_on_all(&owner, &act, true, &tally);
    json_t *left = status == KENCTL_SUCCESS ? gather_all(&owner, false, &status) : NULL;
    if (left || tally.done) status = tell(&owner, status, "deleted", tally.done, "active", json_object_size(left));
    if (json_object_size(left) && status == KENCTL_SUCCESS)
        status = kenctl_fail(KENCTL_FAILURE, "some are active: `kenctl cancel --owner NAME` ends them within a second, then do this again");
    json_decref(left);
    kenctl_http_close(&owner.http);
    return status;
}
