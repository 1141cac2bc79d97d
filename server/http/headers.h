/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request's header section must be before anything else looks at it. kend does this itself: two readers of one request (a proxy and
 * libmicrohttpd 0.9.75) must never disagree about where it ends or whom it is for.
 */
#ifndef KEND_HTTP_HEADERS_H
#define KEND_HTTP_HEADERS_H

#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Headers that kend reads: symbol, name. Each may appear once at most (traceparent: else it is ""); values are borrowed from the request.
 */
#define KEND_HEADER_MAP(X)                         \
    X(KEND_ACCEPT, "Accept")                       \
    X(KEND_AUTHORIZATION, "Authorization")         \
    X(KEND_CONTENT_ENCODING, "Content-Encoding")   \
    X(KEND_CONTENT_LENGTH, "Content-Length")       \
    X(KEND_CONTENT_TYPE, "Content-Type")           \
    X(KEND_COOKIE, "Cookie")                       \
    X(KEND_EXPECT, "Expect")                       \
    X(KEND_HOST, "Host")                           \
    X(KEND_IDEMPOTENCY_KEY, "Idempotency-Key")     \
    X(KEND_IF_NONE_MATCH, "If-None-Match")         \
    X(KEND_IF_RANGE, "If-Range")                   \
    X(KEND_LAST_EVENT_ID, "Last-Event-ID")         \
    X(KEND_ORIGIN, "Origin")                       \
    X(KEND_RANGE, "Range")                         \
    X(KEND_TRACEPARENT, "traceparent")             \
    X(KEND_TRANSFER_ENCODING, "Transfer-Encoding") \
    X(KEND_X_REQUEST_ID, "X-Request-Id")
#define X(symbol, name) symbol,
enum kend_header { KEND_HEADER_MAP(X) KEND_HEADER_COUNT };
#undef X

struct kend_headers {
    size_t most, most_bytes;              /* http.max_headers, http.max_header_bytes: set by the caller */
    const char *value[KEND_HEADER_COUNT]; /* NULL: not there */
    size_t count, bytes;
    bool chunked;            /* the body's length is not declared */
    uint64_t content_length; /* 0 if not there */
    bool failed;             /* problem and detail say why */
    bool framing;            /* where the request ends is in doubt: the connection must not be used again */
    enum proto_problem problem;
    char detail[256];
};

/* Takes one header in the order received; a struct that is zeroed but for the limits is the start. The first fault stays. */
void kend_headers_add(struct kend_headers *headers, const char *name, const char *value);
/* There are bytes between the headers that none of them tells of. */
void kend_headers_gap(struct kend_headers *headers);
/* After the last: what only the whole tells. version is "HTTP/1.1" or "HTTP/1.0". */
void kend_headers_end(struct kend_headers *headers, const char *version);
/* Whether an If-None-Match value (or NULL) names the strong entity tag (with its quotes); weak comparison, "*" matches. */
bool kend_etag_matches(const char *value, const char *etag);

#endif
