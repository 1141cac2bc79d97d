/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cursor.h"
#include "http/job_answer.h"

#include <string.h>
#include <strings.h>

/*
 * Whether the Accept header can be answered with JSON: absent, or naming application/json, or a wildcard. A stream of events alone cannot.
 */
static bool accepts_json(const char *accept)
{
    static const char *const types[] = {"application/json", "application/*", "*/*"};
    if (!accept) return true;
    while (*accept) {
        accept += strspn(accept, ", \t");
        size_t length = strcspn(accept, ",; \t");
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (length == strlen(types[i]) && strncasecmp(accept, types[i], length) == 0) return true;
        accept += strcspn(accept, ",");
    }
    return false;
}

static json_t *events_document(const struct kend_event_list *list)
{
    char next[KEND_CURSOR_SIZE];
    json_t *data = json_array();
    for (size_t i = 0; data && i < list->count; i++) {
        const struct kend_event *event = &list->item[i];
        const struct proto_event_view view = {event->sequence, event->time, event->type, event->data};
        if (json_array_append_new(data, proto_event_view_to_json(&view)) == 0) continue;
        json_decref(data);
        return NULL;
    }
    if (list->has_more) kend_cursor_format(next, (uint64_t)list->item[list->count - 1].sequence);
    return proto_list_to_json(data, list->has_more ? next : NULL);
}

enum MHD_Result kend_route_events(struct kend_request *request)
{
    struct kend_store *store = request->http->parts.store;
    const char *cursor = kend_query_get(&request->query, "after");
    struct kend_event_list list = {0};
    struct kend_job *job;
    enum MHD_Result result;
    uint64_t limit;
    uint64_t after = 0;
    if (!accepts_json(request->headers.value[KEND_ACCEPT]))
        return kend_answer_problem(request, PROTO_NOT_SUPPORTED, "events are answered as a list: send Accept: application/json");
    if (!kend_list_limit(request, &limit, &result)) return result;
    if (cursor && !kend_cursor_parse(cursor, &after))
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"after\" is not a cursor of this list");
    if (!kend_find_job(request, &job, &result)) return result;
    enum kend_store_result listed = store->ops->events(store, job->id, (int64_t)after, limit, &list);
    kend_job_free(&job);
    if (listed != KEND_STORE_OK) return kend_answer_store(request, listed);
    result = kend_answer_json(request, 200, events_document(&list));
    kend_event_list_clear(&list);
    return result;
}
