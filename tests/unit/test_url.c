/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"
#include "unit.h"
#include "url.h"

#include <stdio.h>
#include <string.h>

static void expect_part(const char *part, size_t length, const char *wanted)
{
    ck_assert_uint_eq(length, strlen(wanted));
    ck_assert_int_eq(strncmp(part, wanted, length), 0);
}

START_TEST(urls_are_taken_apart)
{
    static const struct {
        const char *text, *scheme, *host;
        bool v6;
        uint16_t port;
        const char *path, *query;
    } good[] = {
        {"https://host.example/a/b.safetensors", "https", "host.example", false, 0, "/a/b.safetensors", NULL},
        {"HTTP://Host:8080", "http", "Host", false, 8080, "", NULL},
        {"http://127.0.0.1:65535/", "http", "127.0.0.1", false, 65535, "/", NULL},
        {"https://h?x=/?&y", "https", "h", false, 0, "", "x=/?&y"},
        {"https://h/p?", "https", "h", false, 0, "/p", ""},
        {"https://[::1]:1/x", "https", "::1", true, 1, "/x", NULL},
        {"https://[2001:db8::1]/", "https", "2001:db8::1", true, 0, "/", NULL},
        {"https://a_b-c.d./x%20y;z,!$'()*+=:@~", "https", "a_b-c.d.", false, 0, "/x%20y;z,!$'()*+=:@~", NULL},
        {"file:///a/b", "file", "", false, 0, "/a/b", NULL},
        {"s3+x.y-z://bucket/k", "s3+x.y-z", "bucket", false, 0, "/k", NULL},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct proto_url url;
        const char *reason = proto_url_parse(&url, good[i].text);
        ck_assert_msg(!reason, "%s: %s", good[i].text, reason);
        ck_assert_str_eq(url.scheme, good[i].scheme);
        expect_part(url.host, url.host_length, good[i].host);
        ck_assert_int_eq(url.host_is_v6, good[i].v6);
        ck_assert_uint_eq(url.port, good[i].port);
        expect_part(url.path, url.path_length, good[i].path);
        ck_assert_int_eq(!url.query, !good[i].query);
        if (good[i].query) ck_assert_str_eq(url.query, good[i].query);
    }
}
END_TEST

START_TEST(bad_urls_are_refused)
{
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"", "must not be empty"},
        {"host/path", "must be an absolute URL, as in https://host/path"},
        {"//host/path", "must be an absolute URL, as in https://host/path"},
        {"1http://h/", "must be an absolute URL, as in https://host/path"},
        {"abcdefghijklmnopqrstuvwxyz://h/", "must be an absolute URL, as in https://host/path"},
        {"https:host", "must have // behind its scheme"},
        {"https:/host", "must have // behind its scheme"},
        {"file:/a", "must have // behind its scheme"},
        {"https://", "has no host"},
        {"https:///x", "has no host"},
        {"https://:80/x", "has no host"},
        {"https://?x", "has no host"},
        {"https://user@h/", "must not hold a user name or password"},
        {"https://u:p@h/", "must not hold a user name or password"},
        {"https://h/a b", "must not hold spaces or control characters"},
        {"https://h/a\nb", "must not hold spaces or control characters"},
        {"https://h/a\x7f", "must not hold spaces or control characters"},
        {" https://h/", "must not hold spaces or control characters"},
        {"https://h\\@evil/", "must not hold a backslash"},
        {"https://h/#f", "must not have a fragment (#...)"},
        {"https://h/%", "has a % without two hexadecimal digits"},
        {"https://h/%2", "has a % without two hexadecimal digits"},
        {"https://h/%zz", "has a % without two hexadecimal digits"},
        {"https://h/%00", "must not hold %00"},
        {"https://h/\xc3\xa9", "holds a character that must be percent-encoded"},
        {"https://h/<x>", "holds a character that must be percent-encoded"},
        {"https://h/\"", "holds a character that must be percent-encoded"},
        {"https://h/{x}", "holds a character that must be percent-encoded"},
        {"https://h/[x]", "holds a character that must be percent-encoded"},
        {"https://h%2fx/", "has a host that is not a name or address"},
        {"https://a..b/", "has a host that is not a name or address"},
        {"https://.a/", "has a host that is not a name or address"},
        {"https://h,x/", "has a host that is not a name or address"},
        {"https://h:/", "has a port that is not a number from 1 to 65535"},
        {"https://h:0/", "has a port that is not a number from 1 to 65535"},
        {"https://h:65536/", "has a port that is not a number from 1 to 65535"},
        {"https://h:000080/", "has a port that is not a number from 1 to 65535"},
        {"https://h:8a/", "has a port that is not a number from 1 to 65535"},
        {"https://h:80:80/", "has a port that is not a number from 1 to 65535"},
        {"https://::1/", "has no host"},
        {"https://[::1/", "has a host that is not an IPv6 address"},
        {"https://[127.0.0.1]/", "has a host that is not an IPv6 address"},
        {"https://[fe80::1%25eth0]/", "has a host that is not an IPv6 address"},
        {"https://[::1]x/", "has a port that is not a number from 1 to 65535"},
        {"file://host/a", "must not have a host in a file: URL, as in file:///path"},
        {"file://a", "must not have a host in a file: URL, as in file:///path"},
        {"file://", "must have an absolute path, as in file:///path"},
        {"file:///a?x", "must not have a query string in a file: URL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proto_url url;
        const char *reason = proto_url_parse(&url, bad[i].text);
        ck_assert_msg(reason && strcmp(reason, bad[i].reason) == 0, "%s: %s", bad[i].text, reason ? reason : "accepted");
    }
}
END_TEST

START_TEST(a_single_file_is_no_folder_and_no_index)
{
    static const struct {
        const char *text;
        bool single;
    } table[] = {{"https://h/m.safetensors", true},
                 {"https://h/m", true},
                 {"https://h/m?x=/", true},
                 {"https://h/", false},
                 {"https://h", false},
                 {"https://h?x", false},
                 {"https://h/a/", false},
                 {"https://h/m.safetensors.index.json", false},
                 {"https://h/pytorch_model.bin.index.json?sig=1", false},
                 {"https://h/index.json", true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct proto_url url;
        ck_assert_ptr_null(proto_url_parse(&url, table[i].text));
        ck_assert_msg(proto_url_is_single_file(&url) == table[i].single, "%s", table[i].text);
    }
}
END_TEST

START_TEST(secrets_are_redacted)
{
    static const char *const table[][2] = {
        {"https://h/p", "https://h/p"},
        {"https://h/p?X-Sig=SECRET", "https://h/p?..."},
        {"https://h/p?", "https://h/p?..."},
        {"https://h/p?a#SECRET", "https://h/p?..."},
        {"https://h/p#SECRET?a", "https://h/p"},
        {"https://user:SECRET@h/p?x", "https://h/p?..."},
        {"https://u@SECRET@h/p", "https://h/p"},
        {"https://h/a@b", "https://h/a@b"},
        {"/a/path", "/a/path"},
        {"/login?sig=SECRET&next=https://h/", "/login?..."},
        {"a/b#SECRET://h", "a/b"},
        {"//user:SECRET@h/p", "//h/p"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *shown = proto_url_redact(table[i][0]);
        ck_assert_str_eq(shown, table[i][1]);
        free(shown);
    }
}
END_TEST

START_TEST(schemes_are_told_from_paths)
{
    ck_assert(proto_url_has_scheme("https://x"));
    ck_assert(proto_url_has_scheme("hf:x"));
    ck_assert(!proto_url_has_scheme("c:/x"));
    ck_assert(!proto_url_has_scheme("/a:b"));
    ck_assert(!proto_url_has_scheme("a/b:c"));
    ck_assert(!proto_url_has_scheme("1a:b"));
    ck_assert(!proto_url_has_scheme(""));
}
END_TEST

START_TEST(percent_encoding_comes_back)
{
    char all[256], *encoded;
    for (unsigned i = 1; i < 256; i++) all[i - 1] = (char)i;
    all[255] = '\0';
    encoded = proto_percent_encode(all, "");
    ck_assert_uint_eq(strlen(encoded), 66 + 3 * (255 - 66));
    ck_assert_ptr_nonnull(strstr(encoded, "%2E") ? NULL : encoded);
    ck_assert_ptr_nonnull(strstr(encoded, "%2F"));
    ck_assert(proto_percent_decode(encoded, false));
    ck_assert_str_eq(encoded, all);
    free(encoded);
    encoded = proto_percent_encode("a/b c", "/");
    ck_assert_str_eq(encoded, "a/b%20c");
    free(encoded);
    static const char *const table[][3] = {
        {"a+b%2b%2B", "a+b++", "a b++"}, {"%", NULL, NULL}, {"%4", NULL, NULL}, {"%4g", NULL, NULL}, {"%00", NULL, NULL}, {"", "", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int plus = 0; plus < 2; plus++) {
            char text[16];
            snprintf(text, sizeof text, "%s", table[i][0]);
            bool decoded = proto_percent_decode(text, plus);
            ck_assert(decoded == (table[i][1 + plus] != NULL));
            if (decoded) ck_assert_str_eq(text, table[i][1 + plus]);
        }
}
END_TEST

START_TEST(the_nearest_word_is_found)
{
    static const char *const words[] = {"method", "model", "metadata", "k", "keep", "sha256", "timeout_seconds"};
    static const char *const table[][2] = {{"metod", "method"}, {"emthod", "method"}, {"METHOD", "method"},
                                           {"modle", "model"},  {"sha", "sha256"},    {"timeout", "timeout_seconds"},
                                           {"kep", "keep"},     {"meta", "metadata"}, {"colour", NULL},
                                           {"", NULL},          {"x", NULL},          {"zzzzzz", NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *nearest = proto_nearest(table[i][0], words, sizeof words / sizeof *words);
        ck_assert_msg(table[i][1] ? nearest && strcmp(nearest, table[i][1]) == 0 : !nearest, "%s: %s", table[i][0],
                      nearest ? nearest : "none");
    }
    char longer[5000];
    memset(longer, 'k', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_ptr_null(proto_nearest(longer, words, sizeof words / sizeof *words));
}
END_TEST

UNIT_MAIN("url", urls_are_taken_apart, bad_urls_are_refused, a_single_file_is_no_folder_and_no_index, secrets_are_redacted,
          schemes_are_told_from_paths, percent_encoding_comes_back, the_nearest_word_is_found)
