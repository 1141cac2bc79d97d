/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a job's matrix: as numbers, and as a picture. */
#include "heatmap/heatmap.h"
#include "http/inspect.h"
#include "http/memory.h"
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
};

static int look(void *opaque, const struct ken_pair *pair, struct ken_error *error)
{
    struct row_request *asked = opaque;
    int code = ken_row_view_read(&asked->view, pair, asked->inspection.tensor, asked->row, error);
    if (code) return code;
    if (asked->drawn) return ken_row_draw(&asked->picture, &asked->view, (unsigned)asked->width, error);
    return ken_row_select(pair, asked->inspection.tensor, asked->row, &asked->selected, error);
}

/* Reads what is asked for, and looks. `parameter`: what names the row. False: it was answered. */
static bool inspect(struct kend_request *request, const struct kend_job *job, struct row_request *asked, const char *parameter,
                    enum MHD_Result *result)
{
    char detail[256];
    if (!kend_query_get(&request->query, parameter)) {
        *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter \"%s\" is needed", parameter);
        return false;
    }
    if (!kend_query_number(&request->query, parameter, 0, 0, &asked->row, detail, sizeof detail) ||
        !kend_query_number(&request->query, "width", KEN_PICTURE_LEAST, KEN_PICTURE_MOST, &asked->width, detail, sizeof detail)) {
        *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
        return false;
    }
    asked->inspection.row = true;
    asked->inspection.look = look;
    asked->inspection.opaque = asked;
    return kend_inspect(request, job, &asked->inspection, result);
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

static enum MHD_Result answer_row(struct kend_request *request, const struct kend_job *job)
{
    struct row_request asked = {0};
    enum MHD_Result result;
    if (kend_inspection_read(&asked.inspection, request, job, &result) && inspect(request, job, &asked, "row", &result))
        result = kend_answer_json(request, 200, row_to_json(&asked));
    ken_row_view_free(&asked.view);
    kend_request_let_go_document(request);
    return result;
}

enum MHD_Result kend_route_row(struct kend_request *request)
{
    return kend_answer_with_job(request, answer_row);
}

/* ---- the picture */

/* Takes the picture over. */
static enum MHD_Result send_picture(struct kend_request *request, struct ken_picture *picture, const char *etag)
{
    char end[32];
    struct MHD_Response *response = kend_response_take(request, (char *)picture->png, picture->length, "image/png");
    picture->png = NULL;
    snprintf(end, sizeof end, "%.9g", picture->end);
    kend_response_header(&response, "X-Heatmap-Max", end);
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    return kend_send_cacheable(request, 200, response);
}

enum MHD_Result kend_answer_row_picture(struct kend_request *request, const struct kend_job *job)
{
    struct row_request asked = {.drawn = true};
    char etag[KEND_PICTURE_ETAG_SIZE];
    enum MHD_Result result;
    if (!kend_inspection_read(&asked.inspection, request, job, &result)) return result;
    if (!kend_picture_etag(etag, request)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag)) return kend_answer_empty(request, 304, etag);
    if (inspect(request, job, &asked, "y", &result)) result = send_picture(request, &asked.picture, etag);
    ken_row_view_free(&asked.view);
    kend_request_let_go_document(request);
    free(asked.picture.png);
    return result;
}
