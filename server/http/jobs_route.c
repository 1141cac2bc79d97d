/* SPDX-License-Identifier: Apache-2.0 */
#include "http/job_answer.h"
#include "http/list.h"
#include "job.h"
#include "reader.h"
#include "token.h"

#include <string.h>

enum { METADATA_FILTERS = 16 };

/*
 * The owner that an admin asks for, "" the nameless one. False: it was answered. To others it is forbidden, whoever they ask for: an empty
 * list would tell them that there is nothing.
 */
static bool read_owner(struct kend_request *request, struct kend_job_filter *filter, enum MHD_Result *result)
{
    const char *owner = kend_query_get(&request->query, "owner");
    if (!owner) return true;
    if (filter->owner)
        *result = kend_answer_problem(request, PROTO_FORBIDDEN, "query parameter \"owner\" needs a token with scope admin");
    else if (*owner && !proto_owner_is(owner))
        *result = kend_answer_problem(request, PROTO_BAD_REQUEST,
                                      "query parameter \"owner\" must be 1 to %d letters, digits and . _ @ + -, or empty", PROTO_OWNER_MAX);
    else {
        filter->owner = owner;
        return true;
    }
    return false;
}

/* Fills the filter from the query. False with a reason in detail. */
static bool read_filter(const struct kend_request *request, struct kend_job_filter *filter, struct kend_pair pairs[METADATA_FILTERS],
                        char *detail, size_t size)
{
    static const char family[] = "metadata.";
    filter->metadata = pairs;
    for (size_t i = 0; i < request->query.count; i++) {
        const struct kend_parameter *parameter = &request->query.parameter[i];
        if (strcmp(parameter->name, "status") == 0) {
            filter->has_status = proto_status_parse(parameter->value, &filter->status);
            if (filter->has_status) continue;
            snprintf(detail, size, "query parameter \"status\" must be queued, running, succeeded, failed or cancelled");
            return false;
        }
        if (strcmp(parameter->name, "after") == 0) {
            filter->after = parameter->value;
            if (proto_id_is(filter->after)) continue;
            snprintf(detail, size, "query parameter \"after\" is not a cursor of this list");
            return false;
        }
        if (strncmp(parameter->name, family, sizeof family - 1) != 0) continue;
        if (filter->metadata_count == METADATA_FILTERS) {
            snprintf(detail, size, "more than %d metadata filters", METADATA_FILTERS);
            return false;
        }
        const struct kend_pair pair = {parameter->name + sizeof family - 1, parameter->value};
        if (proto_count_characters(pair.key) > PROTO_MAX_METADATA_KEY || proto_count_characters(pair.value) > PROTO_MAX_METADATA_VALUE) {
            snprintf(detail, size, "metadata has no key of more than %d characters, and no value of more than %d", PROTO_MAX_METADATA_KEY,
                     PROTO_MAX_METADATA_VALUE);
            return false;
        }
        pairs[filter->metadata_count++] = pair;
    }
    return true;
}

/* The jobs as an array; NULL if out of memory. */
static json_t *make_list(const struct kend_request *request, const struct kend_job_list *list)
{
    json_t *data = json_array();
    for (size_t i = 0; data && i < list->count; i++) {
        if (json_array_append_new(data, kend_listed_job_document(request, list->item[i])) == 0) continue;
        json_decref(data);
        data = NULL;
    }
    return data;
}

enum MHD_Result kend_route_list(struct kend_request *request)
{
    struct kend_store *store = request->http->parts.store;
    struct kend_pair pairs[METADATA_FILTERS];
    struct kend_job_filter filter = {.owner = kend_request_sees(request)};
    struct kend_job_list list = {0};
    enum MHD_Result result;
    char detail[256];
    uint64_t limit;
    if (!kend_list_limit(request, &limit, &result) || !read_owner(request, &filter, &result)) return result;
    filter.limit = limit;
    if (!read_filter(request, &filter, pairs, detail, sizeof detail)) return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    enum kend_store_result listed = store->ops->list(store, &filter, &list);
    if (listed != KEND_STORE_OK) return kend_answer_store(request, listed);
    result =
        kend_answer_json(request, 200, proto_list_to_json(make_list(request, &list), list.has_more ? list.item[list.count - 1]->id : NULL));
    kend_job_list_clear(&list);
    return result;
}
