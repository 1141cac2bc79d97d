/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cursor.h"
#include "http/failure.h"
#include "http/job_answer.h"
#include "http/list.h"
#include "http/rows.h"
#include "http/variant.h"
#include "job.h"
#include "json_load.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A page ends after so many rows looked at, so that a filter that matches nothing does not hold an HTTP thread for long. */
enum { ROWS_LOOKED_AT = 5000, FILE_NAME_SIZE = KEN_MAX_VARIANT_NAME + 32 };

struct tensors_page {
    const char *glob; /* or NULL */
    uint64_t offset, limit;
    uint64_t next; /* where the next page begins; 0: there is none */
    unsigned looked_at;
    json_t *data;
};

/* Adds a row if it is wanted. False: out of memory, or the row is no JSON object with a name. */
static bool page_add(struct tensors_page *page, const char *line, size_t length)
{
    json_t *row = proto_json_load(line, length, 0, NULL);
    const char *name = json_string_value(json_object_get(row, "name"));
    bool good = name != NULL;
    page->looked_at++;
    if (good && (!page->glob || ken_glob_match(page->glob, name))) good = json_array_append(page->data, row) == 0;
    json_decref(row);
    return good;
}

static int page_read(struct tensors_page *page, struct kend_rows *rows, struct ken_error *error)
{
    while (json_array_size(page->data) < page->limit && page->looked_at < ROWS_LOOKED_AT && !kend_rows_ended(rows)) {
        const char *line;
        size_t length;
        int rc = kend_rows_next(rows, &line, &length, error);
        if (rc) return rc;
        if (!page_add(page, line, length)) return ken_fail(error, KEN_EINTERNAL, "a row is not what was written");
    }
    page->next = kend_rows_ended(rows) ? 0 : kend_rows_offset(rows);
    return KEN_OK;
}

static enum MHD_Result answer_page(struct kend_request *request, struct tensors_page *page, const char *file)
{
    static const struct kend_failure failure = {.log = "rows cannot be read", .told = "the rows cannot be read"};
    struct ken_error error = {0};
    struct kend_rows *rows;
    char next[KEND_CURSOR_SIZE];
    int rc = kend_rows_open(&rows, request->http->parts.artifacts, request->match.id, file, page->offset, &error);
    if (rc == KEN_OK) {
        rc = page_read(page, rows, &error);
        kend_rows_close(&rows);
    }
    if (rc == KEN_EINVALID)
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"after\" is not a cursor of this list");
    if (rc) return kend_answer_failure(request, &error, &failure);
    kend_cursor_format(next, page->next);
    return kend_answer_json(request, 200, proto_list_to_json(json_incref(page->data), page->next ? next : NULL));
}

/* Whether there are rows at all: only pruning makes a report. */
static bool has_rows(const struct kend_job *job, const json_t *spec)
{
    const char *kind = json_string_value(json_object_get(spec, "kind"));
    const bool prunes = !kind || strcmp(kind, proto_kind_name(PROTO_KIND_PRUNE)) == 0;
    return job->status == PROTO_SUCCEEDED && prunes;
}

static enum MHD_Result answer_rows(struct kend_request *request, struct tensors_page *page, const char *file)
{
    page->data = json_array();
    if (!page->data) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    enum MHD_Result result = answer_page(request, page, file);
    json_decref(page->data);
    return result;
}

static enum MHD_Result answer_job(struct kend_request *request, struct tensors_page *page, const struct kend_job *job, const json_t *spec)
{
    char detail[256], variant[KEN_MAX_VARIANT_NAME + 1], file[FILE_NAME_SIZE];
    const char *wanted = kend_query_get(&request->query, "variant");
    if (!kend_variant_find(variant, spec, "variant", wanted, detail, sizeof detail))
        return kend_answer_problem(request, wanted ? PROTO_NOT_FOUND : PROTO_BAD_REQUEST, "%s", detail);
    snprintf(file, sizeof file, ".kend/%s.jsonl", *variant ? variant : "tensors");
    if (has_rows(job, spec)) return answer_rows(request, page, file);
    if (proto_status_is_terminal(job->status)) return kend_answer_json(request, 200, proto_list_to_json(json_array(), NULL));
    return kend_answer_problem(request, PROTO_JOB_ACTIVE, "the rows are there when the job has succeeded");
}

/* Parameters are looked at whether or not the job has rows: what is wrong for one job is wrong for all. */
enum MHD_Result kend_route_tensors(struct kend_request *request)
{
    struct tensors_page page = {.glob = kend_query_get(&request->query, "name")};
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_list_limit(request, &page.limit, &result)) return result;
    if (page.glob && (!*page.glob || strlen(page.glob) > KEN_MAX_GLOB))
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"name\" must have 1 to %d bytes", KEN_MAX_GLOB);
    if (!kend_list_after(request, &page.offset, &result)) return result;
    if (!kend_find_job(request, &job, &result)) return result;
    json_t *spec = proto_json_load_text(job->spec);
    result = spec ? answer_job(request, &page, job, spec) : kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    json_decref(spec);
    kend_job_free(&job);
    return result;
}
