/* SPDX-License-Identifier: Apache-2.0 */
#include "http/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOST_NAME_MAX_BYTES = 255 };

struct host {
    char name[HOST_NAME_MAX_BYTES + 1]; /* lower case, without brackets or a final dot */
    bool bracketed;
    bool has_port;
    uint16_t port;
};

static bool port_parse(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 5 || text[digits]) return false;
    unsigned long value = strtoul(text, NULL, 10);
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool is_host_character(char c, bool bracketed)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.') return true;
    return bracketed ? c == ':' : c == '-' || c == '_';
}

/* NAME, NAME:PORT, [V6] or [V6]:PORT of `length` bytes. */
static bool host_parse(struct host *host, const char *text, size_t length)
{
    char copy[HOST_NAME_MAX_BYTES + 9];
    char *name = copy;
    if (!length || length >= sizeof copy || memchr(text, 0, length)) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    host->bracketed = copy[0] == '[';
    host->has_port = false;
    char *end = strchr(copy, host->bracketed ? ']' : ':');
    if (host->bracketed) {
        if (!end) return false;
        *end++ = '\0';
        name++;
    }
    if (end && *end) {
        if (*end != ':') return false;
        *end++ = '\0';
        if (!port_parse(end, &host->port)) return false;
        host->has_port = true;
    }
    size_t used = strlen(name);
    if (used > 1 && !host->bracketed && name[used - 1] == '.') name[--used] = '\0';
    if (!used || used > HOST_NAME_MAX_BYTES) return false;
    for (size_t i = 0; i <= used; i++) {
        if (name[i] && !is_host_character(name[i], host->bracketed)) return false;
        host->name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
    }
    struct in6_addr v6;
    return !host->bracketed || inet_pton(AF_INET6, host->name, &v6) == 1;
}

int kend_address_parse(struct kend_address *address, const char *text, struct ken_error *error)
{
    struct host host;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->storage;
    memset(address, 0, sizeof *address);
    if (!host_parse(&host, text, strlen(text)) || !host.has_port) goto malformed;
    if (host.bracketed) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(host.port);
        inet_pton(AF_INET6, host.name, &v6->sin6_addr);
        address->length = sizeof *v6;
        return KEN_OK;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(host.port);
    address->length = sizeof *v4;
    if (inet_pton(AF_INET, strcmp(host.name, "localhost") == 0 ? "127.0.0.1" : host.name, &v4->sin_addr) == 1) return KEN_OK;
malformed:
    return ken_fail(error, KEN_EINVALID, "\"%s\" is not ADDR:PORT (such as 127.0.0.1:8377 or [::1]:8377)", text);
}

bool kend_address_is_loopback(const struct kend_address *address)
{
    if (address->storage.ss_family == AF_INET) return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
}

bool kend_address_is_any(const struct kend_address *address)
{
    if (address->storage.ss_family == AF_INET) return ((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
}

uint16_t kend_address_port(const struct kend_address *address)
{
    if (address->storage.ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
}

void kend_address_text(const struct kend_address *address, char *text)
{
    char literal[INET6_ADDRSTRLEN] = "";
    bool v6 = address->storage.ss_family == AF_INET6;
    const void *binary = v6 ? (const void *)&((const struct sockaddr_in6 *)&address->storage)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)&address->storage)->sin_addr;
    inet_ntop(address->storage.ss_family, binary, literal, sizeof literal);
    snprintf(text, KEND_ADDRESS_TEXT, v6 ? "[%s]:%u" : "%s:%u", literal, (unsigned)kend_address_port(address));
}

static bool is_literal(const struct host *host)
{
    struct in_addr v4;
    return host->bracketed || inet_pton(AF_INET, host->name, &v4) == 1;
}

/* Whether the literal is the address listened on. */
static bool is_listening(const struct kend_hosts *hosts, const struct host *host)
{
    const struct sockaddr_storage *storage = &hosts->listening.storage;
    struct in6_addr v6;
    struct in_addr v4;
    if (storage->ss_family == AF_INET6)
        return host->bracketed && inet_pton(AF_INET6, host->name, &v6) == 1 &&
               memcmp(&v6, &((const struct sockaddr_in6 *)storage)->sin6_addr, sizeof v6) == 0;
    return !host->bracketed && inet_pton(AF_INET, host->name, &v4) == 1 &&
           v4.s_addr == ((const struct sockaddr_in *)storage)->sin_addr.s_addr;
}

static bool is_same(const struct host *entry, const struct host *host, bool any_port)
{
    if (strcmp(entry->name, host->name) != 0 || entry->bracketed != host->bracketed) return false;
    if (!entry->has_port) return any_port || !host->has_port;
    return host->has_port && host->port == entry->port;
}

static bool is_allowed_by_list(const char *list, const struct host *host)
{
    while (*list) {
        struct host entry;
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t");
        if (length && host_parse(&entry, list, length) && is_same(&entry, host, true)) return true;
        list += length;
    }
    return false;
}

static bool is_public(const char *url, const struct host *host)
{
    struct host entry;
    const char *authority = strstr(url, "://");
    if (!authority) return false;
    authority += 3;
    return host_parse(&entry, authority, strcspn(authority, "/?#")) && is_same(&entry, host, false);
}

enum kend_host_verdict kend_host_check(const struct kend_hosts *hosts, const char *value, size_t length)
{
    struct host host;
    if (!host_parse(&host, value, length)) return KEND_HOST_MALFORMED;
    bool any = kend_address_is_any(&hosts->listening);
    bool own_port = any || !host.has_port || host.port == kend_address_port(&hosts->listening);
    bool own = strcmp(host.name, "localhost") == 0 || (any ? is_literal(&host) : is_listening(hosts, &host));
    if (own && own_port) return KEND_HOST_ALLOWED;
    if (is_allowed_by_list(hosts->allowed, &host) || is_public(hosts->public_url, &host)) return KEND_HOST_ALLOWED;
    return KEND_HOST_FORBIDDEN;
}

/* Scheme, name and port, all told. */
struct origin {
    bool https;
    struct host host;
};

/* What follows the scheme; NULL if it is neither http: nor https:. */
static const char *after_scheme(const char *url, bool *https)
{
    static const char plain[] = "http://", secure[] = "https://";
    *https = strncasecmp(url, secure, sizeof secure - 1) == 0;
    if (*https) return url + sizeof secure - 1;
    return strncasecmp(url, plain, sizeof plain - 1) == 0 ? url + sizeof plain - 1 : NULL;
}

/* The authority of a URL of that scheme. */
static bool authority_parse(struct origin *origin, const char *authority, size_t length)
{
    if (!host_parse(&origin->host, authority, length)) return false;
    if (!origin->host.has_port) origin->host.port = origin->https ? 443 : 80;
    origin->host.has_port = true;
    return true;
}

/* Of a URL, whose path is not looked at where it may have one. */
static bool origin_parse(struct origin *origin, const char *url, bool may_have_path)
{
    const char *authority = after_scheme(url, &origin->https);
    return authority && authority_parse(origin, authority, may_have_path ? strcspn(authority, "/?#") : strlen(authority));
}

bool kend_host_of_target(const char *target, const char **authority, size_t *length)
{
    bool https;
    *authority = after_scheme(target, &https);
    *length = *authority ? strcspn(*authority, "/?") : 0; /* a fragment is no part of a target */
    return *authority != NULL;
}

bool kend_host_is_target(const char *host, const char *target)
{
    struct origin of_target, own;
    if (!origin_parse(&of_target, target, true)) return false;
    own.https = of_target.https;
    return authority_parse(&own, host, strlen(host)) && is_same(&own.host, &of_target.host, false);
}

bool kend_host_is_origin(const struct kend_hosts *hosts, const char *host, const char *value)
{
    struct origin origin, own;
    char url[HOST_NAME_MAX_BYTES + 32];
    if (!origin_parse(&origin, value, false)) return false;
    if (origin_parse(&own, hosts->public_url, true) && own.https == origin.https && is_same(&own.host, &origin.host, false)) return true;
    int length = snprintf(url, sizeof url, "%s://%s", hosts->tls ? "https" : "http", host);
    return (size_t)length < sizeof url && origin_parse(&own, url, false) && own.https == origin.https &&
           is_same(&own.host, &origin.host, false);
}
