/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include "digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { COLUMNS = 6, EXPIRY_SIZE = sizeof "2026-01-02T03:04:05Z" };

static const char prefix[] = "kend_";
static const char digits[] = "0123456789abcdef";
static const char never[] = "never";
static const char expiry_format[] = "%Y-%m-%dT%H:%M:%SZ";

static const struct {
    enum proto_scope scope;
    const char *name;
    unsigned stands_for;
} scopes_known[] = {
#define X(symbol, bit, name, stands_for, meaning) {symbol, name, stands_for},
    PROTO_SCOPE_MAP(X)
#undef X
};
enum { SCOPES = sizeof scopes_known / sizeof *scopes_known };

/* ---- scopes and owners */

/* The bits that the word [length] stands for; 0 if it is no scope. */
static unsigned scope_parse(const char *word, size_t length)
{
    for (size_t i = 0; i < SCOPES; i++)
        if (strlen(scopes_known[i].name) == length && memcmp(scopes_known[i].name, word, length) == 0) return scopes_known[i].stands_for;
    return 0;
}

bool proto_scopes_parse(const char *text, unsigned *scopes)
{
    *scopes = 0;
    for (;; text++) {
        size_t length = strcspn(text, ",");
        unsigned bits = scope_parse(text, length);
        if (!bits) return false;
        *scopes |= bits;
        text += length;
        if (!*text) return true;
    }
}

const char *proto_scopes_format(char text[PROTO_SCOPES_SIZE], unsigned scopes)
{
    char *to = text;
    *to = '\0';
    for (size_t i = 0; i < SCOPES; i++) {
        if (!(scopes & scopes_known[i].scope)) continue;
        if (to > text) *to++ = ',';
        to = stpcpy(to, scopes_known[i].name);
    }
    return text;
}

const char *proto_scope_name(enum proto_scope scope)
{
    size_t i = 0;
    while (i < SCOPES && scopes_known[i].scope != scope) i++;
    KEN_ASSERT(i < SCOPES);
    return scopes_known[i].name;
}

bool proto_owner_is(const char *text)
{
    size_t length = strlen(text);
    return length && length <= PROTO_OWNER_MAX &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._@+-") == length;
}

/* ---- the token itself */

static bool token_hash(unsigned char hash[PROTO_TOKEN_HASH], const unsigned char salt[PROTO_TOKEN_SALT], const char *secret)
{
    struct ken_digest digest;
    if (ken_digest_init(&digest, NULL)) return false;
    ken_digest_update(&digest, salt, PROTO_TOKEN_SALT);
    ken_digest_update(&digest, secret, strlen(secret));
    return ken_digest_final(&digest, hash, NULL) == KEN_OK;
}

int proto_token_make(struct proto_token *token, char text[PROTO_TOKEN_SIZE], struct ken_error *error)
{
    unsigned char noise[PROTO_TOKEN_ID / 2 + PROTO_TOKEN_SECRET / 2 + PROTO_TOKEN_SALT];
    char secret[PROTO_TOKEN_SECRET + 1];
    if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise) return ken_fail_errno(error, errno, "random bytes");
    ken_hex_encode(token->id, noise, PROTO_TOKEN_ID / 2);
    ken_hex_encode(secret, noise + PROTO_TOKEN_ID / 2, PROTO_TOKEN_SECRET / 2);
    memcpy(token->salt, noise + sizeof noise - PROTO_TOKEN_SALT, PROTO_TOKEN_SALT);
    snprintf(text, PROTO_TOKEN_SIZE, "%s%s_%s", prefix, token->id, secret);
    bool hashed = token_hash(token->hash, token->salt, secret);
    OPENSSL_cleanse(noise, sizeof noise);
    OPENSSL_cleanse(secret, sizeof secret);
    return hashed ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for a SHA-256");
}

bool proto_token_split(const char *text, char *id, const char **secret)
{
    if (strlen(text) != PROTO_TOKEN_SIZE - 1 || strncmp(text, prefix, sizeof prefix - 1) != 0) return false;
    text += sizeof prefix - 1;
    *secret = text + PROTO_TOKEN_ID + 1;
    if (strspn(text, digits) != PROTO_TOKEN_ID || text[PROTO_TOKEN_ID] != '_' || strspn(*secret, digits) != PROTO_TOKEN_SECRET)
        return false;
    memcpy(id, text, PROTO_TOKEN_ID);
    id[PROTO_TOKEN_ID] = '\0';
    return true;
}

bool proto_token_matches(const struct proto_token *token, const char *secret)
{
    unsigned char hash[PROTO_TOKEN_HASH];
    return token_hash(hash, token->salt, secret) && CRYPTO_memcmp(hash, token->hash, sizeof hash) == 0;
}

bool proto_token_is_over(const struct proto_token *token, int64_t now)
{
    return token->expires_at && token->expires_at <= now;
}

/* ---- its line */

/* False for a time that has no text of that form: of 1970's first second or before it, or beyond the year 9999. */
static bool expiry_text(char text[EXPIRY_SIZE], int64_t ms)
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!ms) return strcpy(text, never);
    return seconds > 0 && gmtime_r(&seconds, &parts) && strftime(text, EXPIRY_SIZE, expiry_format, &parts);
}

/* "never", or a time that is written back as the same text: so nothing but the one form is taken. */
static bool expiry_parse(const char *text, int64_t *ms)
{
    char again[EXPIRY_SIZE];
    struct tm parts = {0};
    *ms = 0;
    if (strcmp(text, never) == 0) return true;
    const char *end = strptime(text, expiry_format, &parts);
    if (!end || *end) return false;
    *ms = (int64_t)timegm(&parts) * 1000;
    return *ms && expiry_text(again, *ms) && strcmp(again, text) == 0;
}

int proto_token_format(char line[PROTO_TOKEN_LINE], const struct proto_token *token, struct ken_error *error)
{
    char scopes[PROTO_SCOPES_SIZE], expiry[EXPIRY_SIZE], salt[2 * PROTO_TOKEN_SALT + 1], hash[2 * PROTO_TOKEN_HASH + 1];
    if (!expiry_text(expiry, token->expires_at)) return ken_fail(error, KEN_EINVALID, "a token must be over by the year 9999, or never");
    snprintf(line, PROTO_TOKEN_LINE, "%s %s %s %s %s %s\n", token->id, token->owner, proto_scopes_format(scopes, token->scopes), expiry,
             ken_hex_encode(salt, token->salt, sizeof token->salt), ken_hex_encode(hash, token->hash, sizeof token->hash));
    return KEN_OK;
}

int proto_token_parse(struct proto_token *token, char *line, struct ken_error *error)
{
    char *column[COLUMNS], *word;
    size_t count = 0;
    while ((word = strsep(&line, " \t"))) {
        if (!*word) continue;
        if (count < COLUMNS) column[count] = word;
        count++;
    }
    if (count != COLUMNS) return ken_fail(error, KEN_EINVALID, "expected ID OWNER SCOPES EXPIRES SALT HASH, not %zu words", count);
    if (strlen(column[0]) != PROTO_TOKEN_ID || strspn(column[0], digits) != PROTO_TOKEN_ID)
        return ken_fail(error, KEN_EINVALID, "the id must be %d digits of lower-case hexadecimal", PROTO_TOKEN_ID);
    if (!proto_owner_is(column[1]))
        return ken_fail(error, KEN_EINVALID, "the owner must be 1 to %d letters, digits and . _ @ + -", PROTO_OWNER_MAX);
    if (!proto_scopes_parse(column[2], &token->scopes))
        return ken_fail(error, KEN_EINVALID, "the scopes must be of read, submit, admin, separated by commas");
    if (!expiry_parse(column[3], &token->expires_at))
        return ken_fail(error, KEN_EINVALID, "the expiry must be never, or a time as 2030-01-31T00:00:00Z");
    if (!ken_hex_decode(token->salt, sizeof token->salt, column[4]))
        return ken_fail(error, KEN_EINVALID, "the salt must be %d hexadecimal digits", 2 * PROTO_TOKEN_SALT);
    if (!ken_hex_decode(token->hash, sizeof token->hash, column[5]))
        return ken_fail(error, KEN_EINVALID, "the hash must be %d hexadecimal digits", 2 * PROTO_TOKEN_HASH);
    strcpy(token->id, column[0]);
    strcpy(token->owner, column[1]);
    return KEN_OK;
}
