/* SPDX-License-Identifier: Apache-2.0 */
#include "http/clients.h"

#include "http/hash.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void kend_client_of(struct kend_client *client, const struct sockaddr *address)
{
    memset(client, 0, sizeof *client);
    if (address && address->sa_family == AF_INET) {
        client->address[10] = client->address[11] = 0xff;
        memcpy(client->address + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        memcpy(client->address, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
    }
}

static struct kend_client_state **client_place(struct kend_clients *clients, const struct kend_client *client)
{
    const uint32_t hash = kend_hash(clients->seed, client->address, sizeof client->address);
    struct kend_client_state **place = &clients->state[hash % KEND_CLIENT_HASHES];
    while (*place && memcmp((*place)->client.address, client->address, sizeof client->address) != 0) place = &(*place)->next;
    return place;
}

struct kend_client_state *kend_clients_enter(struct kend_clients *clients, const struct kend_client *client)
{
    struct kend_client_state **place = client_place(clients, client);
    if (!*place) {
        *place = calloc(1, sizeof **place);
        if (!*place) return NULL;
        (*place)->client = *client;
    }
    (*place)->connections++;
    return *place;
}

void kend_clients_leave(struct kend_clients *clients, struct kend_client_state *state)
{
    if (--state->connections) return;
    *client_place(clients, &state->client) = state->next;
    free(state);
}
