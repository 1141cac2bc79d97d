/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request_head.h"

#include "clock.h"
#include "http/access.h"
#include "http/framing.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Kinds of names of buckets. */
enum { RATE_OF_TOKEN = 1, RATE_OF_CLIENT = 2 };

static bool is_sane_id(const char *text)
{
    size_t length = strlen(text);
    return length && length <= KEND_REQUEST_ID_MAX &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._:/+=@-") == length;
}

/* The caller's own id, so that it finds its request in our log; or a new one. */
static void request_identify(struct kend_request *request)
{
    const char *given = request->headers.value[KEND_X_REQUEST_ID];
    kend_trace_parse(request->headers.value[KEND_TRACEPARENT], request->trace);
    if (given && is_sane_id(given)) {
        snprintf(request->id, sizeof request->id, "%s", given);
        return;
    }
    kend_request_make_id(request->id);
}

struct head {
    struct kend_headers *headers;
    struct kend_framing framing;
};

static enum MHD_Result take_header(void *opaque, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head *head = opaque;
    (void)kind;
    if (!value) value = "";
    kend_framing_add(&head->framing, name, value);
    kend_headers_add(head->headers, name, value);
    return MHD_YES;
}

/* From version 1.0 on, libmicrohttpd refuses such heads itself, or reads them as RFC 9112 says. */
static bool is_whole(const struct kend_request *request, const struct head *head, const char *method)
{
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return *MHD_get_version() != '0' || (size && kend_framing_end(&head->framing, method, size->header_size));
}

static void check_headers(struct kend_request *request, const char *method, const char *version)
{
    struct head head = {.headers = &request->headers};
    request->headers.most = request->http->parts.conf->http_max_headers;
    request->headers.most_bytes = request->http->parts.conf->http_max_header_bytes;
    kend_framing_begin(&head.framing, method, strlen(request->target), version);
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, take_header, &head);
    if (!is_whole(request, &head, method)) kend_headers_gap(&request->headers);
    kend_headers_end(&request->headers, version);
    if (request->headers.failed) kend_request_refuse(request, request->headers.problem, "%s", request->headers.detail);
}

/* what: where the name of the server was given. */
static void check_name(struct kend_request *request, const char *what, const char *name, size_t length)
{
    char shown[128];
    ken_printable(shown, sizeof shown, name, length);
    switch (kend_host_check(&request->http->hosts, name, length)) {
    case KEND_HOST_MALFORMED: kend_request_refuse(request, PROTO_BAD_REQUEST, "malformed %s \"%s\"", what, shown); break;
    case KEND_HOST_FORBIDDEN:
        kend_request_refuse(request, PROTO_FORBIDDEN, "%s \"%s\" is not a name of this server; http.allowed_hosts can allow it", what,
                            shown);
        break;
    case KEND_HOST_ALLOWED: break;
    }
}

/* Two names for one request: who takes the one and who takes the other must see the same server. */
static void check_host(struct kend_request *request)
{
    const char *host = request->headers.value[KEND_HOST], *authority;
    size_t length;
    if (!host) return;
    check_name(request, "Host", host, strlen(host));
    if (!kend_host_of_target(request->target, &authority, &length)) return;
    check_name(request, "request target of", authority, length);
    if (!kend_host_is_target(host, request->target))
        kend_request_refuse(request, PROTO_BAD_REQUEST, "the Host header names another server than the request target");
}

/* Of a target in absolute form, what it would be without scheme and authority. */
static const char *path_of(const char *target)
{
    const char *authority;
    size_t length;
    if (!kend_host_of_target(target, &authority, &length)) return target;
    return authority[length] == '/' ? authority + length : "/";
}

/* The path, and so the route. *query: what follows the '?'. */
static void check_path(struct kend_request *request, char **query)
{
    const uint64_t most = request->http->parts.conf->http_max_url_bytes;
    *query = strchr(request->target, '?');
    if (strlen(request->target) > most) {
        kend_request_refuse(request, PROTO_TARGET_TOO_LONG, "the request target is longer than http.max_url_bytes (%llu)",
                            (unsigned long long)most);
        return;
    }
    for (const unsigned char *at = (const unsigned char *)request->target; *at; at++)
        if (*at <= 0x20 || *at >= 0x7f) {
            request->last = true; /* a blank may end the target, for others */
            kend_request_refuse(request, PROTO_BAD_REQUEST, "the request target holds a byte that must be percent-encoded");
            return;
        }
    if (*query) *(*query)++ = '\0';
    switch (kend_route_find(request->method, path_of(request->target), &request->match)) {
    case KEND_MATCH_MALFORMED:
        kend_request_refuse(request, PROTO_BAD_REQUEST, "the path must begin with '/' and be percent-encoded UTF-8");
        return;
    case KEND_MATCH_NO_PATH: kend_request_refuse(request, PROTO_NOT_FOUND, "there is nothing at this path"); return;
    case KEND_MATCH_NO_METHOD:
        kend_request_refuse(request, PROTO_METHOD_NOT_ALLOWED, "this path answers to %s", request->match.allow);
        return;
    case KEND_MATCHED: break;
    }
}

static void check_query(struct kend_request *request, char *query)
{
    static char none[] = "";
    char detail[256];
    if (!kend_query_parse(&request->query, query ? query : none, detail, sizeof detail) ||
        !kend_query_only(&request->query, kend_routes[request->match.route].parameters, detail, sizeof detail))
        kend_request_refuse(request, PROTO_BAD_REQUEST, "%s", detail);
}

/* "application/json", perhaps with charset=utf-8. */
static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    if (strncasecmp(type, json, sizeof json - 1) != 0) return false;
    type += sizeof json - 1;
    type += strspn(type, " \t");
    if (!*type) return true;
    if (*type++ != ';') return false;
    type += strspn(type, " \t");
    return strcasecmp(type, "charset=utf-8") == 0 || strcasecmp(type, "charset=\"utf-8\"") == 0;
}

static void check_body(struct kend_request *request)
{
    const struct kend_headers *headers = &request->headers;
    const char *type = headers->value[KEND_CONTENT_TYPE], *coding = headers->value[KEND_CONTENT_ENCODING];
    bool has_body = headers->chunked || headers->content_length > 0;
    if (request->refused || !has_body) return;
    if (kend_routes[request->match.route].body == KEND_NO_BODY)
        kend_request_refuse(request, PROTO_BAD_REQUEST, "this request takes no body");
    else if (!type || !is_json_type(type))
        kend_request_refuse(request, PROTO_UNSUPPORTED_MEDIA_TYPE,
                            "a body needs Content-Type: application/json; curl sends it with `curl --json @job.json`");
    else if (coding && strcasecmp(coding, "identity") != 0)
        kend_request_refuse(request, PROTO_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is not understood; send the body as it is");
    else if (headers->content_length > request->http->parts.conf->http_max_body_bytes)
        kend_request_refuse(request, PROTO_TOO_LARGE, "the body is larger than http.max_body_bytes (%llu)",
                            (unsigned long long)request->http->parts.conf->http_max_body_bytes);
}

/* Whatever else is wrong with it: first it comes too often. */
static void refuse_for_now(struct kend_request *request, enum kend_refusal reason, int64_t seconds, const char *detail)
{
    kend_http_metrics_refused(&request->http->metrics, reason);
    request->refused = false;
    request->challenge[0] = '\0';
    request->retry_after = seconds;
    kend_request_refuse(request, PROTO_RATE_LIMITED, "%s", detail);
}

/*
 * Whether its token, or where it has none that is good, its client may ask just now. So those who try tokens out share their client's
 * bucket, and whoever has one is not harmed by them.
 */
static void check_often(struct kend_request *request)
{
    struct kend_http *http = request->http;
    const bool named = *request->identity.token;
    struct kend_rate_key key = {.kind = named ? RATE_OF_TOKEN : RATE_OF_CLIENT};
    if (request->peer->surplus) request->last = true;
    if (request->match.route != KEND_ROUTE_COUNT && kend_routes[request->match.route].area == KEND_AREA_PROBES) return;
    if (request->peer->surplus) {
        refuse_for_now(request, KEND_REFUSED_ADDRESS, 1, "too many connections of one address (http.max_connections_per_address)");
        return;
    }
    if (!http->rates) return;
    memcpy(key.name, named ? (const void *)request->identity.token : request->peer->client.address, sizeof key.name);
    const int64_t wait = kend_rates_take(http->rates, &key, kend_monotonic_us());
    if (wait) refuse_for_now(request, KEND_REFUSED_RATE, (wait + 999999) / 1000000, "too many requests (http.requests_per_second)");
}

void kend_request_check_head(struct kend_request *request, const char *method, const char *version)
{
    char *query = NULL;
    request->method = kend_method_parse(method);
    request->match.route = KEND_ROUTE_COUNT;
    check_headers(request, method, version);
    request_identify(request);
    check_host(request);
    if (!request->refused) check_path(request, &query);
    if (!request->refused) kend_access_check(request);
    check_often(request);
    if (request->headers.chunked) request->last = true; /* version 0.9 is lax about the ends of chunks' lines */
    if (!request->refused) check_query(request, query);
    check_body(request);
}
