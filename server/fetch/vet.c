/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of the IANA special-purpose registries (RFC 6890 and its updates), as of 2025. */
#include "fetch/vet.h"

#include <string.h>

/* Where an IPv6 address carries IPv4 addresses. */
enum carries {
    NOTHING,
    LOW,         /* the last 32 bits */
    SIX_TO_FOUR, /* bits 16 to 47 (RFC 3056) */
    TEREDO,      /* the server at bits 32 to 63, the client inverted in the last 32 (RFC 4380) */
    NAT64_LOCAL  /* around the u octet of a /48 (RFC 6052), or the last 32 bits */
};

struct special {
    struct kend_network network;
    bool global;
    enum carries carries;
    const char *what;
};

#define V4(a, b, c, d, bits)                     \
    {                                            \
        .address = {AF_INET, {a, b, c, d}}, bits \
    }
#define V6(bits, ...)                              \
    {                                              \
        .address = {AF_INET6, {__VA_ARGS__}}, bits \
    }
/* clang-format off */
/* The longest prefix decides. */
static const struct special specials[] = {
    {V4(0, 0, 0, 0, 0),          true,  NOTHING, "global"},
    {V4(0, 0, 0, 0, 8),          false, NOTHING, "of \"this network\""},
    {V4(0, 0, 0, 0, 32),         false, NOTHING, "unspecified"},
    {V4(10, 0, 0, 0, 8),         false, NOTHING, "private"},
    {V4(100, 64, 0, 0, 10),      false, NOTHING, "shared (carrier-grade NAT)"},
    {V4(127, 0, 0, 0, 8),        false, NOTHING, "loopback"},
    {V4(168, 63, 129, 16, 32),   false, NOTHING, "a cloud's metadata service"},
    {V4(169, 254, 0, 0, 16),     false, NOTHING, "link-local"},
    {V4(169, 254, 169, 254, 32), false, NOTHING, "link-local (a cloud's metadata service)"},
    {V4(172, 16, 0, 0, 12),      false, NOTHING, "private"},
    {V4(192, 0, 0, 0, 24),       false, NOTHING, "of protocol assignments"},
    {V4(192, 0, 2, 0, 24),       false, NOTHING, "documentation"},
    {V4(192, 88, 99, 0, 24),     false, NOTHING, "a 6to4 relay"},
    {V4(192, 168, 0, 0, 16),     false, NOTHING, "private"},
    {V4(198, 18, 0, 0, 15),      false, NOTHING, "benchmarking"},
    {V4(198, 51, 100, 0, 24),    false, NOTHING, "documentation"},
    {V4(203, 0, 113, 0, 24),     false, NOTHING, "documentation"},
    {V4(224, 0, 0, 0, 4),        false, NOTHING, "multicast"},
    {V4(240, 0, 0, 0, 4),        false, NOTHING, "reserved"},
    {V4(255, 255, 255, 255, 32), false, NOTHING, "broadcast"},

    {V6(0, 0),                                                   false, NOTHING,     "reserved"},
    {V6(128, 0),                                                 false, NOTHING,     "unspecified"},
    {V6(128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),    false, NOTHING,     "loopback"},
    {V6(96, 0),                                                  false, LOW,         "IPv4-compatible"},
    {V6(96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff),           false, LOW,         "IPv4-mapped"},
    {V6(96, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff),                 false, LOW,         "IPv4-translated"},
    {V6(96, 0, 0x64, 0xff, 0x9b),                                false, LOW,         "NAT64"},
    {V6(48, 0, 0x64, 0xff, 0x9b, 0, 1),                          false, NAT64_LOCAL, "local-use NAT64"},
    {V6(64, 1),                                                  false, NOTHING,     "discard-only"},
    {V6(64, 1, 0, 0, 0, 0, 0, 0, 1),                             false, NOTHING,     "a dummy prefix"},
    {V6(3, 0x20),                                                true,  NOTHING,     "global"},
    {V6(23, 0x20, 0x01),                                         false, NOTHING,     "of protocol assignments"},
    {V6(32, 0x20, 0x01, 0, 0),                                   false, TEREDO,      "Teredo"},
    {V6(48, 0x20, 0x01, 0, 2, 0, 0),                             false, NOTHING,     "benchmarking"},
    {V6(32, 0x20, 0x01, 0x0d, 0xb8),                             false, NOTHING,     "documentation"},
    {V6(16, 0x20, 0x02),                                         false, SIX_TO_FOUR, "6to4"},
    {V6(20, 0x3f, 0xff),                                         false, NOTHING,     "documentation"},
    {V6(16, 0x5f, 0),                                            false, NOTHING,     "a segment routing identifier"},
    {V6(7, 0xfc),                                                false, NOTHING,     "unique local"},
    {V6(128, 0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54), false, NOTHING, "unique local (a cloud's metadata service)"},
    {V6(10, 0xfe, 0x80),                                         false, NOTHING,     "link-local"},
    {V6(10, 0xfe, 0xc0),                                         false, NOTHING,     "site-local"},
    {V6(8, 0xff),                                                false, NOTHING,     "multicast"},
};
/* clang-format on */

static const struct special *special_of(const struct kend_ip *address)
{
    const struct special *best = NULL;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        const struct special *one = &specials[i];
        if (kend_network_holds(&one->network, address) && (!best || one->network.bits > best->network.bits)) best = one;
    }
    return best;
}

static struct kend_ip carried(const struct kend_ip *address, const unsigned char at[4], unsigned char invert)
{
    struct kend_ip result = {.family = AF_INET};
    for (int i = 0; i < 4; i++) result.bytes[i] = (unsigned char)(address->bytes[at[i]] ^ invert);
    return result;
}

/* Every IPv4 address that may be meant by it must pass. */
static int vet_carried(const struct kend_ip *address, enum carries carries, const struct kend_networks *allowed, struct ken_error *error)
{
    static const struct {
        enum carries carries;
        unsigned char at[4], invert;
    } places[] = {
        {LOW, {12, 13, 14, 15}, 0},       {SIX_TO_FOUR, {2, 3, 4, 5}, 0},  {TEREDO, {4, 5, 6, 7}, 0},
        {TEREDO, {12, 13, 14, 15}, 0xff}, {NAT64_LOCAL, {6, 7, 9, 10}, 0}, {NAT64_LOCAL, {12, 13, 14, 15}, 0},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i].carries != carries) continue;
        struct kend_ip inner = carried(address, places[i].at, places[i].invert);
        int code = kend_vet_address(&inner, allowed, error);
        if (code) return code;
    }
    return 0;
}

int kend_vet_address(const struct kend_ip *address, const struct kend_networks *allowed, struct ken_error *error)
{
    char text[KEND_IP_TEXT];
    const struct special *special = special_of(address);
    if (!special) return ken_fail(error, KEN_EADDRESS, "neither an IPv4 nor an IPv6 address");
    if (!special->global && !kend_networks_hold(allowed, address))
        return ken_fail(error, KEN_EADDRESS, "the address %s is %s; fetch.allow_networks does not list it", kend_ip_text(address, text),
                        special->what);
    return vet_carried(address, special->carries, allowed, error);
}

int kend_vet_port(unsigned port, const struct kend_ports *allowed, struct ken_error *error)
{
    return kend_ports_hold(allowed, port) ? 0 : ken_fail(error, KEN_EADDRESS, "fetch.allow_ports does not list port %u", port);
}

int kend_vet_socket(const struct sockaddr *socket, socklen_t length, const struct kend_networks *networks, const struct kend_ports *ports,
                    struct ken_error *error)
{
    struct kend_ip address;
    if (!kend_ip_of(&address, socket, length))
        return ken_fail(error, KEN_EADDRESS, "a socket of family %d; only IPv4 and IPv6 are connected to", socket->sa_family);
    const int code = kend_vet_address(&address, networks, error);
    return code ? code : kend_vet_port(kend_port_of(socket), ports, error);
}
