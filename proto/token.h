/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: "kend_ID_SECRET", and what is kept of one: a line of the tokens file, which has a salted hash in the place of the secret.
 * docs/security.md tells people.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* symbol, bit, name, the bits it stands for (itself and what it includes), meaning */
#define PROTO_SCOPE_MAP(X)                                                                     \
    X(PROTO_SCOPE_READ, 1, "read", 1, "see the jobs of one's owner and fetch their artifacts") \
    X(PROTO_SCOPE_SUBMIT, 2, "submit", 3, "make, cancel and delete such jobs; includes read")  \
    X(PROTO_SCOPE_ADMIN, 4, "admin", 7, "all of that with everybody's jobs")

#define X(symbol, bit, name, stands_for, meaning) symbol = (bit),
enum proto_scope { PROTO_SCOPE_MAP(X) };
#undef X

enum {
    PROTO_TOKEN_ID = 16,     /* hexadecimal digits: 64 random bits, so that no two are alike */
    PROTO_TOKEN_SECRET = 64, /* hexadecimal digits: 256 random bits */
    PROTO_TOKEN_SIZE = 5 + PROTO_TOKEN_ID + 1 + PROTO_TOKEN_SECRET + 1,
    PROTO_OWNER_MAX = 64,
    PROTO_TOKEN_SALT = 16,
    PROTO_TOKEN_HASH = 32,
    PROTO_SCOPES_SIZE = 32,
    PROTO_TOKEN_LINE = 320, /* longest line, its newline and NUL among them */
};

struct proto_token {
    char id[PROTO_TOKEN_ID + 1];
    char owner[PROTO_OWNER_MAX + 1]; /* whose jobs it is about */
    unsigned scopes;                 /* bits, with what they include */
    int64_t expires_at;              /* ms since 1970; 0: never */
    unsigned char salt[PROTO_TOKEN_SALT];
    unsigned char hash[PROTO_TOKEN_HASH]; /* SHA-256 of salt and secret */
};

/* Names of scopes, comma-separated, into bits. False for anything else, nothing among it. */
bool proto_scopes_parse(const char *text, unsigned *scopes);
/* The names, comma-separated; returns text. */
const char *proto_scopes_format(char text[PROTO_SCOPES_SIZE], unsigned scopes);
/* "read", of one scope. */
const char *proto_scope_name(enum proto_scope scope);
/* 1 to PROTO_OWNER_MAX of the letters, digits and "._@+-". */
bool proto_owner_is(const char *text);

/* Fills id, salt and hash of a token whose other fields are set, and writes the token itself to text. KEN_EIO: no random bytes. */
int proto_token_make(struct proto_token *token, char text[PROTO_TOKEN_SIZE], struct ken_error *error);
/* Takes the text of a token apart: id [PROTO_TOKEN_ID + 1], *secret points into text. False if it has not the form of one. */
bool proto_token_split(const char *text, char *id, const char **secret);
/* Whether the secret is the token's; takes the same time for all of a length. */
bool proto_token_matches(const struct proto_token *token, const char *secret);
/* Whether it is over at `now`, ms since 1970. */
bool proto_token_is_over(const struct proto_token *token, int64_t now);

/* The line of a token, with a newline. KEN_EINVALID: it is over in 1970's first second or before, or only after the year 9999. */
int proto_token_format(char line[PROTO_TOKEN_LINE], const struct proto_token *token, struct ken_error *error);
/* Reads a line (changed), without its newline. KEN_EINVALID says what is wrong with it, without the place. */
int proto_token_parse(struct proto_token *token, char *line, struct ken_error *error);

#endif
