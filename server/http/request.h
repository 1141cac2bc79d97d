/* SPDX-License-Identifier: Apache-2.0 */
/* One request, from its first line to the end of its answer. Everything here runs on HTTP threads; one request on one thread at a time. */
#ifndef KEND_HTTP_REQUEST_H
#define KEND_HTTP_REQUEST_H

#include "http/headers.h"
#include "http/query.h"
#include "http/router.h"
#include "http/server.h"
#include "http/trace.h"
#include "http/wait.h"

#include <jansson.h>
#include <netinet/in.h>

enum { KEND_REQUEST_ID_MAX = 128, KEND_REQUEST_ID_MADE = 33 };

struct kend_request {
    unsigned magic;
    struct kend_http *http;
    struct MHD_Connection *connection;
    struct kend_connection *peer; /* the same, as connections.c knows it */
    const char *head;             /* where its method stands in the connection's memory: at the beginning */
    char *target;                 /* as received; cut into path and query, whose parameters point into it */
    char id[KEND_REQUEST_ID_MAX + 1];
    char trace[KEND_TRACE_SIZE]; /* "" if the client gave none */
    char made[PROTO_ID_SIZE];    /* the job that it was answered with, where the path has none; else "" */
    enum kend_method method;
    struct kend_headers headers;
    struct kend_match match;
    struct kend_query query;
    struct kend_identity identity; /* who asks */
    char challenge[96];            /* WWW-Authenticate of the refusal; "" for none */

    bool begun;
    bool last;    /* the connection ends with the answer */
    bool crowded; /* the answer found no place in memory */
    bool refused; /* the answer is `problem` with `detail`, once the body has been read or dropped */
    enum proto_problem problem;
    char detail[512];
    char *body; /* [body_size], NUL after it; NULL if there is none */
    size_t body_size, body_room, body_dropped;
    size_t held;         /* of http->held_bytes, the body's room among it */
    size_t document;     /* of http->held_bytes, what its document may take */
    int64_t retry_after; /* seconds, of the refusal; 0: as its problem says */

    int64_t started;        /* monotonic us */
    int64_t deadline;       /* monotonic ms: the end of its waiting; 0: has not begun */
    char content_range[64]; /* of a 416 */
    int status;             /* of the answer; 0: none was queued */
    uint64_t bytes;         /* of its body */
    struct kend_wait wait;  /* if it waits */
    bool shares;            /* it is one of its owner's that wait */
    void *state;            /* what a handler keeps over a suspension */
    void (*release)(void *state);
};

/* What a line of the log tells of the request that it belongs to. */
#define KEND_LOG_REQUEST(r) KEND_S("request", (r)->id), KEND_S("trace", *(r)->trace ? (r)->trace : NULL)

/* One line that tells how it went. whole: the answer has gone to its last byte. Whose request it was is known where nothing refused it
 * before. */
void kend_request_log(const struct kend_request *request, int64_t microseconds, bool whole);
/* An id for a request that came without. */
void kend_request_make_id(char id[KEND_REQUEST_ID_MADE]);
/* The address of a peer, an IPv4 one as such even where it is mapped; NULL if it is none of these. */
const char *kend_client_text(char text[INET6_ADDRSTRLEN], const struct sockaddr *address);

/* Callbacks of libmicrohttpd; cls is the kend_http. */
void *kend_request_open(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result kend_request_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **context);
void kend_request_closed(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code);

/* Has the request answered with this problem, once its body has been read or dropped; the first reason stays. */
void kend_request_refuse(struct kend_request *request, enum proto_problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whose the jobs are that the request makes: its token's owner's, "" without one. */
const char *kend_request_owner(const struct kend_request *request);
/* Whose jobs it may see and touch: NULL for everybody's, else that owner's. */
const char *kend_request_sees(const struct kend_request *request);
/* Whether it may wait beside its owner's others that do (http.max_waiting_per_owner). */
bool kend_request_may_wait(struct kend_request *request);
/* The job id of the path; false if it cannot be one (nothing has been answered then). */
bool kend_request_has_id(const struct kend_request *request);
/* The body as JSON, for kend_request_json_free. NULL: it was answered (with *result). */
json_t *kend_request_json(struct kend_request *request, enum MHD_Result *result);
void kend_request_json_free(struct kend_request *request, json_t *document);

#endif
