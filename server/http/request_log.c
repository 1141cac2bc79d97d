/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"
#include "log.h"

#include <arpa/inet.h>

/* The job that the request is about; NULL if there is none. */
static const char *job_of(const struct kend_request *request)
{
    if (kend_request_has_id(request)) return request->match.id;
    return *request->made ? request->made : NULL;
}

const char *kend_client_text(char text[INET6_ADDRSTRLEN], const struct sockaddr *address)
{
    if (address && address->sa_family == AF_INET)
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text, INET6_ADDRSTRLEN);
    if (!address || address->sa_family != AF_INET6) return NULL;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) return inet_ntop(AF_INET, six->s6_addr + 12, text, INET6_ADDRSTRLEN);
    return inet_ntop(AF_INET6, six, text, INET6_ADDRSTRLEN);
}

void kend_request_log(const struct kend_request *request, int64_t microseconds, bool whole)
{
    const char *route = request->match.route == KEND_ROUTE_COUNT ? "other" : kend_routes[request->match.route].pattern;
    bool probe = request->match.route >= KEND_ROUTE_LIVEZ && request->match.route <= KEND_ROUTE_METRICS;
    const char *owner = kend_request_owner(request);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char client[INET6_ADDRSTRLEN];
    kend_log(probe ? KEND_LOG_DEBUG : KEND_LOG_INFO, "request", KEND_LOG_REQUEST(request),
             KEND_S("client", kend_client_text(client, info ? info->client_addr : NULL)),
             KEND_S("method", kend_method_name(request->method)), KEND_S("route", route), KEND_S("job", job_of(request)),
             KEND_S("owner", *owner ? owner : NULL), KEND_S("token", *request->identity.token ? request->identity.token : NULL),
             KEND_I("status", request->status), KEND_I("bytes", request->method == KEND_HEAD ? 0 : request->bytes),
             KEND_S("ended", whole ? NULL : "early"), KEND_SECONDS("seconds", (double)microseconds / 1e6),
             KEND_SECONDS("waited_seconds", (double)request->wait.suspended_ms / 1000));
}
