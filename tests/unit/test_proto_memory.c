/* SPDX-License-Identifier: Apache-2.0 */
/* Fails the first allocation of reading, writing and showing a job, then the second, and so on: no crash, nothing left, nothing half done.
 */
#include "failing_alloc.h"
#include "job.h"
#include "job_view.h"
#include "json_load.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "{\"name\":\"n\",\"model\":{\"url\":\"https://m/m?sig=SECRET\",\"sha256\":"
                           "\"abababababababababababababababababababababababababababababababab\"},\"base\":\"https://b/b/\","
                           "\"rules\":[{\"match\":\"*.a\",\"action\":\"keep\"},{\"match\":\"*\",\"action\":\"prune\",\"k\":3}],"
                           "\"variants\":[{\"name\":\"a\",\"k\":3},{\"name\":\"b\",\"keep\":0.5}],\"metadata\":{\"z\":\"1\",\"a\":\"2\"}}";

enum outcome { GAVE_UP, WHOLE, WRONG };

/* Runs the operation with its n-th allocation failing, for n = 1, 2, ... until none fails any more; returns how many there were. It either
 * gives up or comes to the whole result by another way, and with memory enough it comes to it. */
static size_t sweep(enum outcome (*operation)(const void *opaque), const void *opaque)
{
    for (size_t n = 1;; n++) {
        long before = held;
        countdown = n;
        enum outcome outcome = operation(opaque);
        bool reached = countdown == 0;
        countdown = 0;
        ck_assert_msg(held == before, "allocation %zu: %ld left", n, held - before);
        ck_assert_msg(outcome != WRONG, "allocation %zu: a wrong result", n);
        if (reached) continue;
        ck_assert_int_eq(outcome, WHOLE);
        return n - 1;
    }
}

static enum outcome parse(const void *document)
{
    const struct proto_policy policy = {.schemes = "https"};
    struct proto_faults faults = {.count = 0};
    struct proto_job *job;
    int code = proto_job_parse(&job, document, &policy, &faults);
    enum outcome outcome = faults.count || (code == 0) != (job != NULL) ? WRONG : code ? GAVE_UP : WHOLE;
    if (job && (!job->name || !job->model.url || !job->base.url || job->metadata_count != 2)) outcome = WRONG;
    proto_faults_clear(&faults);
    proto_job_free(&job);
    return outcome;
}

static json_t *wanted; /* what the operation makes with memory enough */

static enum outcome compare(json_t *json)
{
    enum outcome outcome = !json ? GAVE_UP : json_equal(json, wanted) ? WHOLE : WRONG;
    json_decref(json);
    return outcome;
}

static enum outcome write(const void *job)
{
    return compare(proto_job_to_json(job, true));
}

static enum outcome show(const void *view)
{
    return compare(proto_job_view_to_json(view));
}

static enum outcome tell_problem(const void *faults)
{
    return compare(proto_problem_to_json(PROTO_INVALID_JOB, "detail", faults));
}

START_TEST(nothing_is_left_of_a_job)
{
    const struct proto_policy policy = {.schemes = "https"};
    struct proto_faults faults = {.count = 0};
    struct proto_job *job;
    json_set_alloc_funcs(malloc, free);
    json_t *document = json_loads(text, 0, NULL);
    ck_assert_uint_ge(sweep(parse, document), 8);
    ck_assert_int_eq(proto_job_parse(&job, document, &policy, &faults), 0);
    wanted = proto_job_to_json(job, true);
    ck_assert_uint_ge(sweep(write, job), 50);
    json_decref(wanted);
    proto_job_free(&job);
    json_decref(document);
}
END_TEST

START_TEST(nothing_is_left_of_a_view)
{
    const double timings[PROTO_STAGE_COUNT] = {0};
    const unsigned char digest[32] = {0};
    const struct proto_artifact_view artifact = {.name = "a/b", .variant = "a", .sha256 = digest, .url = "http://h/x"};
    struct proto_job_view view = {.id = "job_x",
                                  .spec = "{\"model\":{\"url\":\"https://m/m?sig=SECRET\"}}",
                                  .created_at = 1,
                                  .timings = timings,
                                  .has_error = true,
                                  .error_message = "\xff",
                                  .artifacts = &artifact,
                                  .artifact_count = 1};
    json_set_alloc_funcs(malloc, free);
    wanted = proto_job_view_to_json(&view);
    ck_assert_uint_ge(sweep(show, &view), 50);
    json_decref(wanted);
}
END_TEST

START_TEST(nothing_is_left_of_a_problem)
{
    struct proto_faults faults = {.count = 0};
    proto_fault_add(&faults, 0, "/k", "bad \xff");
    json_set_alloc_funcs(malloc, free);
    wanted = proto_problem_to_json(PROTO_INVALID_JOB, "detail", &faults);
    ck_assert_uint_ge(sweep(tell_problem, &faults), 15);
    json_decref(wanted);
    proto_faults_clear(&faults);
}
END_TEST

static char *wanted_text;

static enum outcome dump(const void *document)
{
    char *written = proto_json_dump(document, JSON_COMPACT);
    const enum outcome outcome = !written ? GAVE_UP : strcmp(written, wanted_text) == 0 ? WHOLE : WRONG;
    free(written);
    return outcome;
}

/* jansson leaves out the name of a member for which its buffer cannot grow. */
START_TEST(no_name_is_left_out_of_a_text)
{
    char name[48];
    json_t *document = json_object();
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a name that is rather long, of %02d", i);
        json_object_set_new(document, name, json_null());
    }
    proto_json_watch_memory();
    wanted_text = json_dumps(document, JSON_COMPACT);
    ck_assert_uint_ge(sweep(dump, document), 5);
    free(wanted_text);
    json_decref(document);
}
END_TEST

UNIT_MAIN("proto_memory", nothing_is_left_of_a_job, nothing_is_left_of_a_view, nothing_is_left_of_a_problem, no_name_is_left_out_of_a_text)
