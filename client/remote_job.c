/* SPDX-License-Identifier: Apache-2.0 */
#include "remote_job.h"

#include "url.h"

#include <stdlib.h>
#include <string.h>

int kenctl_call_failed(const struct kenctl *kenctl, const struct ken_error *error)
{
    int status = kenctl_fail_error(error);
    if (error->code == KEN_EFETCH)
        fprintf(stderr, "Is a kend running at %s? Another one is named with --server URL or KENCTL_SERVER.\n", kenctl->server);
    return status;
}

char *kenctl_job_path(const char *id, const char *rest)
{
    char *encoded = proto_percent_encode(id, ""), *path = NULL;
    if (encoded && asprintf(&path, "/v1/jobs/%s%s", encoded, rest) < 0) path = NULL;
    free(encoded);
    return path;
}

int kenctl_job_ask(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, const char *etag, unsigned wait,
                   struct kenctl_response *response)
{
    struct ken_error error = {0};
    char *path = kenctl_job_path(id, rest);
    if (!path) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    struct kenctl_request request = {.method = "GET", .path = path, .if_none_match = etag, .wait_seconds = wait};
    int code = kenctl_http_call(http, &request, response, &error);
    free(path);
    if (code) return kenctl_call_failed(kenctl, &error);
    if (response->status == 304) return KENCTL_SUCCESS;
    if (response->status != 200 || !json_is_object(response->json)) return kenctl_refused(kenctl, response);
    return KENCTL_SUCCESS;
}

json_t *kenctl_job_get(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, int *status)
{
    struct kenctl_response response = {0};
    *status = kenctl_job_ask(kenctl, http, id, rest, NULL, 0, &response);
    json_t *json = *status == KENCTL_SUCCESS ? json_incref(response.json) : NULL;
    kenctl_response_clear(&response);
    return json;
}

/* ---- warnings */

/* Prints a page's warnings with ids above *last, which follows. */
static void print_warnings(const json_t *page, json_int_t *last)
{
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(page, "data"), i, event)
    {
        const json_t *data = json_object_get(event, "data");
        const char *level = json_string_value(json_object_get(data, "level")),
                   *message = json_string_value(json_object_get(data, "message"));
        json_int_t id = json_integer_value(json_object_get(event, "id"));
        if (id <= *last) continue;
        *last = id;
        if (level && message && strcmp(level, "warn") == 0) kenctl_print_warning(message);
    }
}

void kenctl_job_warn(struct kenctl_http *http, const char *id, json_int_t *last)
{
    enum { MOST_PAGES = 50 };
    char *path = kenctl_job_path(id, "/events?limit=200");
    for (unsigned page = 0; path && page < MOST_PAGES; page++) {
        struct kenctl_response response = {0};
        struct kenctl_request request = {.method = "GET", .path = path, .once = true};
        struct ken_error error = {0};
        int code = kenctl_http_call(http, &request, &response, &error);
        free(path);
        path = NULL;
        if (!code && response.status == 200) {
            const char *next = json_string_value(json_object_get(response.json, "next"));
            char *encoded = next ? proto_percent_encode(next, "") : NULL, *rest = NULL;
            print_warnings(response.json, last);
            if (encoded && asprintf(&rest, "/events?limit=200&after=%s", encoded) >= 0) path = kenctl_job_path(id, rest);
            free(rest);
            free(encoded);
        }
        kenctl_response_clear(&response);
    }
    free(path);
}
