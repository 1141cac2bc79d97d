/* SPDX-License-Identifier: Apache-2.0 */
#include "http/comparing.h"

#include "http/job_answer.h"
#include "http/pruned.h"

#include <string.h>

static bool read_there(struct kend_comparing *comparing, struct kend_request *request, const char *with, enum MHD_Result *result)
{
    struct kend_store *store = request->http->parts.store;
    struct kend_job *job = NULL;
    enum kend_store_result found = KEND_STORE_NONE;
    if (proto_id_is(with)) found = store->ops->get(store, with, kend_request_sees(request), &job);
    if (found == KEND_STORE_NONE)
        *result = kend_answer_problem(request, PROTO_NOT_FOUND, "query parameter \"with\" is no job that there is");
    else if (found != KEND_STORE_OK)
        *result = kend_answer_store(request, found);
    if (found != KEND_STORE_OK) return false;
    memcpy(comparing->there.job, job->id, sizeof comparing->there.job);
    const char *wanted = kend_query_get(&request->query, "with_variant");
    const bool same = !wanted && strcmp(comparing->here.job, comparing->there.job) == 0;
    const bool good = kend_pruned_find(comparing->there.variant, request, job, "with_variant",
                                       same && *comparing->here.variant ? comparing->here.variant : wanted, result);
    kend_job_free(&job);
    return good;
}

bool kend_comparing_read(struct kend_comparing *comparing, struct kend_request *request, enum MHD_Result *result)
{
    const char *with = kend_query_get(&request->query, "with");
    struct kend_job *job;
    if (!kend_find_job(request, &job, result)) return false;
    memcpy(comparing->here.job, job->id, sizeof comparing->here.job);
    const bool good =
        kend_pruned_find(comparing->here.variant, request, job, "variant", kend_query_get(&request->query, "variant"), result);
    kend_job_free(&job);
    return good && read_there(comparing, request, with ? with : comparing->here.job, result);
}
