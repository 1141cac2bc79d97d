/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a job's matrices, drawn while the request waits: some milliseconds, in memory that does not grow with the matrix. */
#include "heatmap/heatmap.h"
#include "http/job_answer.h"
#include "http/picture_files.h"
#include "http/variant.h"
#include "log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for */

static bool read_view(const struct kend_query *query, enum ken_view *view, char *detail, size_t size)
{
    const char *name = kend_query_get(query, "view");
    *view = name ? ken_view_parse(name) : KEN_VIEW_DENSITY;
    if (*view != KEN_VIEW_COUNT) return true;
    int used = snprintf(detail, size, "query parameter \"view\" must be one of");
    for (unsigned i = 0; i < KEN_VIEW_COUNT && used > 0 && (size_t)used < size; i++)
        used += snprintf(detail + used, size - (size_t)used, "%s %s", i ? "," : "", ken_view_name((enum ken_view)i));
    return false;
}

static bool read_end(const struct kend_query *query, double *end, char *detail, size_t size)
{
    const char *text = kend_query_get(query, "max");
    char *rest;
    if (!text) return true;
    *end = strspn(text, "0123456789.eE+-") == strlen(text) ? strtod(text, &rest) : NAN;
    if (isfinite(*end) && *end > 0 && !*rest) return true;
    snprintf(detail, size, "query parameter \"max\" must be a number above 0");
    return false;
}

/* False with a reason. Whether the region lies in the matrix is known when that is. */
static bool read_query(const struct kend_query *query, struct ken_heatmap *heatmap, char *detail, size_t size)
{
    uint64_t width = 0;
    heatmap->tensor = kend_query_get(query, "tensor");
    if (!heatmap->tensor) {
        snprintf(detail, size, "query parameter \"tensor\" is needed");
        return false;
    }
    bool good =
        read_view(query, &heatmap->view, detail, size) && read_end(query, &heatmap->end, detail, size) &&
        kend_query_number(query, "x", 0, 0, &heatmap->x, detail, size) && kend_query_number(query, "y", 0, 0, &heatmap->y, detail, size) &&
        kend_query_number(query, "w", 1, 0, &heatmap->w, detail, size) && kend_query_number(query, "h", 1, 0, &heatmap->h, detail, size) &&
        kend_query_number(query, "width", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, &width, detail, size);
    heatmap->width = (unsigned)width;
    return good;
}

/* ---- drawing */

static enum MHD_Result answer_picture(struct kend_request *request, const struct ken_picture *picture, const char *etag)
{
    char end[32];
    struct MHD_Response *response = kend_response_text(request, (const char *)picture->png, picture->length, "image/png");
    snprintf(end, sizeof end, "%.9g", picture->end);
    kend_response_header(&response, "X-Heatmap-Max", end);
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    return kend_send_cacheable(request, 200, response);
}

static enum MHD_Result answer_failure(struct kend_request *request, const struct ken_error *error, bool opened)
{
    if (error->code == KEN_ENOT_FOUND && !opened)
        return kend_answer_problem(request, PROTO_NO_DELTA, "of this job there is no delta with what pictures are made of");
    if (error->code == KEN_ENOT_FOUND) return kend_answer_problem(request, PROTO_NOT_FOUND, "%s", error->message);
    if (error->code == KEN_EINVALID) return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter %s", error->message);
    kend_log(KEND_LOG_ERROR, "a picture cannot be drawn", KEND_LOG_REQUEST(request), KEND_S("job", request->match.id),
             KEND_S("error", error->message));
    return kend_answer_problem(request, PROTO_INTERNAL, "the picture cannot be drawn");
}

static enum MHD_Result draw(struct kend_request *request, const struct ken_heatmap *heatmap, const char *variant, const char *etag)
{
    struct kend_picture_files files;
    struct ken_picture picture = {0};
    struct ken_error error = {0};
    int code = kend_picture_files_open(&files, request->http->parts.artifacts, request->match.id, variant, &error);
    const bool opened = !code;
    if (opened) code = ken_heatmap_draw(&picture, heatmap, files.cells, files.cells_bytes, files.delta, files.delta_bytes, &error);
    kend_picture_files_close(&files);
    enum MHD_Result result = code ? answer_failure(request, &error, opened) : answer_picture(request, &picture, etag);
    free(picture.png);
    return result;
}

static enum MHD_Result answer(struct kend_request *request, const struct kend_job *job)
{
    struct ken_heatmap heatmap = {0};
    char detail[256], variant[KEN_MAX_VARIANT_NAME + 1], etag[KEND_PICTURE_ETAG_SIZE];
    enum MHD_Result result;
    if (!read_query(&request->query, &heatmap, detail, sizeof detail)) return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    if (!kend_variant_with_delta(variant, request, job, "variant", kend_query_get(&request->query, "variant"), &result)) return result;
    if (!kend_picture_etag(etag, request)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag)) return kend_answer_empty(request, 304, etag);
    return draw(request, &heatmap, variant, etag);
}

enum MHD_Result kend_route_heatmap(struct kend_request *request)
{
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_find_job(request, &job, &result)) return result;
    result = answer(request, job);
    kend_job_free(&job);
    return result;
}
