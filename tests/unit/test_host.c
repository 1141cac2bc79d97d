/* SPDX-License-Identifier: Apache-2.0 */
#include "http/host.h"
#include "unit.h"

#include <string.h>

struct host_case {
    const char *value;
    enum kend_host_verdict verdict;
};

static void check(const char *listen, const char *allowed, const char *public_url, const struct host_case *cases, size_t count)
{
    struct kend_hosts hosts = {.allowed = allowed, .public_url = public_url};
    ck_assert_int_eq(kend_address_parse(&hosts.listening, listen, NULL), KEN_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(kend_host_check(&hosts, cases[i].value, strlen(cases[i].value)) == cases[i].verdict, "%s at %s", cases[i].value,
                      listen);
}
#define CHECK(listen, allowed, public_url, cases) check(listen, allowed, public_url, cases, sizeof cases / sizeof *cases)

START_TEST(an_address_answers_to_itself_and_localhost)
{
    static const struct host_case cases[] = {
        {"127.0.0.1:8377", KEND_HOST_ALLOWED},
        {"127.0.0.1", KEND_HOST_ALLOWED},
        {"localhost:8377", KEND_HOST_ALLOWED},
        {"LocalHost", KEND_HOST_ALLOWED},
        {"localhost.", KEND_HOST_ALLOWED},
        {"127.0.0.1:80", KEND_HOST_FORBIDDEN},
        {"localhost:80", KEND_HOST_FORBIDDEN},
        {"127.0.0.2:8377", KEND_HOST_FORBIDDEN},
        {"[::1]:8377", KEND_HOST_FORBIDDEN},
        {"evil.example", KEND_HOST_FORBIDDEN},
        {"evil.example:8377", KEND_HOST_FORBIDDEN},
        {"127.0.0.1.evil.example", KEND_HOST_FORBIDDEN},
        {"localhost.evil.example", KEND_HOST_FORBIDDEN},
        {"2130706433", KEND_HOST_FORBIDDEN},
        {"0.0.0.0:8377", KEND_HOST_FORBIDDEN},
        {"evil", KEND_HOST_FORBIDDEN},
    };
    CHECK("127.0.0.1:8377", "", "", cases);
}
END_TEST

START_TEST(malformed_hosts_are_told_apart)
{
    static const struct host_case cases[] = {
        {"", KEND_HOST_MALFORMED},
        {":8377", KEND_HOST_MALFORMED},
        {"a:", KEND_HOST_MALFORMED},
        {"a:99999", KEND_HOST_MALFORMED},
        {"a:1:2", KEND_HOST_MALFORMED},
        {"user@127.0.0.1", KEND_HOST_MALFORMED},
        {"a b", KEND_HOST_MALFORMED},
        {"a/b", KEND_HOST_MALFORMED},
        {"[::1", KEND_HOST_MALFORMED},
        {"[::1]x", KEND_HOST_MALFORMED},
        {"[127.0.0.1]", KEND_HOST_MALFORMED},
        {"[::g]", KEND_HOST_MALFORMED},
        {"http://a", KEND_HOST_MALFORMED},
        {"127.0.0.1, evil", KEND_HOST_MALFORMED},
        {"a:+80", KEND_HOST_MALFORMED},
        {"[fe80::1%25eth0]", KEND_HOST_MALFORMED},
    };
    CHECK("127.0.0.1:8377", "", "", cases);
    char name[300];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    struct kend_hosts hosts = {.allowed = "", .public_url = ""};
    ck_assert_int_eq(kend_address_parse(&hosts.listening, "127.0.0.1:1", NULL), KEN_OK);
    ck_assert_int_eq(kend_host_check(&hosts, name, strlen(name)), KEND_HOST_MALFORMED);
}
END_TEST

START_TEST(version_six_has_brackets)
{
    static const struct host_case cases[] = {
        {"[::1]:8377", KEND_HOST_ALLOWED},     {"[::1]", KEND_HOST_ALLOWED},        {"[0:0:0:0:0:0:0:1]:8377", KEND_HOST_ALLOWED},
        {"localhost:8377", KEND_HOST_ALLOWED}, {"[::2]:8377", KEND_HOST_FORBIDDEN}, {"127.0.0.1:8377", KEND_HOST_FORBIDDEN},
    };
    CHECK("[::1]:8377", "", "", cases);
}
END_TEST

START_TEST(names_can_be_allowed)
{
    static const struct host_case cases[] = {
        {"kend.example", KEND_HOST_ALLOWED},       {"KEND.example:443", KEND_HOST_ALLOWED},   {"strict.example:8443", KEND_HOST_ALLOWED},
        {"strict.example", KEND_HOST_FORBIDDEN},   {"strict.example:1", KEND_HOST_FORBIDDEN}, {"public.example", KEND_HOST_ALLOWED},
        {"public.example:1", KEND_HOST_FORBIDDEN}, {"a.kend.example", KEND_HOST_FORBIDDEN},   {"10.0.0.1:9000", KEND_HOST_ALLOWED},
    };
    CHECK("127.0.0.1:8377", "kend.example , strict.example:8443,10.0.0.1:9000", "https://public.example/kend/", cases);
}
END_TEST

START_TEST(the_any_address_answers_to_every_literal)
{
    static const struct host_case cases[] = {
        {"10.1.2.3:8377", KEND_HOST_ALLOWED}, {"10.1.2.3", KEND_HOST_ALLOWED},       {"localhost:80", KEND_HOST_ALLOWED},
        {"[2001:db8::1]", KEND_HOST_ALLOWED}, {"evil.example", KEND_HOST_FORBIDDEN}, {"kend", KEND_HOST_FORBIDDEN},
    };
    CHECK("0.0.0.0:8377", "", "", cases);
    CHECK("[::]:8377", "", "", cases);
}
END_TEST

START_TEST(an_origin_is_ours_or_not)
{
    static const struct {
        const char *public_url;
        bool tls;
        const char *host, *origin;
        bool ours;
    } cases[] = {
        {"", false, "localhost:8377", "http://localhost:8377", true},
        {"", false, "localhost:8377", "HTTP://LocalHost:8377", true},
        {"", false, "localhost:8377", "https://localhost:8377", false},
        {"", false, "localhost:8377", "http://localhost", false},
        {"", false, "localhost:8377", "http://127.0.0.1:8377", false},
        {"", false, "localhost", "http://localhost:80", true},
        {"", true, "localhost:8377", "https://localhost:8377", true},
        {"", true, "localhost:8377", "http://localhost:8377", false},
        {"", true, "kend.example", "https://kend.example:443", true},
        {"", true, "[::1]:8377", "https://[::1]:8377", true},
        {"https://kend.example/prune", false, "10.0.0.1:8377", "https://kend.example", true},
        {"https://kend.example/prune", false, "10.0.0.1:8377", "http://10.0.0.1:8377", true},
        {"https://kend.example:444", false, "10.0.0.1:8377", "https://kend.example:444", true},
        {"https://kend.example:444", false, "10.0.0.1:8377", "https://kend.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "http://kend.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://kend.example.evil.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://evil.example/https://kend.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://kend.example@evil.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://kend.example/", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://kend.example, https://evil.example", false},
        {"https://kend.example", false, "10.0.0.1:8377", "null", false},
        {"https://kend.example", false, "10.0.0.1:8377", "", false},
        {"https://kend.example", false, "10.0.0.1:8377", "https://", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct kend_hosts hosts = {.allowed = "", .public_url = cases[i].public_url, .tls = cases[i].tls};
        ck_assert_msg(kend_host_is_origin(&hosts, cases[i].host, cases[i].origin) == cases[i].ours, "%s of %s", cases[i].origin,
                      cases[i].host);
    }
}
END_TEST

START_TEST(a_target_may_name_its_server)
{
    static const struct {
        const char *target, *authority, *host;
        bool same;
    } cases[] = {
        {"/livez", NULL, "localhost", false},
        {"ftp://localhost/", NULL, "localhost", false},
        {"http:/localhost/", NULL, "localhost", false},
        {"http://localhost/livez", "localhost", "localhost", true},
        {"HTTP://LocalHost/livez", "LocalHost", "localhost", true},
        {"http://localhost", "localhost", "localhost", true},
        {"http://localhost?a=b/c", "localhost", "localhost", true},
        {"http://localhost:8377/a?b", "localhost:8377", "localhost:8377", true},
        {"http://localhost:80/", "localhost:80", "localhost", true},
        {"http://localhost/", "localhost", "localhost:80", true},
        {"https://localhost:443/", "localhost:443", "localhost", true},
        {"http://localhost:443/", "localhost:443", "localhost", false},
        {"http://localhost:8377/", "localhost:8377", "localhost", false},
        {"http://localhost/", "localhost", "127.0.0.1", false},
        {"http://evil.example/", "evil.example", "localhost", false},
        {"http://localhost@evil.example/", "localhost@evil.example", "localhost", false},
        {"http://localhost#/livez", "localhost#", "localhost#", false},
        {"http:///livez", "", "", false},
        {"http://[::1]:8377/", "[::1]:8377", "[::1]:8377", true},
        {"http://[::1]:8377/", "[::1]:8377", "localhost:8377", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *authority;
        size_t length;
        const bool absolute = kend_host_of_target(cases[i].target, &authority, &length);
        ck_assert_msg(absolute == (cases[i].authority != NULL), "%s", cases[i].target);
        ck_assert_msg(kend_host_is_target(cases[i].host, cases[i].target) == cases[i].same, "%s", cases[i].target);
        if (absolute) ck_assert_msg(length == strlen(cases[i].authority) && memcmp(authority, cases[i].authority, length) == 0, "%zu", i);
    }
}
END_TEST

START_TEST(addresses_are_read_and_written)
{
    static const struct {
        const char *text, *again;
        bool loopback, any;
    } cases[] = {
        {"127.0.0.1:8377", "127.0.0.1:8377", true, false}, {"localhost:0", "127.0.0.1:0", true, false},
        {"127.9.9.9:1", "127.9.9.9:1", true, false},       {"[::1]:65535", "[::1]:65535", true, false},
        {"0.0.0.0:80", "0.0.0.0:80", false, true},         {"[::]:80", "[::]:80", false, true},
        {"10.0.0.1:80", "10.0.0.1:80", false, false},      {"[2001:DB8::1]:80", "[2001:db8::1]:80", false, false},
    };
    static const char *const bad[] = {"",       "127.0.0.1", ":8377", "8377", "127.0.0.1:", "127.0.0.1:65536", "kend.example:80",
                                      "::1:80", "[::1]"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kend_address address;
        char text[KEND_ADDRESS_TEXT];
        ck_assert_int_eq(kend_address_parse(&address, cases[i].text, NULL), KEN_OK);
        kend_address_text(&address, text);
        ck_assert_str_eq(text, cases[i].again);
        ck_assert_int_eq(kend_address_is_loopback(&address), cases[i].loopback);
        ck_assert_int_eq(kend_address_is_any(&address), cases[i].any);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kend_address address;
        struct ken_error error = {0};
        ck_assert_msg(kend_address_parse(&address, bad[i], &error) == KEN_EINVALID, "%s", bad[i]);
        ck_assert_msg(strstr(error.message, "ADDR:PORT") != NULL, "%s", error.message);
    }
}
END_TEST

UNIT_MAIN("host", an_address_answers_to_itself_and_localhost, malformed_hosts_are_told_apart, version_six_has_brackets,
          names_can_be_allowed, the_any_address_answers_to_every_literal, an_origin_is_ours_or_not, a_target_may_name_its_server,
          addresses_are_read_and_written)
