/* SPDX-License-Identifier: Apache-2.0 */
/* The one decision about where kend may connect to, taken on the binary address and the port of every connection. */
#ifndef KEND_VET_H
#define KEND_VET_H

#include "fetch/networks.h"
#include "fetch/ports.h"

/*
 * 0 if the address is global or listed in `allowed`, else KEN_EADDRESS with the address, what it is, and the option to set. An IPv6
 * address that carries an IPv4 one (mapped, NAT64, 6to4, Teredo) must be listed itself, and what it carries must pass as well.
 */
int kend_vet_address(const struct kend_ip *address, const struct kend_networks *allowed, struct ken_error *error);
/* 0 if `allowed` lists the port, or nothing, else KEN_EADDRESS. */
int kend_vet_port(unsigned port, const struct kend_ports *allowed, struct ken_error *error);
/* Both of these for what a socket is about to connect to; any other family is refused. */
int kend_vet_socket(const struct sockaddr *socket, socklen_t length, const struct kend_networks *networks, const struct kend_ports *ports,
                    struct ken_error *error);

#endif
