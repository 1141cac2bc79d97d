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
