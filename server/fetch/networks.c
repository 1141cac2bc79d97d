/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { NETWORK_TEXT = 80 };

bool kend_ip_of(struct kend_ip *address, const struct sockaddr *socket, socklen_t length)
{
    *address = (struct kend_ip){.family = socket->sa_family};
    if (socket->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, socket, sizeof in);
        memcpy(address->bytes, &in.sin_addr, 4);
        return true;
    }
    if (socket->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in;
        memcpy(&in, socket, sizeof in);
        memcpy(address->bytes, &in.sin6_addr, 16);
        return true;
    }
    return false;
}

bool kend_ip_parse(struct kend_ip *address, const char *text)
{
    *address = (struct kend_ip){.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    return inet_pton(address->family, text, address->bytes) == 1;
}

const char *kend_ip_text(const struct kend_ip *address, char text[KEND_IP_TEXT])
{
    return inet_ntop(address->family, address->bytes, text, KEND_IP_TEXT) ? text : "?";
}

static unsigned width(int family)
{
    return family == AF_INET6 ? 128 : 32;
}

/* Whether the first `bits` bits are the same. */
static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0) return false;
    return !rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool has_bits_beyond(const struct kend_network *network)
{
    for (unsigned bit = network->bits; bit < width(network->address.family); bit++)
        if (network->address.bytes[bit / 8] & (0x80 >> bit % 8)) return true;
    return false;
}

static int parse_network(struct kend_network *network, const char *text, size_t length, struct ken_error *error)
{
    char copy[NETWORK_TEXT], shown[NETWORK_TEXT];
    ken_printable(shown, sizeof shown, text, length);
    if (length >= sizeof copy || memchr(text, '\0', length)) return ken_fail(error, KEN_EINVALID, "\"%s\" is no network", shown);
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *slash = strchr(copy, '/');
    if (slash) *slash++ = '\0';
    if (!kend_ip_parse(&network->address, copy))
        return ken_fail(error, KEN_EINVALID, "\"%s\" is no network: write it as 10.0.0.0/8 or fd00::/8", shown);
    network->bits = width(network->address.family);
    if (!slash) return 0;
    size_t digits = strspn(slash, "0123456789");
    unsigned long bits = digits >= 1 && digits <= 3 && !slash[digits] ? strtoul(slash, NULL, 10) : 1000;
    if (bits > network->bits) return ken_fail(error, KEN_EINVALID, "\"%s\": the prefix is 0 to %u bits", shown, network->bits);
    network->bits = (unsigned)bits;
    if (has_bits_beyond(network)) return ken_fail(error, KEN_EINVALID, "\"%s\" has bits set beyond its prefix", shown);
    return 0;
}

int kend_networks_parse(struct kend_networks *networks, const char *text, struct ken_error *error)
{
    *networks = (struct kend_networks){0};
    for (const char *at = text; *at;) {
        at += strspn(at, " \t,");
        size_t length = strcspn(at, " \t,");
        if (!length) break;
        struct kend_network network;
        int code = parse_network(&network, at, length, error);
        struct kend_network *list = code ? NULL : realloc(networks->list, (networks->count + 1) * sizeof *list);
        if (!list) {
            kend_networks_clear(networks);
            return code ? code : ken_fail(error, KEN_ENOMEM, "out of memory");
        }
        networks->list = list;
        networks->list[networks->count++] = network;
        at += length;
    }
    return 0;
}

void kend_networks_clear(struct kend_networks *networks)
{
    free(networks->list);
    *networks = (struct kend_networks){0};
}

bool kend_network_holds(const struct kend_network *network, const struct kend_ip *address)
{
    return network->address.family == address->family && same_prefix(network->address.bytes, address->bytes, network->bits);
}

bool kend_networks_hold(const struct kend_networks *networks, const struct kend_ip *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (kend_network_holds(&networks->list[i], address)) return true;
    return false;
}
