/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of routes: what kend answers to, with which method, parameters and body. */
#ifndef KEND_HTTP_ROUTER_H
#define KEND_HTTP_ROUTER_H

#include "conf.h"
#include "problem.h"
#include "token.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct kend_request;

/* symbol, name */
#define KEND_METHOD_MAP(X)     \
    X(KEND_GET, "GET")         \
    X(KEND_HEAD, "HEAD")       \
    X(KEND_POST, "POST")       \
    X(KEND_PUT, "PUT")         \
    X(KEND_PATCH, "PATCH")     \
    X(KEND_DELETE, "DELETE")   \
    X(KEND_OPTIONS, "OPTIONS") \
    X(KEND_OTHER_METHOD, "other")
#define X(symbol, name) symbol,
enum kend_method { KEND_METHOD_MAP(X) KEND_METHOD_COUNT };
#undef X
/* KEND_OTHER_METHOD for any that is not in the table. Methods are case-sensitive. */
enum kend_method kend_method_parse(const char *name);
const char *kend_method_name(enum kend_method method);
/* Whether it changes nothing. */
bool kend_method_is_safe(enum kend_method method);

enum kend_body {
    KEND_NO_BODY,    /* any body is refused */
    KEND_JSON_BODY,  /* needed */
    KEND_EMPTY_BODY, /* none, or an empty JSON object, which many clients send with every POST */
};

/*
 * symbol, method (GET answers HEAD as well), pattern, scope, area, body, query parameters, handler. {id} is one segment, {name} the rest of
 * the path. The pattern is the route's name in metrics and logs. The scope is needed unless the area is public; every scope includes
 * reading.
 */
#define KEND_ROUTE_MAP(X)                                                                                                                 \
    X(KEND_ROUTE_CREATE, KEND_POST, "/v1/jobs", SUBMIT, PRIVATE, KEND_JSON_BODY, "dry_run", kend_route_create)                            \
    X(KEND_ROUTE_LIST, KEND_GET, "/v1/jobs", READ, PRIVATE, KEND_NO_BODY, "status owner metadata.* limit after", kend_route_list)         \
    X(KEND_ROUTE_SHOW, KEND_GET, "/v1/jobs/{id}", READ, PRIVATE, KEND_NO_BODY, "wait", kend_route_show)                                   \
    X(KEND_ROUTE_REMOVE, KEND_DELETE, "/v1/jobs/{id}", SUBMIT, PRIVATE, KEND_NO_BODY, "", kend_route_remove)                              \
    X(KEND_ROUTE_EVENTS, KEND_GET, "/v1/jobs/{id}/events", READ, PRIVATE, KEND_NO_BODY, "limit after", kend_route_events)                 \
    X(KEND_ROUTE_FEED, KEND_GET, "/v1/events", READ, PRIVATE, KEND_NO_BODY, "seconds", kend_route_feed)                                   \
    X(KEND_ROUTE_CANCEL, KEND_POST, "/v1/jobs/{id}/cancel", SUBMIT, PRIVATE, KEND_EMPTY_BODY, "", kend_route_cancel)                      \
    X(KEND_ROUTE_ARTIFACTS, KEND_GET, "/v1/jobs/{id}/artifacts", READ, PRIVATE, KEND_NO_BODY, "", kend_route_artifacts)                   \
    X(KEND_ROUTE_ARTIFACT, KEND_GET, "/v1/jobs/{id}/artifacts/{name}", READ, PRIVATE, KEND_NO_BODY, "", kend_route_artifact)              \
    X(KEND_ROUTE_TENSORS, KEND_GET, "/v1/jobs/{id}/tensors", READ, PRIVATE, KEND_NO_BODY, "variant name limit after", kend_route_tensors) \
    X(KEND_ROUTE_HEATMAP, KEND_GET, "/v1/jobs/{id}/heatmap.png", READ, PRIVATE, KEND_NO_BODY,                                             \
      "tensor variant view x y w h width max legend with with_variant", kend_route_heatmap)                                               \
    X(KEND_ROUTE_LAYERS_PICTURE, KEND_GET, "/v1/jobs/{id}/layers.png", READ, PRIVATE, KEND_NO_BODY, "role variant view width max",        \
      kend_route_layers_picture)                                                                                                          \
    X(KEND_ROUTE_LAYERS, KEND_GET, "/v1/jobs/{id}/layers", READ, PRIVATE, KEND_NO_BODY, "variant limit after", kend_route_layers)         \
    X(KEND_ROUTE_COMPARE, KEND_GET, "/v1/jobs/{id}/compare", READ, PRIVATE, KEND_NO_BODY, "variant with with_variant limit after",        \
      kend_route_compare)                                                                                                                 \
    X(KEND_ROUTE_ROW, KEND_GET, "/v1/jobs/{id}/row", READ, PRIVATE, KEND_NO_BODY, "tensor variant row", kend_route_row)                   \
    X(KEND_ROUTE_VALUES, KEND_GET, "/v1/jobs/{id}/values", READ, PRIVATE, KEND_NO_BODY, "tensor variant x y w h", kend_route_values)      \
    X(KEND_ROUTE_SESSION_BEGIN, KEND_POST, "/v1/session", READ, PRIVATE, KEND_EMPTY_BODY, "", kend_route_session_begin)                   \
    X(KEND_ROUTE_SESSION_SHOW, KEND_GET, "/v1/session", READ, PRIVATE, KEND_NO_BODY, "", kend_route_session_show)                         \
    X(KEND_ROUTE_SESSION_END, KEND_DELETE, "/v1/session", READ, PRIVATE, KEND_NO_BODY, "", kend_route_session_end)                        \
    X(KEND_ROUTE_PAGE, KEND_GET, "/", READ, PAGE, KEND_NO_BODY, "", kend_route_page)                                                      \
    X(KEND_ROUTE_WEB, KEND_GET, "/web/{name}", READ, PAGE, KEND_NO_BODY, "", kend_route_web)                                              \
    X(KEND_ROUTE_LIVEZ, KEND_GET, "/livez", READ, PROBES, KEND_NO_BODY, "", kend_route_livez)                                             \
    X(KEND_ROUTE_READYZ, KEND_GET, "/readyz", READ, PROBES, KEND_NO_BODY, "", kend_route_readyz)                                          \
    X(KEND_ROUTE_METRICS, KEND_GET, "/metrics", READ, METRICS, KEND_NO_BODY, "", kend_route_metrics)                                      \
    X(KEND_ROUTE_VERSION, KEND_GET, "/version", READ, VERSION, KEND_NO_BODY, "", kend_route_version)                                      \
    X(KEND_ROUTE_OPENAPI, KEND_GET, "/openapi.json", READ, OPENAPI, KEND_NO_BODY, "", kend_route_openapi)

/*
 * Answers a request whose path, parameters and body have been checked; called again after a suspension. Returns what libmicrohttpd wants:
 * MHD_YES after an answer was queued or the connection suspended, MHD_NO to close the connection.
 */
typedef enum MHD_Result kend_handler(struct kend_request *request);
#define X(symbol, method, pattern, scope, area, body, parameters, handler) kend_handler handler;
KEND_ROUTE_MAP(X)
#undef X
#define X(symbol, method, pattern, scope, area, body, parameters, handler) symbol,
enum kend_route_index { KEND_ROUTE_MAP(X) KEND_ROUTE_COUNT }; /* KEND_ROUTE_COUNT: no route */
#undef X

struct kend_route {
    enum kend_method method;
    enum proto_scope scope;
    enum kend_area area;
    enum kend_body body;
    const char *pattern;
    const char *parameters;
    kend_handler *handler;
};
extern const struct kend_route kend_routes[KEND_ROUTE_COUNT];

enum { KEND_MAX_ID_SEGMENT = 64, KEND_MAX_NAME = 1024 };
struct kend_match {
    enum kend_route_index route;  /* of the method, or of another one of that path */
    char id[KEND_MAX_ID_SEGMENT]; /* decoded; "" if the pattern has none */
    char name[KEND_MAX_NAME];     /* decoded */
    char allow[64];               /* for the Allow header, if the path is known but the method is not */
};

enum kend_match_result { KEND_MATCHED, KEND_MATCH_NO_PATH, KEND_MATCH_NO_METHOD, KEND_MATCH_MALFORMED };
/* Finds the route of a path as received, up to KEND_MAX_TARGET bytes, without query. */
enum kend_match_result kend_route_find(enum kend_method method, const char *path, struct kend_match *match);

#endif
