/* SPDX-License-Identifier: Apache-2.0 */
#include "http/failure.h"

#include "http/job_answer.h"
#include "http/task.h"
#include "log.h"

enum MHD_Result kend_answer_failure(struct kend_request *request, const struct ken_error *error, const struct kend_failure *failure)
{
    enum MHD_Result result;
    if (error->code == KEN_ENOT_FOUND && kend_artifacts_gone(request, &result)) return result;
    if (error->code == KEN_ENOT_FOUND && failure->missing) return kend_answer_problem(request, PROTO_NO_DELTA, "%s", failure->missing);
    if (error->code == KEN_ECANCELLED) return kend_answer_problem(request, PROTO_DRAINING, KEND_TASK_CALLED_OFF);
    kend_log(KEND_LOG_ERROR, failure->log, KEND_LOG_REQUEST(request), KEND_S("job", request->match.id), KEND_S("error", error->message));
    return kend_answer_problem(request, PROTO_INTERNAL, "%s", failure->told);
}
