/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of a job's matrix: of the base, of the fine-tuned model, and as they were pruned. */
#include "http/inspect.h"
#include "inspect/values.h"
#include "json.h"

#include <math.h>
#include <stdlib.h>

struct values_request {
    struct kend_inspection inspection;
    uint64_t x, y, w, h;
    struct ken_values values;
};

static int look(struct kend_inspection *inspection, const struct ken_pair *pair, struct ken_error *error)
{
    struct values_request *asked = (struct values_request *)inspection;
    return ken_values_read(&asked->values, pair, asked->inspection.tensor, asked->x, asked->y, asked->w, asked->h, error);
}

static bool read_region(const struct kend_query *query, struct values_request *asked, char *detail, size_t size)
{
    asked->w = asked->h = 1;
    return kend_query_number(query, "x", 0, 0, &asked->x, detail, size) && kend_query_number(query, "y", 0, 0, &asked->y, detail, size) &&
           kend_query_number(query, "w", 1, KEN_VALUES_MOST, &asked->w, detail, size) &&
           kend_query_number(query, "h", 1, KEN_VALUES_MOST, &asked->h, detail, size);
}

/* ---- the answer */

/* JSON has no numbers for these. */
static json_t *number(double value)
{
    if (isnan(value)) return json_string("NaN");
    return isinf(value) ? json_string(value > 0 ? "Infinity" : "-Infinity") : json_real(value);
}

static json_t *rows_of_numbers(const struct ken_values *values, const double *numbers)
{
    json_t *rows = json_array();
    for (uint64_t y = 0; y < values->h; y++) {
        json_t *row = json_array();
        for (uint64_t x = 0; x < values->w; x++) row = proto_json_append(row, number(numbers[y * values->w + x]));
        rows = proto_json_append(rows, row);
    }
    return rows;
}

static json_t *rows_of_flags(const struct ken_values *values, const unsigned char *flags)
{
    json_t *rows = json_array();
    for (uint64_t y = 0; y < values->h; y++) {
        json_t *row = json_array();
        for (uint64_t x = 0; x < values->w; x++) row = proto_json_append(row, json_boolean(flags[y * values->w + x]));
        rows = proto_json_append(rows, row);
    }
    return rows;
}

static json_t *values_to_json(const struct values_request *asked)
{
    const struct ken_values *values = &asked->values;
    json_t *json = proto_json_set_text(json_object(), "object", "values");
    json = proto_json_set_text(json, "tensor", asked->inspection.tensor);
    json = proto_json_set(json, "variant", *asked->inspection.variant ? json_string(asked->inspection.variant) : json_null());
    json = proto_json_set_text(json, "dtype", ken_dtype_name(values->dtype));
    json = proto_json_set_text(json, "base_dtype", ken_dtype_name(values->base_dtype));
    json = proto_json_set_number(json, "x", values->x);
    json = proto_json_set_number(json, "y", values->y);
    json = proto_json_set_number(json, "w", values->w);
    json = proto_json_set_number(json, "h", values->h);
    json = proto_json_set(json, "base", rows_of_numbers(values, values->base));
    json = proto_json_set(json, "model", rows_of_numbers(values, values->model));
    json = proto_json_set(json, "pruned", rows_of_numbers(values, values->pruned));
    return proto_json_set(json, "kept", rows_of_flags(values, values->kept));
}

static enum MHD_Result answer(struct kend_inspection *inspection, struct kend_request *request)
{
    return kend_answer_json(request, 200, values_to_json((const struct values_request *)inspection));
}

static void clear(struct kend_inspection *inspection)
{
    ken_values_free(&((struct values_request *)inspection)->values);
}

/* Takes *job over, if all is well. */
static enum MHD_Result start(struct kend_request *request, struct kend_job **job)
{
    struct values_request *asked = calloc(1, sizeof *asked);
    char detail[256];
    enum MHD_Result result;
    if (!asked) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    asked->inspection = (struct kend_inspection){.look = look, .answer = answer, .clear = clear};
    if (!read_region(&request->query, asked, detail, sizeof detail))
        result = kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    else if (kend_inspection_read(&asked->inspection, request, *job, &result))
        return kend_inspect(request, job, &asked->inspection);
    kend_inspection_free(&asked->inspection);
    return result;
}

enum MHD_Result kend_route_values(struct kend_request *request)
{
    struct kend_job *job;
    enum MHD_Result result;
    if (request->state) return kend_inspect_again(request);
    if (!kend_find_job(request, &job, &result)) return result;
    result = start(request, &job);
    kend_job_free(&job);
    return result;
}
