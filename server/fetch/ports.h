/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of ports. */
#ifndef KEND_PORTS_H
#define KEND_PORTS_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct kend_ports {
    uint16_t *list; /* [count]; none: all */
    size_t count;
};

/* The port of an IPv4 or IPv6 socket, which must be one and whole. */
unsigned kend_port_of(const struct sockaddr *socket);
/* Parses "443, 8443". KEN_EINVALID names the entry; *ports is empty then. */
int kend_ports_parse(struct kend_ports *ports, const char *text, struct ken_error *error);
void kend_ports_clear(struct kend_ports *ports);
/* Whether the list has it, or is empty. */
bool kend_ports_hold(const struct kend_ports *ports, unsigned port);

#endif
