/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

unsigned kend_port_of(const struct sockaddr *socket)
{
    struct sockaddr_in in; /* in both families, the port is in the same place */
    _Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "ports");
    memcpy(&in, socket, sizeof in);
    return ntohs(in.sin_port);
}

static int parse_port(uint16_t *port, const char *text, size_t length, struct ken_error *error)
{
    char shown[40];
    const bool digits = length <= 5 && strspn(text, "0123456789") >= length;
    const unsigned long number = digits ? strtoul(text, NULL, 10) : 0;
    if (!number || number > UINT16_MAX)
        return ken_fail(error, KEN_EINVALID, "\"%s\" is no port: they are numbers from 1 to %d",
                        ken_printable(shown, sizeof shown, text, length), UINT16_MAX);
    *port = (uint16_t)number;
    return 0;
}

int kend_ports_parse(struct kend_ports *ports, const char *text, struct ken_error *error)
{
    *ports = (struct kend_ports){0};
    for (const char *at = text; *(at += strspn(at, " \t,"));) {
        const size_t length = strcspn(at, " \t,");
        uint16_t port = 0;
        int code = parse_port(&port, at, length, error);
        uint16_t *list = code ? NULL : realloc(ports->list, (ports->count + 1) * sizeof *list);
        if (!list) {
            kend_ports_clear(ports);
            return code ? code : ken_fail(error, KEN_ENOMEM, "out of memory");
        }
        ports->list = list;
        ports->list[ports->count++] = port;
        at += length;
    }
    return 0;
}

void kend_ports_clear(struct kend_ports *ports)
{
    free(ports->list);
    *ports = (struct kend_ports){0};
}

bool kend_ports_hold(const struct kend_ports *ports, unsigned port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->list[i] == port) return true;
    return !ports->count;
}
