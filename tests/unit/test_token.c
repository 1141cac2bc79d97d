/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define ID "0123456789abcdef"
#define SALT "000102030405060708090a0b0c0d0e0f"
#define HASH "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define SECRET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int parse(struct proto_token *token, const char *text, struct ken_error *error)
{
    char line[1024];
    snprintf(line, sizeof line, "%s", text);
    return proto_token_parse(token, line, error);
}

START_TEST(a_made_token_is_its_own)
{
    struct proto_token token = {.owner = "nlp", .scopes = PROTO_SCOPE_READ}, other = token;
    char text[PROTO_TOKEN_SIZE], another[PROTO_TOKEN_SIZE], id[PROTO_TOKEN_ID + 1];
    const char *secret;
    ck_assert_int_eq(proto_token_make(&token, text, NULL), KEN_OK);
    ck_assert_int_eq(proto_token_make(&other, another, NULL), KEN_OK);
    ck_assert_uint_eq(strlen(text), PROTO_TOKEN_SIZE - 1);
    ck_assert_str_ne(token.id, other.id);
    ck_assert_mem_ne(token.salt, other.salt, sizeof token.salt);
    ck_assert(proto_token_split(text, id, &secret));
    ck_assert_str_eq(id, token.id);
    ck_assert(proto_token_matches(&token, secret));
    ck_assert(!proto_token_matches(&other, secret));
    ck_assert_str_eq(token.owner, "nlp");
    char changed[PROTO_TOKEN_SECRET + 1];
    for (size_t i = 0; i < PROTO_TOKEN_SECRET; i++) {
        strcpy(changed, secret);
        changed[i] = changed[i] == '0' ? '1' : '0';
        ck_assert(!proto_token_matches(&token, changed));
    }
}
END_TEST

START_TEST(the_hash_is_sha256_of_salt_and_secret)
{
    /* as any other program makes it of the 16 bytes of the salt and the 64 digits of the secret */
    struct proto_token token;
    ck_assert_int_eq(parse(&token, ID " nlp read never " SALT " " HASH, NULL), KEN_OK);
    ck_assert(!proto_token_matches(&token, SECRET));
    ck_assert_int_eq(parse(&token, ID " nlp read never " SALT " afa83ca766cb1be8e940d95b0fe2cc49d3312c73266473d5dfab282469032197", NULL),
                     KEN_OK);
    ck_assert(proto_token_matches(&token, SECRET));
}
END_TEST

START_TEST(what_is_no_token_is_told_apart)
{
    static const char *const bad[] = {
        "",
        "kend_",
        "kend_" ID,
        "kend_" ID "_",
        "kend_" ID SECRET "_",
        "kend_" ID "_" SECRET "0",
        "kend_" ID "-" SECRET,
        "Kend_" ID "_" SECRET,
        " kend_" ID "_" SECRET,
        "kend_" ID "_00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
        "kend_0123456789abcdeF_" SECRET,
        "kend_0123456789abcde\xc3_" SECRET,
    };
    char id[PROTO_TOKEN_ID + 1];
    const char *secret;
    ck_assert(proto_token_split("kend_" ID "_" SECRET, id, &secret));
    ck_assert_str_eq(id, ID);
    ck_assert_str_eq(secret, SECRET);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_msg(!proto_token_split(bad[i], id, &secret), "%s", bad[i]);
}
END_TEST

START_TEST(lines_are_read_and_written_the_same)
{
    static const char *const good[] = {
        ID " nlp read never " SALT " " HASH "\n",
        ID " a.b_c@d+e-F9 read,submit 2030-01-31T23:59:59Z " SALT " " HASH "\n",
        ID " 1234567890123456789012345678901234567890123456789012345678901234 read,submit,admin 9999-12-31T23:59:59Z " SALT " " HASH "\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct proto_token token;
        struct ken_error error = {0};
        char line[PROTO_TOKEN_LINE], again[PROTO_TOKEN_LINE];
        strcpy(line, good[i]);
        line[strlen(line) - 1] = '\0';
        ck_assert_msg(proto_token_parse(&token, line, &error) == KEN_OK, "%s", error.message);
        ck_assert_int_eq(proto_token_format(again, &token, NULL), KEN_OK);
        ck_assert_str_eq(again, good[i]);
    }
}
END_TEST

START_TEST(an_expiry_that_cannot_be_written_is_refused)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, " never "},
        {1000, " 1970-01-01T00:00:01Z "},
        {253402300799999, " 9999-12-31T23:59:59Z "},
        {253402300800000, NULL}, /* 10000-01-01 */
        {INT64_MAX, NULL},
        {999, NULL},
        {-1, NULL},
        {INT64_MIN, NULL},
    };
    struct proto_token token = {.id = ID, .owner = "nlp", .scopes = PROTO_SCOPE_READ}, again;
    char line[PROTO_TOKEN_LINE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ken_error error = {0};
        token.expires_at = cases[i].ms;
        ck_assert_int_eq(proto_token_format(line, &token, &error), cases[i].text ? KEN_OK : KEN_EINVALID);
        if (!cases[i].text) {
            ck_assert_ptr_nonnull(strstr(error.message, "year 9999"));
            continue;
        }
        ck_assert_ptr_nonnull(strstr(line, cases[i].text));
        line[strcspn(line, "\n")] = '\0';
        ck_assert_int_eq(proto_token_parse(&again, line, NULL), KEN_OK);
        ck_assert_int_eq(again.expires_at, cases[i].ms / 1000 * 1000);
    }
}
END_TEST

START_TEST(bad_lines_say_why)
{
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"", "not 0 words"},
        {ID, "not 1 words"},
        {ID " nlp read never " SALT, "not 5 words"},
        {ID " nlp read never " SALT " " HASH " more", "not 7 words"},
        {"0123456789abcde nlp read never " SALT " " HASH, "the id"},
        {"0123456789abcdeF nlp read never " SALT " " HASH, "the id"},
        {ID "0 nlp read never " SALT " " HASH, "the id"},
        {ID " n/p read never " SALT " " HASH, "the owner"},
        {ID " n\xc3\xa9 read never " SALT " " HASH, "the owner"},
        {ID " 12345678901234567890123456789012345678901234567890123456789012345 read never " SALT " " HASH, "the owner"},
        {ID " nlp write never " SALT " " HASH, "the scopes"},
        {ID " nlp read, never " SALT " " HASH, "the scopes"},
        {ID " nlp ,read never " SALT " " HASH, "the scopes"},
        {ID " nlp Read never " SALT " " HASH, "the scopes"},
        {ID " nlp rea never " SALT " " HASH, "the scopes"},
        {ID " nlp read Never " SALT " " HASH, "the expiry"},
        {ID " nlp read 2030-01-31 " SALT " " HASH, "the expiry"},
        {ID " nlp read 2030-02-30T00:00:00Z " SALT " " HASH, "the expiry"},
        {ID " nlp read 2030-1-31T00:00:00Z " SALT " " HASH, "the expiry"},
        {ID " nlp read 2030-01-31T00:00:00+01:00 " SALT " " HASH, "the expiry"},
        {ID " nlp read 1969-01-31T00:00:00Z " SALT " " HASH, "the expiry"},
        {ID " nlp read never 00 " HASH, "the salt"},
        {ID " nlp read never " SALT "00 " HASH, "the salt"},
        {ID " nlp read never g0102030405060708090a0b0c0d0e0f0 " HASH, "the salt"},
        {ID " nlp read never " SALT " 5e88", "the hash"},
        {ID " nlp read never " SALT " " HASH "0", "the hash"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proto_token token;
        struct ken_error error = {0};
        ck_assert_msg(parse(&token, bad[i].line, &error) == KEN_EINVALID, "%s", bad[i].line);
        ck_assert_msg(strstr(error.message, bad[i].reason), "%s: %s", bad[i].line, error.message);
    }
}
END_TEST

START_TEST(scopes_include_what_is_below_them)
{
    char text[PROTO_SCOPES_SIZE];
    unsigned scopes;
    ck_assert(proto_scopes_parse("read", &scopes));
    ck_assert_str_eq(proto_scopes_format(text, scopes), "read");
    ck_assert(proto_scopes_parse("submit", &scopes));
    ck_assert_str_eq(proto_scopes_format(text, scopes), "read,submit");
    ck_assert(proto_scopes_parse("admin,read,admin", &scopes));
    ck_assert_str_eq(proto_scopes_format(text, scopes), "read,submit,admin");
    ck_assert(!proto_scopes_parse("", &scopes));
    ck_assert(!proto_scopes_parse("read submit", &scopes));
    ck_assert_str_eq(proto_scopes_format(text, 0), "");
#define X(symbol, bit, name, stands_for, meaning)     \
    ck_assert_str_eq(proto_scope_name(symbol), name); \
    ck_assert_uint_eq((stands_for) & (bit), bit);     \
    ck_assert_uint_eq((stands_for)&PROTO_SCOPE_READ, PROTO_SCOPE_READ); /* the routes of sessions rely on it */
    PROTO_SCOPE_MAP(X)
#undef X
}
END_TEST

START_TEST(a_token_is_over_at_its_time)
{
    struct proto_token token = {.expires_at = 0};
    ck_assert(!proto_token_is_over(&token, INT64_MAX));
    token.expires_at = 1000;
    ck_assert(!proto_token_is_over(&token, 999));
    ck_assert(proto_token_is_over(&token, 1000));
}
END_TEST

UNIT_MAIN("token", a_made_token_is_its_own, the_hash_is_sha256_of_salt_and_secret, what_is_no_token_is_told_apart,
          lines_are_read_and_written_the_same, an_expiry_that_cannot_be_written_is_refused, bad_lines_say_why,
          scopes_include_what_is_below_them, a_token_is_over_at_its_time)
