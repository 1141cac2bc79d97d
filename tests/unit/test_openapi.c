/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/agreement_picture.h"
#include "inspect/row_picture.h"
#include "job.h"
#include "lifecycle.h"
#include "openapi.h"
#include "options.h"
#include "problem.h"
#include "token.h"
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *load(void)
{
    json_error_t error;
    json_t *contract = json_loadb(proto_openapi_json, proto_openapi_length, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(contract, "line %d: %s", error.line, error.text);
    return contract;
}

static json_t *schema(json_t *contract, const char *name)
{
    json_t *found = json_object_get(json_object_get(json_object_get(contract, "components"), "schemas"), name);
    ck_assert_msg(found, "no schema %s", name);
    return found;
}

static json_t *property(json_t *contract, const char *name, const char *field)
{
    json_t *found = json_object_get(json_object_get(schema(contract, name), "properties"), field);
    ck_assert_msg(found, "no property %s of %s", field, name);
    return found;
}

/* The enumeration holds exactly the words, in the code's order. */
static void expect_words(const json_t *holder, const char *const *words, size_t count)
{
    const json_t *listed = json_object_get(holder, "enum");
    ck_assert_uint_eq(json_array_size(listed), count);
    for (size_t i = 0; i < count; i++) ck_assert_str_eq(json_string_value(json_array_get(listed, i)), words[i]);
}
#define EXPECT(holder, ...)                                          \
    do {                                                             \
        static const char *const words[] = {__VA_ARGS__};            \
        expect_words((holder), words, sizeof words / sizeof *words); \
    } while (0)

START_TEST(every_code_is_listed)
{
    json_t *contract = load();
#define X(symbol, code, status, title) code,
    EXPECT(schema(contract, "ProblemCode"), PROTO_PROBLEM_MAP(X));
#undef X
#define X(symbol, code, text) code,
    EXPECT(schema(contract, "JobErrorCode"), PROTO_JOB_ERROR_MAP(X));
#undef X
#define X(symbol, name, terminal) name,
    EXPECT(schema(contract, "Status"), PROTO_STATUS_MAP(X));
#undef X
    const json_t *drawing = json_object_get(json_object_get(contract, "paths"), "/v1/jobs/{id}/heatmap.png");
    const json_t *parameters = json_object_get(json_object_get(drawing, "get"), "parameters");
#define X(symbol, name, colours, scale, end, elements, meaning) name,
    EXPECT(json_object_get(json_array_get(parameters, 2), "schema"), KEN_VIEW_MAP(X) KEN_AGREEMENT_VIEW, KEN_ROW_VIEW);
#undef X
    const char *stages[PROTO_STAGE_COUNT - 1];
    for (unsigned i = 1; i < PROTO_STAGE_COUNT; i++) stages[i - 1] = proto_stage_name((enum proto_stage)i);
    expect_words(schema(contract, "Stage"), stages, PROTO_STAGE_COUNT - 1);
#define X(symbol, bit, name, stands_for, meaning) name,
    EXPECT(json_object_get(property(contract, "Session", "scopes"), "items"), PROTO_SCOPE_MAP(X));
#undef X
    json_decref(contract);
}
END_TEST

START_TEST(every_word_of_the_document_is_listed)
{
    json_t *contract = load();
    static const char *const places[] = {"JobDocument", "JobFields"};
    for (size_t i = 0; i < 2; i++) {
        const char *place = places[i];
#define X(symbol, name) name,
        EXPECT(property(contract, place, "kind"), PROTO_KIND_MAP(X));
        EXPECT(property(contract, place, "method"), KEN_METHOD_MAP(X));
        EXPECT(property(contract, place, "rescale"), KEN_RESCALE_MAP(X));
        EXPECT(property(contract, place, "duplicates"), KEN_DUPLICATES_MAP(X));
        EXPECT(property(contract, place, "non_finite"), KEN_NON_FINITE_MAP(X));
        EXPECT(property(contract, place, "unmatched"), KEN_UNMATCHED_MAP(X));
        EXPECT(property(contract, place, "delta_encoding"), KEN_ENCODING_MAP(X));
        EXPECT(property(contract, "Rule", "action"), KEN_ACTION_MAP(X));
#undef X
#define X(symbol, name, bit) name,
        EXPECT(json_object_get(property(contract, place, "outputs"), "items"), KEN_OUTPUT_MAP(X));
#undef X
    }
    json_decref(contract);
}
END_TEST

/* A status is listed in a call's responses, by itself or as $ref. */
static void expect_status(const json_t *operation, const char *name, const char *status)
{
    ck_assert_msg(json_object_get(json_object_get(operation, "responses"), status), "%s does not list %s", name, status);
}

START_TEST(every_call_is_there_with_its_statuses)
{
    static const struct {
        const char *path, *method, *statuses;
    } calls[] = {
        {"/v1/jobs", "post", "200 202 400 403 408 413 414 415 422 429 431 500 503"},
        {"/v1/jobs", "get", "200 400 403 414 429 431 500 503"},
        {"/v1/jobs/{id}", "get", "200 304 400 403 404 500 503"},
        {"/v1/jobs/{id}", "delete", "204 404 409 500 503"},
        {"/v1/jobs/{id}/cancel", "post", "202 404 409 500 503"},
        {"/v1/jobs/{id}/events", "get", "200 204 404 406 429"},
        {"/v1/events", "get", "200 400 406 429"},
        {"/v1/jobs/{id}/artifacts", "get", "200 404"},
        {"/v1/jobs/{id}/artifacts/{name}", "get", "200 206 304 404 416"},
        {"/v1/jobs/{id}/artifacts/{name}", "head", "200 206 304 404 416"},
        {"/v1/jobs/{id}/tensors", "get", "200 404 409"},
        {"/v1/jobs/{id}/heatmap.png", "get", "200 304 400 404 409"},
        {"/v1/jobs/{id}/row", "get", "200 400 404 409"},
        {"/v1/jobs/{id}/values", "get", "200 400 404 409"},
        {"/v1/jobs/{id}/layers.png", "get", "200 304 400 404 409 429"},
        {"/v1/jobs/{id}/layers", "get", "200 400 404 409 429"},
        {"/v1/jobs/{id}/compare", "get", "200 400 404 409 429"},
        {"/v1/session", "post", "200 400 401 422"},
        {"/v1/session", "get", "200 401"},
        {"/v1/session", "delete", "204 401 403"},
        {"/livez", "get", "200 401"},
        {"/readyz", "get", "200 401 503"},
        {"/metrics", "get", "200 401"},
        {"/version", "get", "200 401"},
        {"/openapi.json", "get", "200 401"},
    };
    json_t *contract = load();
    ck_assert_str_eq(json_string_value(json_object_get(contract, "openapi")), "3.1.0");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const json_t *path = json_object_get(json_object_get(contract, "paths"), calls[i].path);
        const json_t *operation = json_object_get(path, calls[i].method);
        ck_assert_msg(operation, "%s %s", calls[i].method, calls[i].path);
        char statuses[128], *rest = statuses, *status;
        strcpy(statuses, calls[i].statuses);
        while ((status = strsep(&rest, " "))) expect_status(operation, calls[i].path, status);
    }
    json_decref(contract);
}
END_TEST

/* Every $ref leads somewhere; every object with properties is closed. */
static void walk(json_t *contract, json_t *node, const char *name)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_array(node)) json_array_foreach(node, index, value) walk(contract, value, name);
    if (!json_is_object(node)) return;
    const char *reference = json_string_value(json_object_get(node, "$ref"));
    if (reference) {
        char path[256], *rest = path, *part;
        json_t *at = contract;
        ck_assert_int_eq(strncmp(reference, "#/", 2), 0);
        snprintf(path, sizeof path, "%s", reference + 2);
        while ((part = strsep(&rest, "/"))) at = json_object_get(at, part);
        ck_assert_msg(at, "%s", reference);
    }
    const char *type = json_string_value(json_object_get(node, "type"));
    if (type && strcmp(type, "object") == 0 && json_object_get(node, "properties"))
        ck_assert_msg(json_is_false(json_object_get(node, "additionalProperties")), "an object below %s is open", name);
    json_object_foreach(node, key, value) walk(contract, value, key);
}

START_TEST(references_lead_somewhere_and_objects_are_closed)
{
    json_t *contract = load();
    walk(contract, contract, "the contract");
    json_decref(contract);
}
END_TEST

START_TEST(the_examples_are_accepted)
{
    json_t *contract = load();
    const struct proto_policy policy = {.schemes = "https"};
    json_t *examples = json_object_get(schema(contract, "JobDocument"), "examples"), *example;
    size_t index;
    ck_assert_uint_ge(json_array_size(examples), 2);
    json_array_foreach(examples, index, example)
    {
        struct proto_faults faults = {.count = 0};
        struct proto_job *job;
        proto_job_parse(&job, example, &policy, &faults);
        ck_assert_msg(job, "%s: %s", faults.fault[0].pointer, faults.fault[0].detail);
        /* What kend shows of it has no field that the contract does not have. */
        json_t *shown = proto_job_to_json(job, true), *value;
        const char *key;
        json_object_foreach(shown, key, value) property(contract, "JobFields", key);
        json_decref(shown);
        proto_job_free(&job);
    }
    json_decref(contract);
}
END_TEST

UNIT_MAIN("openapi", every_code_is_listed, every_word_of_the_document_is_listed, every_call_is_there_with_its_statuses,
          references_lead_somewhere_and_objects_are_closed, the_examples_are_accepted)
