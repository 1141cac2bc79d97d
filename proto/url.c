/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include "digest.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_HOST = 253 };

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Length of the scheme if text begins with one and a colon, else 0. */
static size_t scheme_length(const char *text)
{
    size_t length = 0;
    while (is_alnum(text[length]) || (length && text[length] && strchr("+-.", text[length]))) length++;
    return length && text[length] == ':' && isalpha((unsigned char)text[0]) ? length : 0;
}

bool proto_url_has_scheme(const char *text)
{
    return scheme_length(text) > 1;
}

static const char *check_characters(const char *text)
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f) return "must not hold spaces or control characters";
        if (*at == '\\') return "must not hold a backslash";
        if (*at == '#') return "must not have a fragment (#...)";
        if (*at == '%') {
            if (!isxdigit((unsigned char)at[1]) || !isxdigit((unsigned char)at[2])) return "has a % without two hexadecimal digits";
            if (at[1] == '0' && at[2] == '0') return "must not hold %00";
        } else if (!is_alnum(*at) && !strchr("-._~:/?[]@!$&'()*+,;=", *at)) {
            return "holds a character that must be percent-encoded";
        }
    }
    return NULL;
}

/* [length] of letters, digits, '-' and '_' in labels between single dots; one dot at the end is allowed. */
static bool is_host_name(const char *host, size_t length)
{
    if (!length || length > MAX_HOST) return false;
    for (size_t i = 0; i < length; i++) {
        bool label = is_alnum(host[i]) || host[i] == '-' || host[i] == '_';
        bool dot = host[i] == '.' && i && host[i - 1] != '.';
        if (!label && !dot) return false;
    }
    return true;
}

static bool is_v6(const char *host, size_t length)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (length >= sizeof text) return false;
    memcpy(text, host, length);
    text[length] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* The port [length] digits; 0 if it is none. */
static uint16_t parse_port(const char *digits, size_t length)
{
    unsigned port = 0;
    if (length > 5) return 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') return 0;
        port = port * 10 + (unsigned)(digits[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static const char *parse_authority(struct proto_url *url, const char *authority, size_t length)
{
    if (memchr(authority, '@', length)) return "must not hold a user name or password";
    const char *end = authority + length, *rest;
    if (length && *authority == '[') {
        const char *bracket = memchr(authority, ']', length);
        if (!bracket || !is_v6(authority + 1, (size_t)(bracket - authority) - 1)) return "has a host that is not an IPv6 address";
        url->host = authority + 1;
        url->host_length = (size_t)(bracket - authority) - 1;
        url->host_is_v6 = true;
        rest = bracket + 1;
    } else {
        const char *colon = memchr(authority, ':', length);
        rest = colon ? colon : end;
        url->host = authority;
        url->host_length = (size_t)(rest - authority);
        if (!url->host_length) return "has no host";
        if (!is_host_name(url->host, url->host_length)) return "has a host that is not a name or address";
    }
    if (rest == end) return NULL;
    url->port = *rest == ':' ? parse_port(rest + 1, (size_t)(end - rest) - 1) : 0;
    return url->port ? NULL : "has a port that is not a number from 1 to 65535";
}

const char *proto_url_parse(struct proto_url *url, const char *text)
{
    *url = (struct proto_url){.port = 0};
    if (!*text) return "must not be empty";
    if (strlen(text) > PROTO_MAX_URL) return "must have at most 2048 bytes";
    const char *reason = check_characters(text);
    if (reason) return reason;
    size_t scheme = scheme_length(text);
    if (!scheme || scheme > PROTO_MAX_SCHEME) return "must be an absolute URL, as in https://host/path";
    for (size_t i = 0; i < scheme; i++) url->scheme[i] = (char)tolower((unsigned char)text[i]);
    if (strncmp(text + scheme, "://", 3) != 0) return "must have // behind its scheme";
    const char *authority = text + scheme + 3;
    size_t length = strcspn(authority, "/?");
    url->path = authority + length;
    url->path_length = strcspn(url->path, "?");
    if (strpbrk(url->path, "[]")) return "holds a character that must be percent-encoded";
    const char *question = url->path + url->path_length;
    url->query = *question ? question + 1 : NULL;
    if (strcmp(url->scheme, "file") != 0) return parse_authority(url, authority, length);
    url->host = authority;
    if (length) return "must not have a host in a file: URL, as in file:///path";
    if (url->query) return "must not have a query string in a file: URL";
    return url->path_length ? NULL : "must have an absolute path, as in file:///path";
}

bool proto_url_is_single_file(const struct proto_url *url)
{
    static const char index_suffix[] = ".index.json";
    const size_t suffix = sizeof index_suffix - 1;
    if (!url->path_length || url->path[url->path_length - 1] == '/') return false;
    return url->path_length < suffix || memcmp(url->path + url->path_length - suffix, index_suffix, suffix) != 0;
}

char *proto_url_redact(const char *url)
{
    static const char hidden[] = "?...";
    char *shown = malloc(strlen(url) + sizeof hidden);
    if (!shown) return NULL;
    char *to = shown;
    /* Of the URL itself: a reference such as "/login?next=https://..." has one in its query only. */
    size_t scheme = strcspn(url, "/?#");
    if (strncmp(url + scheme, "//", 2) == 0) {
        const char *authority = url + scheme + 2;
        size_t length = strcspn(authority, "/?#\\");
        const char *at = memrchr(authority, '@', length);
        to = mempcpy(to, url, (size_t)(authority - url));
        url = at ? at + 1 : authority;
    }
    size_t visible = strcspn(url, "?#");
    to = mempcpy(to, url, visible);
    if (url[visible] == '?') to = mempcpy(to, hidden, sizeof hidden - 1);
    *to = '\0';
    return shown;
}

char *proto_percent_encode(const char *text, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";
    char *encoded = malloc(3 * strlen(text) + 1), *end = encoded;
    if (!encoded) return NULL;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (is_alnum(*text) || strchr("-._~", *text) || strchr(keep, *text)) {
            *end++ = *text;
        } else {
            *end++ = '%';
            *end++ = digits[byte >> 4];
            *end++ = digits[byte & 15];
        }
    }
    *end = '\0';
    return encoded;
}

bool proto_percent_decode(char *text, bool plus)
{
    char *end = text;
    for (const char *at = text; *at; at++) {
        if (*at != '%') {
            *end++ = (char)(plus && *at == '+' ? ' ' : *at);
            continue;
        }
        int high = ken_hex_digit(at[1]), low = high < 0 ? -1 : ken_hex_digit(at[2]);
        if (low < 0 || high + low == 0) return false;
        *end++ = (char)(high << 4 | low);
        at += 2;
    }
    *end = '\0';
    return true;
}
