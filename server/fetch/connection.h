/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How kend connects to servers whose names strangers wrote: the one place where sockets are made, and what libcurl must not do on its own.
 * Every easy handle that such a URL is given to gets its options from here, whatever it is for.
 */
#ifndef KEND_CONNECTION_H
#define KEND_CONNECTION_H

#include "fetch/fetch_url.h"

#include <curl/curl.h>

/* Settings of all connections, borrowed. */
struct kend_connection_settings {
    struct kend_policy policy;
    char *ca_file, *proxy; /* NULL: none */
    long connect_seconds;
    long stall_seconds, least_rate; /* slower than so many bytes a second for so long: it has stalled */
};

/* Sets an option of libcurl; false if out of memory. */
#define KEND_SET(easy, option, value) (curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)

/* What became of the sockets of one request. */
struct kend_connection {
    const struct kend_connection_settings *settings;
    unsigned opened, vetoed;
    struct ken_error veto; /* the last one */
};

/*
 * Sets what all requests have in common on `easy`: http and https alone; no proxy, netrc, cookie or redirect that kend did not choose
 * itself; and every socket is vetted by kend_vet_socket on the address that it is about to connect to. *connection is made anew and must
 * live as long as the request. `settings` is borrowed. False if out of memory: then what is left at a default may be the proxy of the
 * environment.
 */
bool kend_connection_prepare(struct kend_connection *connection, const struct kend_connection_settings *settings, CURL *easy);

#endif
