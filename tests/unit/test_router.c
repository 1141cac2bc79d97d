/* SPDX-License-Identifier: Apache-2.0 */
#include "http/query.h"
#include "http/router.h"
#include "unit.h"

#include <string.h>

static enum kend_match_result find(const char *method, const char *path, struct kend_match *match)
{
    return kend_route_find(kend_method_parse(method), path, match);
}

START_TEST(every_path_has_its_route)
{
    static const struct {
        const char *method, *path;
        enum kend_route_index route;
    } cases[] = {
        {"POST", "/v1/jobs", KEND_ROUTE_CREATE},
        {"GET", "/v1/jobs", KEND_ROUTE_LIST},
        {"HEAD", "/v1/jobs", KEND_ROUTE_LIST},
        {"GET", "/v1/jobs/job_1", KEND_ROUTE_SHOW},
        {"DELETE", "/v1/jobs/job_1", KEND_ROUTE_REMOVE},
        {"GET", "/v1/jobs/job_1/events", KEND_ROUTE_EVENTS},
        {"POST", "/v1/jobs/job_1/cancel", KEND_ROUTE_CANCEL},
        {"GET", "/v1/jobs/job_1/artifacts", KEND_ROUTE_ARTIFACTS},
        {"HEAD", "/v1/jobs/job_1/artifacts/a/b", KEND_ROUTE_ARTIFACT},
        {"GET", "/v1/jobs/job_1/tensors", KEND_ROUTE_TENSORS},
        {"POST", "/v1/session", KEND_ROUTE_SESSION_BEGIN},
        {"GET", "/v1/session", KEND_ROUTE_SESSION_SHOW},
        {"DELETE", "/v1/session", KEND_ROUTE_SESSION_END},
        {"GET", "/", KEND_ROUTE_PAGE},
        {"HEAD", "/web/views/jobs.js", KEND_ROUTE_WEB},
        {"GET", "/livez", KEND_ROUTE_LIVEZ},
        {"GET", "/readyz", KEND_ROUTE_READYZ},
        {"GET", "/metrics", KEND_ROUTE_METRICS},
        {"GET", "/version", KEND_ROUTE_VERSION},
        {"GET", "/openapi.json", KEND_ROUTE_OPENAPI},
        {"GET", "/%76%31/jobs", KEND_ROUTE_LIST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_match match;
        ck_assert_msg(find(cases[i].method, cases[i].path, &match) == KEND_MATCHED, "%s", cases[i].path);
        ck_assert_int_eq(match.route, cases[i].route);
    }
}
END_TEST

/* What changes something needs more than reading; only what tells nothing of jobs can be public. */
START_TEST(every_route_has_its_scope)
{
    for (unsigned i = 0; i < KEND_ROUTE_COUNT; i++) {
        const struct kend_route *route = &kend_routes[i];
        bool of_session = strcmp(route->pattern, "/v1/session") == 0;
        ck_assert_msg((route->scope == PROTO_SCOPE_SUBMIT) == (route->method != KEND_GET && !of_session), "%s", route->pattern);
        ck_assert_msg((route->area == KEND_AREA_PRIVATE) == (strncmp(route->pattern, "/v1/", 4) == 0), "%s", route->pattern);
    }
}
END_TEST

START_TEST(other_paths_have_none)
{
    static const char *const paths[] = {"/web",    "/v1",       "/v1/jobs/",    "/v1/jobs/a/",           "/v1/jobs//events",
                                        "/v1/job", "/v1/jobsx", "/v1/jobs/a/x", "/v1/jobs/a/artifacts/", "//v1/jobs",
                                        "/livez/", "/LIVEZ",    "/v1%2Fjobs",   "/v1/jobs/a/events/b",   "/v1/jobs/a/tensors/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct kend_match match;
        ck_assert_msg(find("GET", paths[i], &match) == KEND_MATCH_NO_PATH, "%s", paths[i]);
        ck_assert_int_eq(match.route, KEND_ROUTE_COUNT);
    }
}
END_TEST

START_TEST(malformed_paths_are_told_apart)
{
    static const char *const paths[] = {"", "*", "livez", "/a%", "/a%2", "/a%zz", "/a%00", "/%ff", "/%c0%af", "http://x/livez"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct kend_match match;
        ck_assert_msg(find("GET", paths[i], &match) == KEND_MATCH_MALFORMED, "%s", paths[i]);
    }
}
END_TEST

START_TEST(a_known_path_names_its_methods)
{
    struct kend_match match;
    ck_assert_int_eq(find("PUT", "/v1/jobs", &match), KEND_MATCH_NO_METHOD);
    ck_assert_str_eq(match.allow, "POST, GET, HEAD");
    ck_assert_int_eq(find("POST", "/v1/jobs/x", &match), KEND_MATCH_NO_METHOD);
    ck_assert_str_eq(match.allow, "GET, HEAD, DELETE");
    ck_assert_int_eq(match.route, KEND_ROUTE_SHOW);
    ck_assert_int_eq(find("GET", "/v1/jobs/x/cancel", &match), KEND_MATCH_NO_METHOD);
    ck_assert_str_eq(match.allow, "POST");
    ck_assert_int_eq(find("get", "/livez", &match), KEND_MATCH_NO_METHOD);
    ck_assert_int_eq(find("BREW", "/livez", &match), KEND_MATCH_NO_METHOD);
    ck_assert_int_eq(find("OPTIONS", "/livez", &match), KEND_MATCH_NO_METHOD);
}
END_TEST

START_TEST(segments_are_decoded_once)
{
    struct kend_match match;
    ck_assert_int_eq(find("GET", "/v1/jobs/a%2Fb%2520/events", &match), KEND_MATCHED);
    ck_assert_str_eq(match.id, "a/b%20");
    ck_assert_int_eq(find("GET", "/v1/jobs/a/artifacts/half/x%2ey%C3%A9+z", &match), KEND_MATCHED);
    ck_assert_str_eq(match.name, "half/x.y\xc3\xa9+z");
    ck_assert_str_eq(match.id, "a");
    ck_assert_int_eq(find("GET", "/v1/jobs/a/artifacts/../../b", &match), KEND_MATCHED);
    ck_assert_str_eq(match.name, "../../b"); /* a name like any other: it is looked up, never joined to a path */
}
END_TEST

START_TEST(long_segments_do_not_fit_and_are_not_found)
{
    char path[KEND_MAX_TARGET + 1] = "/v1/jobs/";
    struct kend_match match;
    memset(path + 9, 'a', KEND_MAX_ID_SEGMENT);
    ck_assert_int_eq(find("GET", path, &match), KEND_MATCH_NO_PATH);
    path[9 + KEND_MAX_ID_SEGMENT - 1] = '\0';
    ck_assert_int_eq(find("GET", path, &match), KEND_MATCHED);
    memset(path, 0, sizeof path);
    memset(path, 'a', KEND_MAX_TARGET);
    memcpy(path, "/v1/jobs/a/artifacts/", 21);
    ck_assert_int_eq(find("GET", path, &match), KEND_MATCH_NO_PATH);
}
END_TEST

UNIT_MAIN("router", every_path_has_its_route, every_route_has_its_scope, other_paths_have_none, malformed_paths_are_told_apart,
          a_known_path_names_its_methods, segments_are_decoded_once, long_segments_do_not_fit_and_are_not_found)
