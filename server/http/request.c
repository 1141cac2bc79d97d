/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include "clock.h"
#include "http/access.h"
#include "http/framing.h"
#include "http/memory.h"
#include "http/respond.h"
#include "json_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

enum {
    REQUEST_MAGIC = 0x6b656e72,
    /* A body that is refused is still read up to this size: closing the connection on unread bytes would destroy the answer. */
    REQUEST_MAX_DROPPED = 4 << 20,
    /* A document of empty arrays takes so many times its text. */
    REQUEST_DOCUMENT_FACTOR = 48,
    /* Kinds of names of buckets. */
    RATE_OF_TOKEN = 1,
    RATE_OF_CLIENT = 2,
};

/* ---- refusing */

void kend_request_refuse(struct kend_request *request, enum proto_problem problem, const char *format, ...)
{
    va_list arguments;
    if (request->refused) return;
    request->refused = true;
    request->problem = problem;
    va_start(arguments, format);
    vsnprintf(request->detail, sizeof request->detail, format, arguments);
    va_end(arguments);
}

static void body_free(struct kend_request *request)
{
    kend_request_let_go(request, request->body_room);
    free(request->body);
    request->body = NULL;
    request->body_size = request->body_room = 0;
}

/* ---- the head of a request */

static bool is_sane_id(const char *text)
{
    size_t length = strlen(text);
    return length && length <= KEND_REQUEST_ID_MAX &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._:/+=@-") == length;
}

void kend_request_make_id(char id[KEND_REQUEST_ID_MADE])
{
    unsigned char noise[(KEND_REQUEST_ID_MADE - 1) / 2] = {0};
    ssize_t got = getrandom(noise, sizeof noise, GRND_NONBLOCK);
    (void)got; /* an id of zeros is as good as none */
    for (size_t i = 0; i < sizeof noise; i++) snprintf(id + 2 * i, 3, "%02x", noise[i]);
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

static enum MHD_Result request_answer_refusal(struct kend_request *request)
{
    body_free(request);
    if (!kend_connection_answers(request->http->connections, request->peer)) return MHD_NO;
    return kend_answer_problem(request, request->problem, "%s", request->detail);
}

/* The first call of libmicrohttpd: the head is there, the body is not. */
static enum MHD_Result request_begin(struct kend_request *request, const char *method, const char *version)
{
    const struct kend_headers *headers = &request->headers;
    char *query = NULL;
    request->begun = true;
    request->head = method;
    request->method = kend_method_parse(method);
    request->match.route = KEND_ROUTE_COUNT;
    check_headers(request, method, version);
    request_identify(request);
    check_host(request);
    if (!request->refused) check_path(request, &query);
    if (!request->refused) kend_access_check(request);
    check_often(request);
    if (headers->chunked) request->last = true; /* version 0.9 is lax about the ends of chunks' lines */
    if (!request->refused) check_query(request, query);
    check_body(request);
    if (!kend_connection_reads(request->http->connections, request->peer, request->id)) return MHD_NO;
    if (!request->refused) return MHD_YES;
    const bool may_wait = !request->peer->surplus; /* for its body, with a connection of others */
    if (may_wait && !headers->framing && !headers->value[KEND_EXPECT] && headers->content_length <= REQUEST_MAX_DROPPED) return MHD_YES;
    request->last = true; /* what follows is not read */
    return request_answer_refusal(request);
}

/* ---- the body */

static bool body_reserve(struct kend_request *request, size_t size)
{
    size_t room = request->body_room ? request->body_room : 4096;
    if (size <= request->body_room) return true;
    while (room < size) room *= 2;
    size_t more = room - request->body_room;
    if (!kend_request_hold(request, more)) {
        kend_request_refuse(request, PROTO_RATE_LIMITED, "%s", KEND_CROWDED);
        return false;
    }
    char *body = realloc(request->body, room);
    if (!body) {
        kend_request_let_go(request, more);
        kend_request_refuse(request, PROTO_INTERNAL, "out of memory");
        return false;
    }
    request->body = body;
    request->body_room = room;
    return true;
}

static enum MHD_Result request_take(struct kend_request *request, const char *upload, size_t *upload_size)
{
    uint64_t most = request->http->parts.conf->http_max_body_bytes;
    size_t size = *upload_size;
    *upload_size = 0;
    if (!request->refused && request->body_size + size > most)
        kend_request_refuse(request, PROTO_TOO_LARGE, "the body is larger than http.max_body_bytes (%llu)", (unsigned long long)most);
    if (!request->refused && body_reserve(request, request->body_size + size + 1)) {
        memcpy(request->body + request->body_size, upload, size);
        request->body_size += size;
        request->body[request->body_size] = '\0';
        return MHD_YES;
    }
    body_free(request);
    request->body_dropped += size;
    return request->body_dropped > REQUEST_MAX_DROPPED ? MHD_NO : MHD_YES;
}

json_t *kend_request_json(struct kend_request *request, enum MHD_Result *result)
{
    json_error_t error;
    if (!request->body_size) {
        *result = kend_answer_problem(request, PROTO_BAD_JSON, "the body is empty");
        return NULL;
    }
    const size_t most = request->body_size * REQUEST_DOCUMENT_FACTOR;
    if (!kend_request_hold_document(request, most)) {
        *result = kend_answer_problem(request, PROTO_RATE_LIMITED, "%s", KEND_CROWDED);
        return NULL;
    }
    json_t *document = proto_json_load(request->body, request->body_size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    body_free(request);
    if (document) return document;
    kend_request_let_go_document(request);
    if (!*error.text)
        *result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    else
        *result = kend_answer_problem(request, PROTO_BAD_JSON, "line %d, column %d: %s", error.line, error.column, error.text);
    return NULL;
}

void kend_request_json_free(struct kend_request *request, json_t *document)
{
    json_decref(document);
    kend_request_let_go_document(request);
}

/* ---- the whole */

/* A handler for which an empty object is as good as no body. */
static bool is_empty_document(struct kend_request *request, enum MHD_Result *result)
{
    if (!request->body_size) return true;
    json_t *document = kend_request_json(request, result);
    if (!document) return false;
    bool empty = json_is_object(document) && json_object_size(document) == 0;
    kend_request_json_free(request, document);
    if (!empty) *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "this request takes no body but an empty JSON object");
    return empty;
}

static enum MHD_Result request_answer(struct kend_request *request)
{
    enum MHD_Result result = MHD_NO;
    if (request->wait.gone || !kend_connection_answers(request->http->connections, request->peer)) return MHD_NO;
    if (request->refused) return request_answer_refusal(request);
    const struct kend_route *route = &kend_routes[request->match.route];
    if (route->body == KEND_EMPTY_BODY && !is_empty_document(request, &result)) return result;
    return route->handler(request);
}

bool kend_request_may_wait(struct kend_request *request)
{
    struct kend_http *http = request->http;
    if (!http->shares || !http->parts.tokens || request->shares) return true;
    request->shares = kend_shares_take(http->shares, kend_request_owner(request));
    return request->shares;
}

bool kend_request_has_id(const struct kend_request *request)
{
    return proto_id_is(request->match.id);
}

void *kend_request_open(void *cls, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct kend_request *request = info->socket_context ? calloc(1, sizeof *request) : NULL;
    if (!request) return NULL;
    request->peer = info->socket_context;
    request->magic = REQUEST_MAGIC;
    request->http = cls;
    request->connection = connection;
    request->started = kend_monotonic_us();
    request->target = strdup(target);
    if (request->target) {
        atomic_fetch_add(&request->http->requests, 1);
        return request;
    }
    free(request);
    return NULL;
}

enum MHD_Result kend_request_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **context)
{
    struct kend_request *request = *context;
    (void)cls, (void)connection, (void)url;
    if (!request) return MHD_NO; /* out of memory at its start, or at its connection's */
    KEN_ASSERT(request->magic == REQUEST_MAGIC);
    if (!request->begun) return request_begin(request, method, version);
    if (*upload_size) return request_take(request, upload, upload_size);
    return request_answer(request);
}

void kend_request_closed(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
    struct kend_request *request = *context;
    (void)cls, (void)connection;
    *context = NULL;
    if (!request) return;
    KEN_ASSERT(request->magic == REQUEST_MAGIC && !request->wait.suspended);
    bool whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (kend_connection_rests(request->http->connections, request->peer)) {
        request->status = proto_problem_status(PROTO_REQUEST_TIMEOUT);
        request->bytes = kend_connection_parted_bytes(request->peer);
        whole = request->bytes > 0;
    }
    if (request->begun) {
        int64_t busy = kend_monotonic_us() - request->started - request->wait.suspended_ms * 1000;
        if (busy < 0) busy = 0; /* suspensions are counted in whole milliseconds */
        if (request->status)
            kend_http_metrics_count(&request->http->metrics, request->match.route, request->method, request->status,
                                    busy > 0 ? (uint64_t)busy : 0);
        kend_request_log(request, busy, whole);
    }
    if (request->release) request->release(request->state);
    if (request->shares) kend_shares_give(request->http->shares, kend_request_owner(request));
    atomic_fetch_sub(&request->http->requests, 1);
    body_free(request);
    kend_request_let_go_document(request);
    kend_request_let_go(request, request->held);
    free(request->target);
    request->magic = 0;
    free(request);
}
