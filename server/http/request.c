/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include "clock.h"
#include "http/access.h"
#include "http/memory.h"
#include "http/request_head.h"
#include "http/respond.h"
#include "json_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    REQUEST_MAGIC = 0x6b656e72,
    /* A body that is refused is still read up to this size: closing the connection on unread bytes would destroy the answer. */
    REQUEST_MAX_DROPPED = 4 << 20,
    /* A document of empty arrays takes so many times its text. */
    REQUEST_DOCUMENT_FACTOR = 48,
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

void kend_request_make_id(char id[KEND_REQUEST_ID_MADE])
{
    unsigned char noise[(KEND_REQUEST_ID_MADE - 1) / 2] = {0};
    ssize_t got = getrandom(noise, sizeof noise, GRND_NONBLOCK);
    (void)got; /* an id of zeros is as good as none */
    for (size_t i = 0; i < sizeof noise; i++) snprintf(id + 2 * i, 3, "%02x", noise[i]);
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
    request->begun = true;
    request->head = method;
    kend_request_check_head(request, method, version);
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
    if (!kend_hold_or_answer(request, request->body_size * REQUEST_DOCUMENT_FACTOR, result)) return NULL;
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
    if (request->wait.since) kend_access_check_again(request);
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
