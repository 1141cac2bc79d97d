/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where kend listens, and which Host headers it answers to. A page of a stranger can make a browser send requests to kend under the
 * stranger's own name (DNS rebinding); a name that nobody allowed is therefore refused. An address literal cannot be rebound.
 */
#ifndef KEND_HTTP_HOST_H
#define KEND_HTTP_HOST_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct kend_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* "ADDR:PORT", "[ADDR]:PORT" or "localhost:PORT" (127.0.0.1). KEN_EINVAL. */
int kend_address_parse(struct kend_address *address, const char *text, struct ken_error *error);
/* Whether it is within 127.0.0.0/8 or ::1. */
bool kend_address_is_loopback(const struct kend_address *address);
/* Whether it is 0.0.0.0 or ::. */
bool kend_address_is_any(const struct kend_address *address);
uint16_t kend_address_port(const struct kend_address *address);
/* "127.0.0.1:8377", "[::1]:8377"; text [KEND_ADDRESS_TEXT]. */
enum { KEND_ADDRESS_TEXT = 64 };
void kend_address_text(const struct kend_address *address, char *text);

struct kend_hosts {
    struct kend_address listening; /* as bound */
    const char *allowed;           /* http.allowed_hosts: NAME or NAME:PORT, comma-separated */
    const char *public_url;        /* "" or URL: its authority is allowed */
    bool tls;                      /* whether https is spoken there */
};

enum kend_host_verdict { KEND_HOST_ALLOWED, KEND_HOST_MALFORMED, KEND_HOST_FORBIDDEN };
/*
 * Allowed are: the address listened on and `localhost` with the port listened on or none; what http.allowed_hosts names (without a port in
 * the entry: any port); the authority of http.public_url. Listening on the any-address (a container, whose port may be mapped): every
 * address literal and localhost with any port.
 */
enum kend_host_verdict kend_host_check(const struct kend_hosts *hosts, const char *value, size_t length);
/*
 * Whether an Origin header names kend itself: http.public_url's scheme and authority, or those of the request, whose Host was allowed. A
 * port that is not there is the scheme's.
 */
bool kend_host_is_origin(const struct kend_hosts *hosts, const char *host, const char *origin);

/*
 * A request target in absolute form, as a proxy's client sends it: true, and its authority [*length] in it, where it is http: or https:.
 * What follows the authority is a path, a query or nothing.
 */
bool kend_host_of_target(const char *target, const char **authority, size_t *length);
/* Whether the target's authority, which kend_host_check has to allow too, is that of the Host header. */
bool kend_host_is_target(const char *host, const char *target);

#endif
