/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/vet.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static int vet(const char *text, const char *list, struct ken_error *error)
{
    struct kend_ip ip;
    struct kend_networks allowed;
    ck_assert_msg(kend_ip_parse(&ip, text), "%s", text);
    ck_assert_int_eq(kend_networks_parse(&allowed, list, NULL), 0);
    int code = kend_vet_address(&ip, &allowed, error);
    kend_networks_clear(&allowed);
    return code;
}

static const char *const global[] = {
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "151.101.1.69",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.196.1",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2400:cb00::1",
    "2606:4700:4700::1111",
    "2620:4f:8000::1",
    "2a00:1450:4001::64",
    "3ffe::1",
    "3fff:1000::1",
};

/* Each with a word that its error must hold. */
static const struct {
    const char *ip, *word;
} refused[] = {
    {"0.0.0.0", "unspecified"},
    {"0.0.0.1", "this network"},
    {"0.255.255.255", "this network"},
    {"10.0.0.0", "private"},
    {"10.0.0.1", "private"},
    {"10.255.255.255", "private"},
    {"100.64.0.0", "shared"},
    {"100.100.100.200", "shared"},
    {"100.127.255.255", "shared"},
    {"127.0.0.0", "loopback"},
    {"127.0.0.1", "loopback"},
    {"127.0.0.53", "loopback"},
    {"127.255.255.255", "loopback"},
    {"168.63.129.16", "metadata"},
    {"169.254.0.0", "link-local"},
    {"169.254.169.253", "link-local"},
    {"169.254.169.254", "metadata"},
    {"169.254.170.2", "link-local"},
    {"169.254.255.255", "link-local"},
    {"172.16.0.0", "private"},
    {"172.17.0.1", "private"},
    {"172.31.255.255", "private"},
    {"192.0.0.0", "protocol"},
    {"192.0.0.8", "protocol"},
    {"192.0.0.170", "protocol"},
    {"192.0.0.192", "protocol"},
    {"192.0.0.255", "protocol"},
    {"192.0.2.0", "documentation"},
    {"192.0.2.255", "documentation"},
    {"192.88.99.1", "6to4"},
    {"192.168.0.0", "private"},
    {"192.168.1.1", "private"},
    {"192.168.255.255", "private"},
    {"198.18.0.0", "benchmarking"},
    {"198.19.255.255", "benchmarking"},
    {"198.51.100.0", "documentation"},
    {"198.51.100.255", "documentation"},
    {"203.0.113.0", "documentation"},
    {"203.0.113.255", "documentation"},
    {"224.0.0.0", "multicast"},
    {"224.0.0.251", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.254", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "compatible"},
    {"::7f00:1", "compatible"},
    {"::127.0.0.1", "compatible"},
    {"::8.8.8.8", "compatible"},
    {"::ffff:127.0.0.1", "mapped"},
    {"::ffff:10.0.0.1", "mapped"},
    {"::ffff:169.254.169.254", "mapped"},
    {"::ffff:8.8.8.8", "mapped"},
    {"::ffff:0:127.0.0.1", "translated"},
    {"::1:0:0:1", "reserved"},
    {"64:ff9b::7f00:1", "NAT64"},
    {"64:ff9b::10.0.0.1", "NAT64"},
    {"64:ff9b::8.8.8.8", "NAT64"},
    {"64:ff9b::1:0:0", "reserved"},
    {"64:ff9b:1::1", "local-use NAT64"},
    {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "local-use NAT64"},
    {"64:ff9b:2::1", "reserved"},
    {"100::1", "discard"},
    {"100:0:0:1::1", "dummy"},
    {"100:0:0:2::1", "reserved"},
    {"200::1", "reserved"},
    {"1fff:ffff::1", "reserved"},
    {"2001::1", "Teredo"},
    {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"},
    {"2001:1::1", "protocol"},
    {"2001:2::1", "benchmarking"},
    {"2001:2:0:ffff::1", "benchmarking"},
    {"2001:3::1", "protocol"},
    {"2001:10::1", "protocol"},
    {"2001:20::1", "protocol"},
    {"2001:1ff:ffff::1", "protocol"},
    {"2001:db8::", "documentation"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
    {"2002:7f00:1::1", "6to4"},
    {"2002:a00:1::1", "6to4"},
    {"2002:808:808::1", "6to4"},
    {"3fff::1", "documentation"},
    {"3fff:fff:ffff::1", "documentation"},
    {"4000::1", "reserved"},
    {"5f00::1", "segment"},
    {"5f01::1", "reserved"},
    {"8000::1", "reserved"},
    {"e000::1", "reserved"},
    {"fbff:ffff::1", "reserved"},
    {"fc00::1", "unique local"},
    {"fd00:ec2::253", "unique local"},
    {"fd00:ec2::254", "metadata"},
    {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"},
    {"fe00::1", "reserved"},
    {"fe80::1", "link-local"},
    {"fe80::a9fe:a9fe", "link-local"},
    {"febf:ffff::1", "link-local"},
    {"fec0::1", "site-local"},
    {"feff:ffff::1", "site-local"},
    {"ff00::1", "multicast"},
    {"ff02::1", "multicast"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"},
};

START_TEST(global_addresses_pass)
{
    for (size_t i = 0; i < sizeof global / sizeof *global; i++) {
        struct ken_error error = {0};
        ck_assert_msg(vet(global[i], "", &error) == 0, "%s: %s", global[i], error.message);
    }
}
END_TEST

START_TEST(all_others_are_refused_by_name)
{
    ck_assert_uint_ge(sizeof global / sizeof *global + sizeof refused / sizeof *refused, 120);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct ken_error error = {0};
        char text[KEND_IP_TEXT];
        struct kend_ip ip;
        ck_assert_msg(vet(refused[i].ip, "", &error) == KEN_EADDRESS, "%s passed", refused[i].ip);
        ck_assert_msg(strstr(error.message, refused[i].word) != NULL, "%s: %s", refused[i].ip, error.message);
        ck_assert(kend_ip_parse(&ip, refused[i].ip));
        ck_assert_msg(strstr(error.message, kend_ip_text(&ip, text)) != NULL, "%s: %s", refused[i].ip, error.message);
        ck_assert_ptr_nonnull(strstr(error.message, "fetch.allow_networks"));
    }
}
END_TEST

START_TEST(listed_networks_pass_and_no_others)
{
    ck_assert_int_eq(vet("10.1.2.3", "10.0.0.0/8", NULL), 0);
    ck_assert_int_eq(vet("10.1.2.3", "10.1.2.3", NULL), 0);
    ck_assert_int_eq(vet("10.1.2.4", "10.1.2.3/32", NULL), KEN_EADDRESS);
    ck_assert_int_eq(vet("127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", NULL), 0);
    ck_assert_int_eq(vet("::1", "127.0.0.0/8", NULL), KEN_EADDRESS);
    ck_assert_int_eq(vet("::1", "::1/128", NULL), 0);
    ck_assert_int_eq(vet("fd12::1", "fd00::/8", NULL), 0);
    ck_assert_int_eq(vet("169.254.169.254", "10.0.0.0/8,192.168.0.0/16", NULL), KEN_EADDRESS);
    ck_assert_int_eq(vet("169.254.169.254", "0.0.0.0/0", NULL), 0);
    ck_assert_int_eq(vet("8.8.8.8", "10.0.0.0/8", NULL), 0);
}
END_TEST

START_TEST(what_an_address_carries_must_pass_as_well)
{
    static const struct {
        const char *ip, *list;
        int code;
    } cases[] = {
        {"::ffff:10.0.0.1", "10.0.0.0/8", KEN_EADDRESS},
        {"::ffff:10.0.0.1", "::ffff:0:0/96", KEN_EADDRESS},
        {"::ffff:10.0.0.1", "::ffff:0:0/96,10.0.0.0/8", 0},
        {"::ffff:8.8.8.8", "::ffff:0:0/96", 0},
        {"64:ff9b::8.8.8.8", "64:ff9b::/96", 0},
        {"64:ff9b::169.254.169.254", "64:ff9b::/96", KEN_EADDRESS},
        {"64:ff9b::169.254.169.254", "::/0", KEN_EADDRESS},
        {"64:ff9b::10.0.0.1", "64:ff9b::/96,10.0.0.0/8", 0},
        /* 10.0.0.1 around the u octet of a /48, with 8.8.8.8 at the end; and the other way round */
        {"64:ff9b:1:a00:0:100:808:808", "64:ff9b:1::/48", KEN_EADDRESS},
        {"64:ff9b:1:808:8:800:a00:1", "64:ff9b:1::/48", KEN_EADDRESS},
        {"64:ff9b:1:808:8:800:808:808", "64:ff9b:1::/48", 0},
        {"2002:808:808::1", "2002::/16", 0},
        {"2002:a9fe:a9fe::1", "2002::/16", KEN_EADDRESS},
        {"2002:7f00:1::1", "2002::/16,127.0.0.0/8", 0},
        /* Teredo: server 65.54.227.120, client 192.0.2.45 inverted */
        {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::/32", KEN_EADDRESS},
        {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::/32,192.0.2.0/24", 0},
        {"2001:0:a00:1:8000:63bf:f7f7:f7f7", "2001::/32", KEN_EADDRESS},
        {"2001:0:4136:e378:8000:63bf:f7f7:f7f7", "2001::/32", 0},
        {"::10.0.0.1", "::/96", KEN_EADDRESS},
        {"::1", "::/96", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(vet(cases[i].ip, cases[i].list, NULL) == cases[i].code, "%s with %s", cases[i].ip, cases[i].list);
}
END_TEST

START_TEST(sockets_of_other_families_are_refused)
{
    struct kend_networks none = {0};
    struct kend_ports all = {0};
    struct ken_error error = {0};
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x08080808)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_scope_id = 2};
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&local, sizeof local, &none, &all, &error), KEN_EADDRESS);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v4, sizeof v4, &none, &all, &error), 0);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v4, 4, &none, &all, &error), KEN_EADDRESS);
    ck_assert_int_eq(inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr), 1);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v6, sizeof v6, &none, &all, &error), KEN_EADDRESS);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v4, sizeof v4, &none, &all, &error), KEN_EADDRESS);
    ck_assert_str_eq(error.message, "the address 127.0.0.1 is loopback; fetch.allow_networks does not list it");
}
END_TEST

START_TEST(ports_pass_where_they_are_listed)
{
    static const char *const bad[] = {"0", "65536", "443,http", "-1", "443:444", "000443"};
    struct kend_networks none = {0};
    struct kend_ports ports;
    struct ken_error error = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0x08080808)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(444)};
    ck_assert_int_eq(inet_pton(AF_INET6, "2606:4700::1", &v6.sin6_addr), 1);
    ck_assert_int_eq(kend_ports_parse(&ports, " 8443, 443,", &error), 0);
    ck_assert_uint_eq(ports.count, 2);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v4, sizeof v4, &none, &ports, &error), 0);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v6, sizeof v6, &none, &ports, &error), KEN_EADDRESS);
    ck_assert_str_eq(error.message, "fetch.allow_ports does not list port 444");
    v6.sin6_port = htons(8443);
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v6, sizeof v6, &none, &ports, &error), 0);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* a port opens no address */
    ck_assert_int_eq(kend_vet_socket((struct sockaddr *)&v4, sizeof v4, &none, &ports, &error), KEN_EADDRESS);
    kend_ports_clear(&ports);
    ck_assert_int_eq(kend_ports_parse(&ports, "", &error), 0);
    ck_assert_int_eq(kend_vet_port(1, &ports, &error), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(kend_ports_parse(&ports, bad[i], &error) == KEN_EINVALID, "%s", bad[i]);
        ck_assert_uint_eq(ports.count, 0);
    }
}
END_TEST

UNIT_MAIN("vet", global_addresses_pass, all_others_are_refused_by_name, listed_networks_pass_and_no_others,
          what_an_address_carries_must_pass_as_well, sockets_of_other_families_are_refused, ports_pass_where_they_are_listed)
