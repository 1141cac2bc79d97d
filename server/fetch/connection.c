/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/connection.h"

#include "fetch/vet.h"

#include <sys/socket.h>

/* The one place where a socket is made: after names were looked up, for every hop, and anew for every address that is tried. */
static curl_socket_t open_socket(void *opaque, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct kend_connection *connection = opaque;
    (void)purpose;
    if (kend_vet_socket(&address->addr, address->addrlen, &connection->settings->policy.networks, &connection->veto)) {
        connection->vetoed++;
        return CURL_SOCKET_BAD;
    }
    curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd != CURL_SOCKET_BAD) connection->opened++;
    return fd;
}

void kend_connection_prepare(struct kend_connection *connection, const struct kend_connection_settings *settings, CURL *easy)
{
    *connection = (struct kend_connection){.settings = settings};
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* parallel ranges want connections of their own */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy ? settings->proxy : ""); /* "": the environment's is not asked for either */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, connection);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* a retry must not go to an address that is no longer the name's */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, settings->connect_seconds);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, settings->least_rate);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, settings->stall_seconds);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* ending a transfer does not wait for its resolver, which may take a minute */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kend");
    if (settings->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}
