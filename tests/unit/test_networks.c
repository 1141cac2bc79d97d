/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/networks.h"
#include "unit.h"

#include <string.h>
#include <sys/socket.h>

static bool holds(const char *list, const char *text)
{
    struct kend_networks networks;
    struct kend_ip ip;
    ck_assert_int_eq(kend_networks_parse(&networks, list, NULL), 0);
    ck_assert(kend_ip_parse(&ip, text));
    bool held = kend_networks_hold(&networks, &ip);
    kend_networks_clear(&networks);
    return held;
}

START_TEST(lists_are_parsed)
{
    struct kend_networks networks;
    ck_assert_int_eq(kend_networks_parse(&networks, " 10.0.0.0/8,,192.168.1.0/24\tfd00::/8 , ::1", NULL), 0);
    ck_assert_uint_eq(networks.count, 4);
    ck_assert_uint_eq(networks.list[0].bits, 8);
    ck_assert_uint_eq(networks.list[1].bits, 24);
    ck_assert_int_eq(networks.list[2].address.family, AF_INET6);
    ck_assert_uint_eq(networks.list[3].bits, 128);
    kend_networks_clear(&networks);
    ck_assert_int_eq(kend_networks_parse(&networks, "", NULL), 0);
    ck_assert_uint_eq(networks.count, 0);
}
END_TEST

START_TEST(prefixes_decide_bit_by_bit)
{
    ck_assert(holds("10.0.0.0/9", "10.127.255.255"));
    ck_assert(!holds("10.0.0.0/9", "10.128.0.0"));
    ck_assert(holds("10.0.0.0/31", "10.0.0.1"));
    ck_assert(!holds("10.0.0.0/31", "10.0.0.2"));
    ck_assert(holds("0.0.0.0/0", "255.255.255.255"));
    ck_assert(!holds("0.0.0.0/0", "::"));
    ck_assert(holds("::/0", "ffff::"));
    ck_assert(holds("fe80::/10", "febf::1"));
    ck_assert(!holds("fe80::/10", "fec0::1"));
    ck_assert(!holds("", "10.0.0.1"));
}
END_TEST

START_TEST(what_is_no_network_is_named)
{
    static const char *const bad[] = {
        "10.0.0.0/33", "10.0.0.1/8", "fd00::/129",    "fd00::1/8",    "10.0.0/8", "10.0.0.0/",    "10.0.0.0/-1",
        "10.0.0.0/8x", "localhost",  "10.0.0.0/08 8", "0x0a.0.0.0/8", "[::1]",    "fe80::1%eth0", "1.2.3.4.5",
        "10.0.0.0//8", "/8",         "10.0.0.0/0008", "300.0.0.1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_networks networks;
        struct ken_error error = {0};
        ck_assert_msg(kend_networks_parse(&networks, bad[i], &error) == KEN_EINVALID, "%s", bad[i]);
        ck_assert_ptr_null(networks.list);
        ck_assert_msg(strchr(error.message, '"') != NULL, "%s: %s", bad[i], error.message);
    }
    struct kend_networks networks;
    struct ken_error error = {0};
    ck_assert_int_eq(kend_networks_parse(&networks, "10.0.0.0/8,10.0.0.1/8", &error), KEN_EINVALID);
    ck_assert_str_eq(error.message, "\"10.0.0.1/8\" has bits set beyond its prefix");
}
END_TEST

UNIT_MAIN("networks", lists_are_parsed, prefixes_decide_bit_by_bit, what_is_no_network_is_named)
