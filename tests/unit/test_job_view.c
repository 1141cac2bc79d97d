/* SPDX-License-Identifier: Apache-2.0 */
#include "id.h"
#include "job_view.h"
#include "json.h"
#include "unit.h"

#include <string.h>

static const char spec[] =
    "{\"kind\":\"prune\",\"model\":{\"url\":\"https://m/m?sig=SECRET\"},\"base\":{\"url\":\"https://b/b\"},\"keep\":0.1}";
static const unsigned char digest[32] = {0x01, 0xff};
static const double no_timings[PROTO_STAGE_COUNT];

static struct proto_job_view queued(void)
{
    return (struct proto_job_view){.id = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", .spec = spec, .created_at = 1, .timings = no_timings};
}

static json_t *render(const struct proto_job_view *view)
{
    json_t *json = proto_job_view_to_json(view);
    ck_assert_ptr_nonnull(json);
    return json;
}

static void expect_text(const json_t *json, const char *wanted)
{
    struct ken_json_writer writer;
    const char *text;
    ken_json_writer_init(&writer);
    proto_json_write(&writer, json);
    ck_assert_int_eq(ken_json_writer_finish(&writer, &text, NULL), 0);
    ck_assert_str_eq(text, wanted);
    ken_json_writer_free(&writer);
}

START_TEST(a_queued_job_is_exact)
{
    struct proto_job_view view = queued();
    json_t *json = render(&view);
    expect_text(json,
                "{\"id\":\"job_01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"object\":\"job\",\"status\":\"queued\",\"kind\":\"prune\","
                "\"model\":{\"url\":\"https://m/m?...\"},\"base\":{\"url\":\"https://b/b\"},\"keep\":0.1,"
                "\"progress\":{\"percent\":0,\"bytes_fetched\":0,\"bytes_total\":0,\"rows_done\":0,\"rows_total\":0,\"eta_seconds\":null},"
                "\"attempt\":0,\"created_at\":\"1970-01-01T00:00:00.001Z\",\"started_at\":null,\"finished_at\":null,"
                "\"cancel_requested_at\":null,\"expires_at\":null,\"evicted_at\":null,"
                "\"timings\":{\"checking\":0,\"fetching\":0,\"pruning\":0,\"publishing\":0},\"error\":null,\"artifacts\":[],"
                "\"summary\":null}");
    json_decref(json);
}
END_TEST

START_TEST(an_owner_is_told_where_there_is_one_to_tell)
{
    struct proto_job_view view = queued();
    json_t *json = render(&view);
    ck_assert_ptr_null(json_object_get(json, "owner"));
    json_decref(json);
    view.owner = "nlp";
    json = render(&view);
    expect_text(json_object_get(json, "owner"), "\"nlp\"");
    json_decref(json);
    view.owner = ""; /* the nameless one */
    json = render(&view);
    ck_assert(json_is_null(json_object_get(json, "owner")));
    json_decref(json);
}
END_TEST

START_TEST(a_running_job_has_stage_progress_and_eta)
{
    const double timings[PROTO_STAGE_COUNT] = {[PROTO_CHECKING] = 0.5, [PROTO_FETCHING] = 10, [PROTO_PRUNING] = 2.00049};
    struct proto_job_view view = queued();
    view.status = PROTO_RUNNING;
    view.stage = PROTO_PRUNING;
    view.bytes_fetched = view.bytes_total = 1000;
    view.rows_done = 1;
    view.rows_total = 3;
    view.timings = timings;
    json_t *json = render(&view);
    ck_assert_str_eq(json_string_value(json_object_get(json, "stage")), "pruning");
    /* Two thirds are done after 12.00049 s: 6.0002 s are left, and a second begun counts. */
    expect_text(json_object_get(json, "progress"),
                "{\"percent\":66.6,\"bytes_fetched\":1000,\"bytes_total\":1000,\"rows_done\":1,\"rows_total\":3,\"eta_seconds\":7}");
    expect_text(json_object_get(json, "timings"), "{\"checking\":0.5,\"fetching\":10,\"pruning\":2,\"publishing\":0}");
    json_decref(json);

    view.rows_done = 3;
    json = render(&view);
    ck_assert(json_real_value(json_object_get(json_object_get(json, "progress"), "percent")) < 100);
    json_decref(json);

    view.stage = PROTO_NO_STAGE;
    json = render(&view);
    ck_assert_ptr_null(json_object_get(json, "stage"));
    json_decref(json);
}
END_TEST

START_TEST(a_succeeded_job_has_artifacts_and_summary)
{
    const struct proto_artifact_view artifacts[] = {
        {.name = "delta.safetensors", .variant = "", .size = 5, .sha256 = digest, .url = "http://h/v1/jobs/x/artifacts/delta.safetensors"},
        {.name = "half/report.json", .variant = "half", .size = 6, .sha256 = digest, .url = "http://h/r"},
    };
    struct proto_job_view view = queued();
    view.status = PROTO_SUCCEEDED;
    view.stage = PROTO_PUBLISHING; /* left over: never shown of a job that has ended */
    view.artifacts = artifacts;
    view.artifact_count = 2;
    view.summary = "{\"kept\":12}";
    view.expires_at = 1700000000000;
    json_t *json = render(&view);
    ck_assert_ptr_null(json_object_get(json, "stage"));
    ck_assert(json_real_value(json_object_get(json_object_get(json, "progress"), "percent")) == 100);
    expect_text(json_object_get(json, "artifacts"),
                "[{\"name\":\"delta.safetensors\",\"variant\":null,\"size\":5,"
                "\"sha256\":\"01ff000000000000000000000000000000000000000000000000000000000000\","
                "\"url\":\"http://h/v1/jobs/x/artifacts/delta.safetensors\"},"
                "{\"name\":\"half/report.json\",\"variant\":\"half\",\"size\":6,"
                "\"sha256\":\"01ff000000000000000000000000000000000000000000000000000000000000\",\"url\":\"http://h/r\"}]");
    expect_text(json_object_get(json, "summary"), "{\"kept\":12}");
    expect_text(json_object_get(json, "expires_at"), "\"2023-11-14T22:13:20.000Z\"");
    json_decref(json);
    view.listed = true;
    json = render(&view);
    ck_assert_ptr_null(json_object_get(json, "artifacts"));
    expect_text(json_object_get(json, "summary"), "{\"kept\":12}");
    json_decref(json);
}
END_TEST

START_TEST(a_failed_job_has_its_error)
{
    struct proto_job_view view = queued();
    view.status = PROTO_FAILED;
    view.has_error = true;
    view.error = PROTO_JOB_FETCH_FAILED;
    view.error_stage = PROTO_FETCHING;
    view.error_message = "status 404\xff";
    json_t *json = render(&view);
    expect_text(json_object_get(json, "error"), "{\"code\":\"fetch_failed\",\"message\":\"status 404\\\\xff\",\"stage\":\"fetching\"}");
    json_decref(json);
    view.error_stage = PROTO_NO_STAGE;
    view.error_message = NULL;
    json = render(&view);
    expect_text(json_object_get(json, "error"), "{\"code\":\"fetch_failed\",\"message\":\"\",\"stage\":null}");
    json_decref(json);
}
END_TEST

START_TEST(a_spec_that_is_no_document_is_not_shown)
{
    struct proto_job_view view = queued();
    view.spec = "[\"https://m/m?sig=SECRET\"]";
    ck_assert_ptr_null(proto_job_view_to_json(&view));
    view.spec = "{";
    ck_assert_ptr_null(proto_job_view_to_json(&view));
}
END_TEST

START_TEST(lists_and_events_are_exact)
{
    const struct proto_event_view event = {.sequence = 3, .time = 5, .type = "log", .data = "{\"message\":\"m\"}"};
    json_t *list = proto_list_to_json(json_pack("[o]", proto_event_view_to_json(&event)), "cursor");
    expect_text(list, "{\"object\":\"list\",\"data\":[{\"id\":3,\"type\":\"log\",\"time\":\"1970-01-01T00:00:00.005Z\","
                      "\"data\":{\"message\":\"m\"}}],\"has_more\":true,\"next\":\"cursor\"}");
    json_decref(list);
    list = proto_list_to_json(json_array(), NULL);
    expect_text(list, "{\"object\":\"list\",\"data\":[],\"has_more\":false,\"next\":null}");
    json_decref(list);
    ck_assert_ptr_null(proto_list_to_json(NULL, NULL));
}
END_TEST

UNIT_MAIN("job_view", a_queued_job_is_exact, an_owner_is_told_where_there_is_one_to_tell, a_running_job_has_stage_progress_and_eta,
          a_succeeded_job_has_artifacts_and_summary, a_failed_job_has_its_error, a_spec_that_is_no_document_is_not_shown,
          lists_and_events_are_exact)
