/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a list: what of it is asked for, and the frame around its items. */
#ifndef KEND_HTTP_LIST_H
#define KEND_HTTP_LIST_H

#include "http/respond.h"
#include "json_writer.h"

/* What is asked for of a list whose cursors are positions. */
struct kend_list_query {
    uint64_t limit, after;
};

/* `limit` of a list. False: it was answered. */
bool kend_list_limit(struct kend_request *request, uint64_t *limit, enum MHD_Result *result);
/* `after`; 0 where there is none. False: it was answered. */
bool kend_list_after(struct kend_request *request, uint64_t *after, enum MHD_Result *result);
/* Both. */
bool kend_list_query_read(struct kend_list_query *query, struct kend_request *request, enum MHD_Result *result);

/* Items [first, end) of `count`. */
struct kend_list_page {
    size_t first, end, count;
};

struct kend_list_page kend_list_page_of(const struct kend_list_query *query, size_t count);
/* Begins the object of the list and the array of its items; ends the array. The object's end is the caller's, who may have more to tell. */
void kend_list_page_begin(struct ken_json_writer *json);
void kend_list_page_end(struct ken_json_writer *json, const struct kend_list_page *page);

#endif
