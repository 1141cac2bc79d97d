/* SPDX-License-Identifier: Apache-2.0 */
/* URLs as kend accepts them: a strict subset of RFC 3986, so that no two readers can understand one differently. */
#ifndef PROTO_URL_H
#define PROTO_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTO_MAX_URL = 2048, PROTO_MAX_SCHEME = 24 };

/* Parts of a URL; pointers lead into its text. */
struct proto_url {
    char scheme[PROTO_MAX_SCHEME + 1]; /* lower case */
    const char *host;                  /* [host_length], an IPv6 address without its brackets */
    size_t host_length;                /* 0 for file: URLs alone */
    bool host_is_v6;
    uint16_t port;    /* 0: the scheme's own */
    const char *path; /* [path_length], with its leading '/'; may be empty */
    size_t path_length;
    const char *query; /* behind the '?', to the end of the text; NULL if there is none */
};

/*
 * Takes a URL apart. Refused: userinfo, fragments, anything but the characters of RFC 3986, broken or NUL percent escapes, host names and
 * ports that are none, more than PROTO_MAX_URL bytes, a file: URL with a host. Returns NULL, or what is wrong as a constant text.
 */
const char *proto_url_parse(struct proto_url *url, const char *text);
/* Whether text begins as a URL does: a scheme of at least two letters and a colon. */
bool proto_url_has_scheme(const char *text);
/* Whether the path names a folder (ends in '/', or is empty) or an index of shards, instead of a single file. */
bool proto_url_is_single_file(const struct proto_url *url);
/* A malloc'ed copy of any text given as a URL, for showing: "?..." instead of a query string, no userinfo, no fragment. NULL if out of
 * memory. */
char *proto_url_redact(const char *url);

/* A malloc'ed copy of text with everything percent-encoded but RFC 3986's unreserved characters and those of `keep`. NULL if out of memory.
 */
char *proto_percent_encode(const char *text, const char *keep);
/* Decodes text in place; plus: a '+' means a space, as in query strings. False, with the text undefined, for a '%' without two hexadecimal
 * digits and for %00. */
bool proto_percent_decode(char *text, bool plus);

#endif
