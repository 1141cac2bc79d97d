/* SPDX-License-Identifier: Apache-2.0 */
#include "http/pruned.h"

#include "http/variant.h"
#include "json_load.h"

bool kend_pruned_find(char name[KEN_MAX_VARIANT_NAME + 1], struct kend_request *request, const struct kend_job *job, const char *parameter,
                      const char *wanted, enum MHD_Result *result)
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
