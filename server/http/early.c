/* SPDX-License-Identifier: Apache-2.0 */
#include "http/early.h"

#include "http/raw.h"
#include "http/request.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { EARLY_DROPPED = 64 }; /* pieces of what has come already */

/* What the library logs, on the connection's own thread, when it has made up its mind and has sent nothing yet; the status follows. */
static const char early_sign[] = "Error processing request (HTTP response code is %u";

/* status, problem, detail: what 0.9.75 finds when it has the whole head, and answers with two. Others stay the library's. */
#define EARLY_MAP(X)                                                           \
    X(400, PROTO_BAD_REQUEST, "Content-Length is not a number")                \
    X(413, PROTO_TOO_LARGE, "Content-Length is a number of more than 64 bits") \
    X(431, PROTO_HEADERS_TOO_LARGE, "there are more cookies than there is room for")
static const struct {
    unsigned status;
    enum proto_problem problem;
    const char *detail;
} early_answers[] = {
#define X(status, problem, detail) {status, problem, detail},
    EARLY_MAP(X)
#undef X
};

/* Whether all of it went. The socket does not block; what does not fit into an empty buffer of the kernel's has no reader. */
static bool send_all(const struct kend_connection *connection, const char *answer, size_t length)
{
    if (!connection->encrypted) return send(connection->socket, answer, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection->library, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info && info->tls_session && gnutls_record_send(info->tls_session, answer, length) == (ssize_t)length;
}

/* Closing a socket on unread bytes would destroy the answer on its way. */
static void drop_rest(int socket)
{
    char dropped[4096];
    for (int i = 0; i < EARLY_DROPPED && recv(socket, dropped, sizeof dropped, MSG_DONTWAIT) > 0;) i++;
}

static void answer(struct kend_http *http, struct kend_connection *connection, enum proto_problem problem, const char *detail)
{
    char text[KEND_RAW_SIZE], id[KEND_REQUEST_ID_MADE];
    char *body = kend_raw_body(problem, detail);
    bool sent = false;
    kend_request_make_id(id);
    if (body) sent = send_all(connection, text, kend_raw_answer(text, problem, id, body));
    drop_rest(connection->socket);
    free(body);
    kend_http_metrics_count(&http->metrics, KEND_ROUTE_COUNT, KEND_OTHER_METHOD, proto_problem_status(problem), 0);
    kend_log(KEND_LOG_INFO, "request refused before its head was read", KEND_S("request", id),
             KEND_I("status", proto_problem_status(problem)), KEND_S("ended", sent ? NULL : "early"));
    kend_connection_end(http->connections, connection); /* who sees it end finds the line in the log */
}

void kend_early_look(struct kend_http *http, const char *format, va_list arguments)
{
    if (*MHD_get_version() != '0' || strncmp(format, early_sign, sizeof early_sign - 1) != 0) return;
    va_list copy;
    va_copy(copy, arguments);
    const unsigned status = va_arg(copy, unsigned);
    va_end(copy);
    struct kend_connection *connection = kend_connections_given_up(http->connections);
    for (size_t i = 0; connection && i < sizeof early_answers / sizeof *early_answers; i++)
        if (early_answers[i].status == status) answer(http, connection, early_answers[i].problem, early_answers[i].detail);
}
