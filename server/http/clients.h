/* SPDX-License-Identifier: Apache-2.0 */
/* Whom connections come from, and what all of one such client have. Under the lock of their user. */
#ifndef KEND_HTTP_CLIENTS_H
#define KEND_HTTP_CLIENTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Whom a connection comes from: an IPv4 address (mapped), or the /64 of an IPv6 one, which is what one customer has. */
struct kend_client {
    unsigned char address[16];
};
void kend_client_of(struct kend_client *client, const struct sockaddr *address);

struct kend_client_state {
    struct kend_client client;
    uint32_t connections;
    size_t held; /* bytes of all of them */
    struct kend_client_state *next;
};

enum { KEND_CLIENT_HASHES = 1024 };
/* Zeroed at the start, but for the seed. */
struct kend_clients {
    uint32_t seed; /* of the hash: whoever has many addresses chooses among them */
    struct kend_client_state *state[KEND_CLIENT_HASHES];
};

/* One connection more of that client. NULL if out of memory. */
struct kend_client_state *kend_clients_enter(struct kend_clients *clients, const struct kend_client *client);
/* One less; with its last one, the state goes. */
void kend_clients_leave(struct kend_clients *clients, struct kend_client_state *state);

#endif
