/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "problem.h"
#include "unit.h"

#include <string.h>

static void expect_text(json_t *json, const char *wanted)
{
    ck_assert_ptr_nonnull(json);
    char *text = json_dumps(json, JSON_COMPACT);
    ck_assert_str_eq(text, wanted);
    free(text);
    json_decref(json);
}

START_TEST(codes_have_the_status_of_the_contract)
{
    static const struct {
        const char *code;
        int status;
    } contract[] = {{"bad_json", 400},
                    {"bad_request", 400},
                    {"unauthorized", 401},
                    {"forbidden", 403},
                    {"not_found", 404},
                    {"method_not_allowed", 405},
                    {"not_acceptable", 406},
                    {"request_timeout", 408},
                    {"job_active", 409},
                    {"job_finished", 409},
                    {"no_delta", 409},
                    {"inputs_gone", 409},
                    {"too_large", 413},
                    {"target_too_long", 414},
                    {"unsupported_media_type", 415},
                    {"range_not_satisfiable", 416},
                    {"invalid_job", 422},
                    {"not_supported", 422},
                    {"idempotency_mismatch", 422},
                    {"queue_full", 429},
                    {"rate_limited", 429},
                    {"headers_too_large", 431},
                    {"internal", 500},
                    {"draining", 503},
                    {"no_space", 503},
                    {"store_unavailable", 503}};
    ck_assert_uint_eq(sizeof contract / sizeof *contract, PROTO_PROBLEM_COUNT);
    for (unsigned i = 0; i < PROTO_PROBLEM_COUNT; i++) {
        ck_assert_str_eq(proto_problem_code((enum proto_problem)i), contract[i].code);
        ck_assert_int_eq(proto_problem_status((enum proto_problem)i), contract[i].status);
        ck_assert_uint_gt(strlen(proto_problem_title((enum proto_problem)i)), 5);
    }
}
END_TEST

START_TEST(errors_of_the_core_have_a_code)
{
    static const struct {
        int code;
        const char *name;
    } table[] = {{KEN_ENOMEM, "internal"},
                 {KEN_EIO, "internal"},
                 {KEN_ENO_SPACE, "no_space"},
                 {KEN_EBUSY, "no_space"},
                 {KEN_ECANCELLED, "internal"},
                 {KEN_EINVALID, "internal"},
                 {KEN_ENOT_FOUND, "fetch_failed"},
                 {KEN_EBAD_CHECKPOINT, "bad_checkpoint"},
                 {KEN_EUNSUPPORTED, "unsupported_checkpoint"},
                 {KEN_EMISMATCH, "tensor_mismatch"},
                 {KEN_ENON_FINITE, "non_finite"},
                 {KEN_ETOO_LARGE, "too_large"},
                 {KEN_EDIGEST, "digest_mismatch"},
                 {KEN_EFETCH, "fetch_failed"},
                 {KEN_EADDRESS, "address_forbidden"},
                 {KEN_EBAD_DELTA, "bad_checkpoint"},
                 {KEN_ETIMED_OUT, "timed_out"},
                 {KEN_EINTERNAL, "internal"},
                 {-9999, "internal"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_str_eq(proto_job_error_code(proto_job_error_of(table[i].code)), table[i].name);
}
END_TEST

START_TEST(a_problem_is_exact)
{
    expect_text(proto_problem_to_json(PROTO_NOT_FOUND, "no \"x\"", NULL),
                "{\"type\":\"https://kend.dev/problems/not_found\",\"title\":\"Not found\",\"status\":404,\"detail\":\"no \\\"x\\\"\","
                "\"code\":\"not_found\"}");
    struct proto_faults faults = {.count = 0};
    proto_fault_add(&faults, 0, "/k", "must be %d", 1);
    proto_fault_add(&faults, 1, "", "bad \xff byte");
    expect_text(proto_problem_to_json(PROTO_INVALID_JOB, "2 faults", &faults),
                "{\"type\":\"https://kend.dev/problems/invalid_job\",\"title\":\"The job document is invalid\",\"status\":422,"
                "\"detail\":\"2 faults\",\"code\":\"invalid_job\",\"errors\":[{\"pointer\":\"/k\",\"detail\":\"must be 1\"},"
                "{\"pointer\":\"\",\"detail\":\"bad \\\\xff byte\"}]}");
    proto_faults_clear(&faults);
    expect_text(proto_problem_to_json(PROTO_INVALID_JOB, "none", &faults),
                "{\"type\":\"https://kend.dev/problems/invalid_job\",\"title\":\"The job document is invalid\",\"status\":422,"
                "\"detail\":\"none\",\"code\":\"invalid_job\"}");
}
END_TEST

START_TEST(a_failed_check_is_exact)
{
    expect_text(proto_failed_check_to_json(PROTO_JOB_TOO_LARGE, "/base", "base: \"x\""),
                "{\"type\":\"https://kend.dev/problems/invalid_job\",\"title\":\"The check of the job failed\",\"status\":422,"
                "\"detail\":\"too_large: base: \\\"x\\\"\",\"code\":\"invalid_job\","
                "\"errors\":[{\"pointer\":\"/base\",\"detail\":\"base: \\\"x\\\"\"}],"
                "\"job_error\":{\"code\":\"too_large\",\"message\":\"base: \\\"x\\\"\",\"stage\":\"checking\"}}");
}
END_TEST

START_TEST(faults_beyond_the_limit_are_dropped)
{
    struct proto_faults faults = {.count = 0};
    for (int i = 0; i < PROTO_MAX_FAULTS + 10; i++) proto_fault_add(&faults, 0, "/a", "%d", i);
    ck_assert_uint_eq(faults.count, PROTO_MAX_FAULTS);
    ck_assert_str_eq(faults.fault[PROTO_MAX_FAULTS - 1].detail, "63");
    proto_faults_clear(&faults);
}
END_TEST

UNIT_MAIN("problem", codes_have_the_status_of_the_contract, errors_of_the_core_have_a_code, a_problem_is_exact, a_failed_check_is_exact,
          faults_beyond_the_limit_are_dropped)
