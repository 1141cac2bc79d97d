/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_list.h"

#include "files.h"
#include "folder.h"
#include "glob.h"
#include "heatmap/role.h"
#include "json_load.h"
#include "remote_job.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- of a job */

/* The path of a page, malloc'ed; NULL if out of memory. */
static char *page_path(const char *job, const char *variant, const char *after)
{
    char *encoded = proto_percent_encode(variant ? variant : "", ""), *cursor = proto_percent_encode(after ? after : "", "");
    char *rest = NULL, *path = NULL;
    if (encoded && cursor &&
        asprintf(&rest, "/layers?limit=200%s%s%s%s", variant ? "&variant=" : "", encoded, after ? "&after=" : "", cursor) < 0)
        rest = NULL;
    if (rest) path = kenctl_job_path(job, rest);
    free(rest);
    free(cursor);
    free(encoded);
    return path;
}

json_t *kenctl_layers_get(struct kenctl_http *http, const char *job, const char *variant, struct kenctl_response *response,
                          struct ken_error *error)
{
    json_t *roles = json_array();
    for (bool more = true; more && roles;) {
        const char *after = json_string_value(json_object_get(response->json, "next"));
        char *path = page_path(job, variant, after);
        struct kenctl_request request = {.method = "GET", .path = path};
        int code = path ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory");
        kenctl_response_clear(response);
        if (!code) code = kenctl_http_call(http, &request, response, error);
        free(path);
        more = !code && response->status == 200 && json_is_string(json_object_get(response->json, "next"));
        if (!code && response->status == 200 && json_array_extend(roles, json_object_get(response->json, "data")) == 0) continue;
        json_decref(roles);
        roles = NULL;
    }
    return roles;
}

/* ---- of a folder */

static json_t *read_report(const char *folder, const char *variant, struct ken_error *error)
{
    char *place = variant ? kenctl_join(folder, variant) : strdup(folder), *path = place ? kenctl_join(place, "report.json") : NULL;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    json_t *report = file >= 0 ? proto_json_load_file(file, 0) : NULL;
    if (!path)
        ken_fail(error, KEN_ENOMEM, "out of memory");
    else if (file < 0)
        ken_fail_errno(error, errno, "cannot read %s, which tells the layers", path);
    else if (!json_is_array(json_object_get(report, "tensors")))
        ken_fail(error, KEN_EIO, "%s is no report", path);
    if (file >= 0) close(file);
    free(path);
    free(place);
    if (json_is_array(json_object_get(report, "tensors"))) return report;
    json_decref(report);
    return NULL;
}

static const char *name_of(const json_t *tensor)
{
    const char *name = json_string_value(json_object_get(tensor, "name"));
    return name ? name : "";
}

static int in_order(const void *a, const void *b)
{
    return ken_role_compare(name_of(*(const json_t *const *)a), name_of(*(const json_t *const *)b));
}

/* Adds the kept fraction, which a report does not tell. */
static bool add_layer(json_t *tensors, json_t *tensor)
{
    const double kept = (double)json_integer_value(json_object_get(tensor, "kept"));
    const double all = kept + (double)json_integer_value(json_object_get(tensor, "reset")) +
                       (double)json_integer_value(json_object_get(tensor, "unchanged"));
    return json_object_set_new(tensor, "kept_fraction", json_real(all > 0 ? kept / all : 0)) == 0 &&
           json_array_append(tensors, tensor) == 0;
}

/* Sorted tensors [count] as roles; NULL if out of memory. */
static json_t *group(json_t *const *sorted, size_t count)
{
    json_t *roles = json_array(), *tensors = NULL;
    bool good = roles != NULL;
    for (size_t i = 0; good && i < count; i++) {
        const char *name = name_of(sorted[i]);
        if (!i || !ken_role_same(name, name_of(sorted[i - 1]))) {
            char *role = malloc(strlen(name) + 1);
            tensors = json_array();
            good = role && json_array_append_new(roles, json_pack("{s:s, s:o}", "role", ken_role_of(role, name), "tensors", tensors)) == 0;
            free(role);
        }
        good = good && add_layer(tensors, sorted[i]);
    }
    if (good) return roles;
    json_decref(roles);
    return NULL;
}

json_t *kenctl_layers_read(const char *folder, const char *variant, struct ken_error *error)
{
    json_t *report = read_report(folder, variant, error), *tensor, *roles = NULL;
    const json_t *tensors = json_object_get(report, "tensors");
    json_t **sorted = report ? calloc(json_array_size(tensors) + 1, sizeof *sorted) : NULL;
    size_t i, count = 0;
    json_array_foreach(tensors, i, tensor) if (sorted && json_is_string(json_object_get(tensor, "method"))) sorted[count++] = tensor;
    if (sorted) {
        qsort(sorted, count, sizeof *sorted, in_order);
        roles = group(sorted, count);
    }
    if (report && !roles) ken_fail(error, KEN_ENOMEM, "out of memory");
    free(sorted);
    json_decref(report);
    return roles;
}

/* ---- */

const json_t *kenctl_layers_pick(const json_t *roles, const char *glob, struct ken_error *error)
{
    const json_t *picked = NULL;
    const char *other = NULL;
    size_t i;
    json_t *item;
    json_array_foreach(roles, i, item)
    {
        const char *role = json_string_value(json_object_get(item, "role"));
        if (role && strcmp(role, glob) == 0) return item;
        if (!role || strlen(glob) > KEN_MAX_GLOB || !ken_glob_match(glob, role)) continue;
        if (picked) other = role;
        if (!picked) picked = item;
    }
    if (!picked) {
        ken_fail(error, KEN_ENOT_FOUND, "no pruned tensors have a role that matches '%s'", glob);
        return NULL;
    }
    if (!other) return picked;
    ken_fail(error, KEN_EINVALID, "'%s' matches more than one role, '%s' and '%s' among them", glob,
             json_string_value(json_object_get(picked, "role")), other);
    return NULL;
}
