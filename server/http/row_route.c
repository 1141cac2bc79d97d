/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a job's matrix: as numbers, and as a picture. */
#include "heatmap/heatmap.h"
#include "http/inspect.h"
#include "http/picture_files.h"
#include "inspect/row_picture.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct row_request {
    struct kend_inspection inspection;
    uint64_t row, width;
    bool drawn; /* a picture, else numbers */
    struct ken_row_view view;
    uint64_t selected;
    struct ken_picture picture;
    char etag[KEND_PICTURE_ETAG_SIZE]; /* of the picture */
};

static int look(struct kend_inspection *inspection, const struct ken_pair *pair, struct ken_error *error)
{
    struct row_request *asked = (struct row_request *)inspection;
    int code = ken_row_view_read(&asked->view, pair, asked->inspection.tensor, asked->row, error);
    if (code) return code;
    if (asked->drawn) return ken_row_draw(&asked->picture, &asked->view, (unsigned)asked->width, error);
    return ken_row_select(pair, asked->inspection.tensor, asked->row, &asked->selected, error);
}

static void clear(struct kend_inspection *inspection)
{
    struct row_request *asked = (struct row_request *)inspection;
    ken_row_view_free(&asked->view);
    free(asked->picture.png);
}

/* Reads which row is asked for; `parameter` names it. False: it was answered. */
static bool read_row(struct row_request *asked, struct kend_request *request, const char *parameter, enum MHD_Result *result)
{
    char detail[256];
    if (!kend_query_get(&request->query, parameter)) {
        *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"%s\" is needed", parameter);
        return false;
    }
    if (kend_query_number(&request->query, parameter, 0, 0, &asked->row, detail, sizeof detail) &&
        kend_query_number(&request->query, "width", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, &asked->width, detail, sizeof detail))
        return true;
    *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    return false;
}

static struct row_request *make(enum MHD_Result (*answer)(struct kend_inspection *, struct kend_request *))
{
    struct row_request *asked = calloc(1, sizeof *asked);
    if (asked) asked->inspection = (struct kend_inspection){.row = true, .look = look, .answer = answer, .clear = clear};
    return asked;
}

/* ---- numbers */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *numbers(const double *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) list = proto_json_append(list, number(values[i]));
    return list;
}

static json_t *counts(const uint64_t *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) list = proto_json_append(list, json_integer((json_int_t)values[i]));
    return list;
}

static json_t *histogram(const struct ken_row_view *view)
{
    json_t *json = proto_json_set(json_object(), "edges", numbers(view->curve.edges, KEN_CURVE_BINS + 1));
    json = proto_json_set(json, "all", counts(view->curve.all, KEN_CURVE_BINS));
    return proto_json_set(json, "kept", counts(view->stored, KEN_CURVE_BINS));
}

static json_t *density(const struct ken_row_view *view)
{
    json_t *json = proto_json_set(json_object(), "at", numbers(view->curve.at, KEN_CURVE_POINTS));
    return proto_json_set(json, "value", numbers(view->curve.density, KEN_CURVE_POINTS));
}

static json_t *row_to_json(const struct row_request *asked)
{
    const struct ken_row_view *view = &asked->view;
    const struct ken_curve *curve = &view->curve;
    json_t *json = proto_json_set_text(json_object(), "object", "row");
    json = proto_json_set_text(json, "tensor", asked->inspection.tensor);
    json = proto_json_set(json, "variant", *asked->inspection.variant ? json_string(asked->inspection.variant) : json_null());
    json = proto_json_set_number(json, "row", view->row);
    json = proto_json_set_number(json, "n", view->n);
    json = proto_json_set_number(json, "k", view->k);
    json = proto_json_set_number(json, "selected", asked->selected);
    json = proto_json_set_number(json, "kept", view->kept);
    json = proto_json_set_number(json, "non_finite", view->non_finite);
    json = proto_json_set(json, "minimum", number(curve->minimum));
    json = proto_json_set(json, "maximum", number(curve->maximum));
    json = proto_json_set(json, "mean", number(curve->mean));
    json = proto_json_set(json, "standard_deviation", number(curve->deviation));
    json = proto_json_set(json, "bandwidth", number(curve->bandwidth));
    json = proto_json_set(json, "histogram", histogram(view));
    return proto_json_set(json, "density", density(view));
}

static enum MHD_Result answer_row(struct kend_inspection *inspection, struct kend_request *request)
{
    return kend_answer_json(request, 200, row_to_json((const struct row_request *)inspection));
}

/* Takes *job over, if all is well. */
static enum MHD_Result start_row(struct kend_request *request, struct kend_job **job)
{
    struct row_request *asked = make(answer_row);
    enum MHD_Result result;
    if (!asked) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_inspection_read(&asked->inspection, request, *job, &result) && read_row(asked, request, "row", &result))
        return kend_inspect(request, job, &asked->inspection);
    kend_inspection_free(&asked->inspection);
    return result;
}

enum MHD_Result kend_route_row(struct kend_request *request)
{
    struct kend_job *job;
    enum MHD_Result result;
    if (request->state) return kend_inspect_again(request);
    if (!kend_find_job(request, &job, &result)) return result;
    result = start_row(request, &job);
    kend_job_free(&job);
    return result;
}

/* ---- the picture */

static enum MHD_Result send_picture(struct kend_inspection *inspection, struct kend_request *request)
{
    struct row_request *asked = (struct row_request *)inspection;
    struct ken_picture *picture = &asked->picture;
    char end[32];
    struct MHD_Response *response = kend_response_take(request, (char *)picture->png, picture->length, "image/png");
    picture->png = NULL;
    snprintf(end, sizeof end, "%.9g", picture->end);
    kend_response_header(&response, "X-Heatmap-Max", end);
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, asked->etag);
    return kend_send_cacheable(request, 200, response);
}

/* Whether there is something to be drawn; else it was answered. */
static bool read_picture(struct row_request *asked, struct kend_request *request, const struct kend_job *job, enum MHD_Result *result)
{
    if (!kend_inspection_read(&asked->inspection, request, job, result)) return false;
    if (!kend_picture_etag(asked->etag, request))
        *result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    else if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], asked->etag))
        *result = kend_answer_empty(request, 304, asked->etag);
    else
        return read_row(asked, request, "y", result);
    return false;
}

enum MHD_Result kend_answer_row_picture(struct kend_request *request, struct kend_job **job)
{
    struct row_request *asked = make(send_picture);
    enum MHD_Result result;
    if (!asked) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    asked->drawn = true;
    if (read_picture(asked, request, *job, &result)) return kend_inspect(request, job, &asked->inspection);
    kend_inspection_free(&asked->inspection);
    return result;
}
