/* SPDX-License-Identifier: Apache-2.0 */
#include "job_pages.h"

#include "remote_job.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

bool kenctl_query_add(char **path, const char *key, const char *value)
{
    char *encoded = proto_percent_encode(value, ""), *longer = NULL;
    bool added = encoded && asprintf(&longer, "%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', key, encoded) >= 0;
    free(encoded);
    if (!added) return false;
    free(*path);
    *path = longer;
    return true;
}

json_t *kenctl_page_get(const struct kenctl *kenctl, struct kenctl_http *http, const char *path, int *status)
{
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    struct kenctl_request request = {.method = "GET", .path = path};
    json_t *page = NULL;
    if (kenctl_http_call(http, &request, &response, &error))
        *status = kenctl_call_failed(kenctl, &error);
    else if (response.status != 200 || !json_is_array(json_object_get(response.json, "data")))
        *status = kenctl_refused(kenctl, &response);
    else
        page = json_incref(response.json);
    kenctl_response_clear(&response);
    return page;
}

static char *page_path(const char *owner, const char *status, const char *after)
{
    char *path = strdup("/v1/jobs"), most[16];
    snprintf(most, sizeof most, "%d", KENCTL_PAGE_MOST);
    if (path && (!owner || kenctl_query_add(&path, "owner", owner)) && kenctl_query_add(&path, "status", status) &&
        kenctl_query_add(&path, "limit", most) && (!after || kenctl_query_add(&path, "after", after)))
        return path;
    free(path);
    return NULL;
}

static bool take_page(const json_t *page, bool (*take)(void *opaque, json_t *job), void *opaque)
{
    size_t i;
    json_t *job;
    json_array_foreach(json_object_get(page, "data"), i, job)
    {
        if (!take(opaque, job)) return false;
    }
    return true;
}

int kenctl_jobs_each(const struct kenctl *kenctl, struct kenctl_http *http, const char *owner, enum proto_status wanted,
                     bool (*take)(void *opaque, json_t *job), void *opaque)
{
    int status = KENCTL_SUCCESS;
    json_t *page = NULL;
    for (const char *after = NULL; status == KENCTL_SUCCESS;) {
        char *path = page_path(owner, proto_status_name(wanted), after);
        json_t *next = path ? kenctl_page_get(kenctl, http, path, &status) : NULL;
        json_decref(page); /* which `after` was of */
        page = next;
        if (!path || (page && !take_page(page, take, opaque))) status = kenctl_fail(KENCTL_FAILURE, "out of memory");
        free(path);
        after = json_string_value(json_object_get(page, "next"));
        if (!after || !json_is_true(json_object_get(page, "has_more"))) break;
    }
    json_decref(page);
    return status;
}
