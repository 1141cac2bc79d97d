/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a job's matrices, drawn while the request waits: some milliseconds, in memory that does not grow with the matrix. */
#include "delta/delta.h"
#include "digest.h"
#include "heatmap/heatmap.h"
#include "http/job_answer.h"
#include "http/memory.h"
#include "http/variant.h"
#include "json_load.h"
#include "log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ETAG_BYTES = 16, ETAG_SIZE = 2 * ETAG_BYTES + 3, FILE_NAME_SIZE = KEN_MAX_VARIANT_NAME + 32 };

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

/* The tag of a picture that never changes while its job is there: of the job and all that was asked for. */
static bool make_etag(char etag[ETAG_SIZE], const struct kend_request *request)
{
    struct ken_digest digest;
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[2 * ETAG_BYTES + 1];
    if (ken_digest_init(&digest, NULL)) return false;
    ken_digest_update(&digest, PACKAGE_VERSION, sizeof PACKAGE_VERSION);
    ken_digest_update(&digest, request->match.id, strlen(request->match.id) + 1);
    for (size_t i = 0; i < request->query.count; i++) {
        ken_digest_update(&digest, request->query.parameter[i].name, strlen(request->query.parameter[i].name) + 1);
        ken_digest_update(&digest, request->query.parameter[i].value, strlen(request->query.parameter[i].value) + 1);
    }
    int code = ken_digest_final(&digest, sha256, NULL);
    ken_digest_free(&digest);
    snprintf(etag, ETAG_SIZE, "\"%s\"", code ? "" : ken_hex_encode(hex, sha256, ETAG_BYTES));
    return !code;
}

/* ---- drawing */

/* Files that pictures are made from; -1: none. */
struct files {
    int cells, delta;
    uint64_t cells_bytes, delta_bytes;
};

static int open_files(struct kend_request *request, const char *variant, struct files *files, struct ken_error *error)
{
    struct kend_artifacts *artifacts = request->http->parts.artifacts;
    char cells[FILE_NAME_SIZE], delta[FILE_NAME_SIZE];
    snprintf(cells, sizeof cells, ".kend/%s.cells", *variant ? variant : "tensors");
    snprintf(delta, sizeof delta, "%s%s" KEN_DELTA_FILE_NAME, variant, *variant ? "/" : "");
    *files = (struct files){-1, -1, 0, 0};
    int code = artifacts->ops->open(artifacts, request->match.id, delta, &files->delta, &files->delta_bytes, error);
    return code ? code : artifacts->ops->open(artifacts, request->match.id, cells, &files->cells, &files->cells_bytes, error);
}

static void close_files(const struct files *files)
{
    if (files->cells >= 0) close(files->cells);
    if (files->delta >= 0) close(files->delta);
}

/* Takes the picture over. */
static enum MHD_Result answer_picture(struct kend_request *request, const struct ken_picture *picture, const char *etag)
{
    char end[32];
    struct MHD_Response *response = kend_response_take(request, (char *)picture->png, picture->length, "image/png");
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
    struct files files;
    struct ken_picture picture = {0};
    struct ken_error error = {0};
    if (!kend_request_hold_document(request, ken_heatmap_most_bytes(heatmap)))
        return kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", KEND_CROWDED);
    int code = open_files(request, variant, &files, &error);
    const bool opened = !code;
    if (opened) code = ken_heatmap_draw(&picture, heatmap, files.cells, files.cells_bytes, files.delta, files.delta_bytes, &error);
    close_files(&files);
    kend_request_let_go_document(request);
    return code ? answer_failure(request, &error, opened) : answer_picture(request, &picture, etag);
}

static enum MHD_Result answer(struct kend_request *request, const struct kend_job *job, const json_t *spec)
{
    struct ken_heatmap heatmap = {0};
    char detail[256], variant[KEN_MAX_VARIANT_NAME + 1], etag[ETAG_SIZE];
    const char *wanted = kend_query_get(&request->query, "variant");
    if (!read_query(&request->query, &heatmap, detail, sizeof detail)) return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    if (!proto_status_is_terminal(job->status))
        return kend_answer_problem(request, PROTO_JOB_ACTIVE, "pictures can be drawn when the job has succeeded");
    if (job->status != PROTO_SUCCEEDED) return kend_answer_problem(request, PROTO_NO_DELTA, "the job has not succeeded");
    if (!kend_variant_find(variant, spec, wanted, detail, sizeof detail))
        return kend_answer_problem(request, wanted ? PROTO_NOT_FOUND : PROTO_BAD_REQUEST, "%s", detail);
    if (!make_etag(etag, request)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag)) return kend_answer_empty(request, 304, etag);
    return draw(request, &heatmap, variant, etag);
}

enum MHD_Result kend_route_heatmap(struct kend_request *request)
{
    struct kend_job *job;
    enum MHD_Result result;
    if (!kend_find_job(request, &job, &result)) return result;
    json_t *spec = proto_json_load_text(job->spec);
    result = spec ? answer(request, job, spec) : kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    json_decref(spec);
    kend_job_free(&job);
    return result;
}
