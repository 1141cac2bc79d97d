/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of networks in CIDR notation, and addresses in binary. */
#ifndef KEND_NETWORKS_H
#define KEND_NETWORKS_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct kend_ip {
    int family; /* AF_INET or AF_INET6 */
    unsigned char bytes[16];
};

struct kend_network {
    struct kend_ip address;
    unsigned bits;
};

struct kend_networks {
    struct kend_network *list; /* [count] */
    size_t count;
};

/* The address of a socket. False: it is neither IPv4 nor IPv6, or too short. */
bool kend_ip_of(struct kend_ip *address, const struct sockaddr *socket, socklen_t length);
/* An address literal as in a URL's host, without brackets; a zone ("%eth0") is none. */
bool kend_ip_parse(struct kend_ip *address, const char *text);
enum { KEND_IP_TEXT = 64 };
const char *kend_ip_text(const struct kend_ip *address, char text[KEND_IP_TEXT]);

/* Parses "10.0.0.0/8, ::1"; an address alone is a network of one. KEN_EINVALID names the entry; *networks is empty then. */
int kend_networks_parse(struct kend_networks *networks, const char *text, struct ken_error *error);
void kend_networks_clear(struct kend_networks *networks);
bool kend_network_holds(const struct kend_network *network, const struct kend_ip *address);
bool kend_networks_hold(const struct kend_networks *networks, const struct kend_ip *address);

#endif
