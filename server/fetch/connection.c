/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/connection.h"

#include "fetch/vet.h"

#include <sys/socket.h>

/* The one place where a socket is made: after names were looked up, for every hop, and anew for every address that is tried. */
static curl_socket_t open_socket(void *opaque, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct kend_connection *connection = opaque;
    (void)purpose;
    const struct kend_policy *policy = &connection->settings->policy;
    if (kend_vet_socket(&address->addr, address->addrlen, &policy->networks, &policy->ports, &connection->veto)) {
        connection->vetoed++;
        return CURL_SOCKET_BAD;
    }
    curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd != CURL_SOCKET_BAD) connection->opened++;
    return fd;
}

bool kend_connection_prepare(struct kend_connection *connection, const struct kend_connection_settings *settings, CURL *easy)
{
    *connection = (struct kend_connection){.settings = settings};
    return KEND_SET(easy, PROTOCOLS_STR, "http,https") &&
           KEND_SET(easy, HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && /* parallel ranges want connections of their own */
           KEND_SET(easy, FOLLOWLOCATION, 0L) && KEND_SET(easy, NETRC, (long)CURL_NETRC_IGNORED) &&
           KEND_SET(easy, PROXY, settings->proxy ? settings->proxy : "") && /* "": the environment's is not asked for either */
           KEND_SET(easy, NOPROXY, "") && KEND_SET(easy, SUPPRESS_CONNECT_HEADERS, 1L) && KEND_SET(easy, OPENSOCKETFUNCTION, open_socket) &&
           KEND_SET(easy, OPENSOCKETDATA, connection) &&
           KEND_SET(easy, DNS_CACHE_TIMEOUT, 0L) && /* a retry must not go to an address that is no longer the name's */
           KEND_SET(easy, CONNECTTIMEOUT, settings->connect_seconds) && KEND_SET(easy, LOW_SPEED_LIMIT, settings->least_rate) &&
           KEND_SET(easy, LOW_SPEED_TIME, settings->stall_seconds) && KEND_SET(easy, NOSIGNAL, 1L) &&
           KEND_SET(easy, QUICK_EXIT, 1L) && /* ending a transfer does not wait for its resolver, which may take a minute */
           KEND_SET(easy, USERAGENT, "kend") &&
           (!settings->ca_file || (KEND_SET(easy, CAINFO, settings->ca_file) && KEND_SET(easy, CAPATH, NULL)));
}
