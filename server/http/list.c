/* SPDX-License-Identifier: Apache-2.0 */
#include "http/list.h"

#include "http/cursor.h"

enum { LIST_DEFAULT = 50, LIST_MOST = 200 };

bool kend_list_limit(struct kend_request *request, uint64_t *limit, enum MHD_Result *result)
{
    char detail[256];
    *limit = LIST_DEFAULT;
    if (kend_query_number(&request->query, "limit", 1, LIST_MOST, limit, detail, sizeof detail)) return true;
    *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    return false;
}

bool kend_list_after(struct kend_request *request, uint64_t *after, enum MHD_Result *result)
{
    const char *cursor = kend_query_get(&request->query, "after");
    *after = 0;
    if (!cursor || kend_cursor_parse(cursor, after)) return true;
    *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"after\" is not a cursor of this list");
    return false;
}

bool kend_list_query_read(struct kend_list_query *query, struct kend_request *request, enum MHD_Result *result)
{
    return kend_list_limit(request, &query->limit, result) && kend_list_after(request, &query->after, result);
}

struct kend_list_page kend_list_page_of(const struct kend_list_query *query, size_t count)
{
    const size_t first = query->after < count ? (size_t)query->after : count;
    return (struct kend_list_page){first, count - first < query->limit ? count : first + (size_t)query->limit, count};
}

void kend_list_page_begin(struct ken_json_writer *json)
{
    ken_json_begin_object(json);
    ken_json_key(json, "object");
    ken_json_string(json, "list");
    ken_json_key(json, "data");
    ken_json_begin_array(json);
}

void kend_list_page_end(struct ken_json_writer *json, const struct kend_list_page *page)
{
    char next[KEND_CURSOR_SIZE];
    const bool more = page->end < page->count;
    kend_cursor_format(next, page->end);
    ken_json_end_array(json);
    ken_json_key(json, "has_more");
    ken_json_bool(json, more);
    ken_json_key(json, "next");
    if (more)
        ken_json_string(json, next);
    else
        ken_json_null(json);
}
