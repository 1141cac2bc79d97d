/* SPDX-License-Identifier: Apache-2.0 */
#include "http/variant.h"

#include "json_load.h"

#include <stdio.h>
#include <string.h>

bool kend_variant_find(char name[KEN_MAX_VARIANT_NAME + 1], const json_t *spec, const char *parameter, const char *wanted, char *detail,
                       size_t size)
{
    json_t *item;
    const json_t *variants = json_object_get(spec, "variants");
    const char *known = !wanted && json_array_size(variants) == 0 ? "" : NULL;
    size_t i;
    json_array_foreach(variants, i, item)
    {
        const char *of = json_string_value(json_object_get(item, "name"));
        if (of && wanted && strcmp(of, wanted) == 0) known = of;
    }
    if (known)
        snprintf(name, KEN_MAX_VARIANT_NAME + 1, "%s", known);
    else if (wanted)
        snprintf(detail, size, "query parameter \"%s\" is not a variant of this job", parameter);
    else
        snprintf(detail, size, "query parameter \"%s\" is needed: this job has variants", parameter);
    return known != NULL;
}

bool kend_variant_with_delta(char name[KEN_MAX_VARIANT_NAME + 1], struct kend_request *request, const struct kend_job *job,
                             const char *parameter, const char *wanted, enum MHD_Result *result)
{
    char detail[256];
    bool found = false;
    json_t *spec = proto_json_load_text(job->spec);
    if (!spec)
        *result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    else if (!proto_status_is_terminal(job->status))
        *result = kend_answer_problem(request, PROTO_JOB_ACTIVE, "what pruning did can be looked at when the job has succeeded");
    else if (job->status != PROTO_SUCCEEDED)
        *result = kend_answer_problem(request, PROTO_NO_DELTA, "the job has not succeeded");
    else if (!kend_variant_find(name, spec, parameter, wanted, detail, sizeof detail))
        *result = kend_answer_problem(request, wanted ? PROTO_NOT_FOUND : PROTO_BAD_REQUEST, "%s", detail);
    else
        found = true;
    json_decref(spec);
    return found;
}
