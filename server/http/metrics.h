/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted per request; /metrics prints it with what the other parts count. */
#ifndef KEND_HTTP_METRICS_H
#define KEND_HTTP_METRICS_H

#include "http/router.h"

#include <stdatomic.h>
#include <stdint.h>

/* Every status that kend answers with. */
/* clang-format off */
#define KEND_STATUS_MAP(X) \
    X(200) X(202) X(204) X(206) X(304) X(400) X(401) X(403) X(404) X(405) X(406) X(408) X(409) X(413) X(414) X(415) X(416) X(422) X(429) X(431) \
    X(500) X(503)
/* clang-format on */
#define X(code) +1
enum { KEND_STATUS_COUNT = KEND_STATUS_MAP(X) };
#undef X
/* Upper bounds of kend_http_request_seconds, in microseconds. */
#define KEND_REQUEST_BUCKETS                                                 \
    {                                                                        \
        1000, 5000, 20000, 50000, 100000, 500000, 1000000, 5000000, 30000000 \
    }
enum { KEND_REQUEST_BUCKET_COUNT = 9 };

/* symbol, name: what a limit refused, by answering 408 or 429, or by closing the connection. */
#define KEND_REFUSAL_MAP(X)                    \
    X(KEND_REFUSED_ADDRESS, "address")         \
    X(KEND_REFUSED_RATE, "rate")               \
    X(KEND_REFUSED_MEMORY, "memory")           \
    X(KEND_REFUSED_HEADER, "header_seconds")   \
    X(KEND_REFUSED_BODY, "body_seconds")       \
    X(KEND_REFUSED_SEND, "send_seconds")       \
    X(KEND_REFUSED_CONNECTIONS, "connections") \
    X(KEND_REFUSED_STREAMS, "streams")
#define X(symbol, name) symbol,
enum kend_refusal { KEND_REFUSAL_MAP(X) KEND_REFUSAL_COUNT };
#undef X

/* One more route than there are: requests that no route took. */
struct kend_http_metrics {
    atomic_ullong requests[KEND_ROUTE_COUNT + 1][KEND_METHOD_COUNT][KEND_STATUS_COUNT];
    atomic_ullong bucket[KEND_ROUTE_COUNT + 1][KEND_REQUEST_BUCKET_COUNT + 1];
    atomic_ullong microseconds[KEND_ROUTE_COUNT + 1];
    atomic_ullong refused[KEND_REFUSAL_COUNT];
};

/* Counts one answered request; microseconds without the time it was made to wait. */
void kend_http_metrics_count(struct kend_http_metrics *metrics, enum kend_route_index route, enum kend_method method, int status,
                             uint64_t microseconds);
void kend_http_metrics_refused(struct kend_http_metrics *metrics, enum kend_refusal reason);

#endif
