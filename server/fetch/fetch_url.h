/* SPDX-License-Identifier: Apache-2.0 */
/* A URL that is fetched from: absolute, normalised, vetted as far as its text can be. */
#ifndef KEND_FETCH_URL_H
#define KEND_FETCH_URL_H

#include "fetch/networks.h"
#include "fetch/ports.h"

#include <stdbool.h>

/* What may be fetched from at all. */
struct kend_policy {
    char *schemes; /* comma-separated, lower case */
    struct kend_networks networks;
    struct kend_ports ports;
};

/* All text is owned; all zero: none. */
struct kend_url {
    char *text;  /* for curl: without fragment, dot segments and default port; the host in lower case */
    char *shown; /* for messages: "?..." instead of a query string */
    char *scheme, *host, *port;
    char *path; /* percent-encoded */
};

/*
 * Parses an absolute URL, or where `base` is not NULL a Location header that may be relative to it. KEN_EFETCH: malformed, with userinfo or
 * control characters. KEN_EADDRESS: a scheme that fetch.allow_schemes does not list, an address literal that is not allowed, a step from
 * https to http, or from anywhere else to file. *url must be none and stays so on failure.
 */
int kend_url_parse(struct kend_url *url, const char *text, const struct kend_url *base, const struct kend_policy *policy,
                   struct ken_error *error);
/* The file `name` beside what `base` names (in it, where base ends in '/'), on the same origin and with the same query string. */
int kend_url_beside(struct kend_url *url, const struct kend_url *base, const char *name, struct ken_error *error);
/* Its path with a '/' at the end. */
int kend_url_into(struct kend_url *url, const struct kend_url *base, struct ken_error *error);
int kend_url_copy(struct kend_url *url, const struct kend_url *from);
void kend_url_clear(struct kend_url *url);
bool kend_url_is_file(const struct kend_url *url);
/* Whether its path ends in '/'. */
bool kend_url_is_folder(const struct kend_url *url);
/* The decoded path of a file: URL, malloc'ed; NULL if out of memory. */
char *kend_url_file_path(const struct kend_url *url);

#endif
