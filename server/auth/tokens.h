/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens that kend knows: a snapshot of the tokens file, which a reload puts another in the place of. Thread-safe. */
#ifndef KEND_AUTH_TOKENS_H
#define KEND_AUTH_TOKENS_H

#include "token.h"

/* Whoever has shown a token, or a session that was made of one. Zeroed: nobody. */
struct kend_identity {
    char token[PROTO_TOKEN_ID + 1];       /* the token's id; "" without one */
    char owner[PROTO_OWNER_MAX + 1];      /* "": the nameless owner, who has no token */
    unsigned scopes;                      /* bits of enum proto_scope */
    int64_t expires_at;                   /* of the token, ms since 1970; 0: never */
    unsigned char hash[PROTO_TOKEN_HASH]; /* the token's: tells it from a later one of its id */
};

struct kend_tokens;

/* Reads the file, whose path is copied. Errors as of proto_token_list_read. */
int kend_tokens_open(struct kend_tokens **tokens, const char *path, struct ken_error *error);
void kend_tokens_close(struct kend_tokens **tokens);
/* Reads the file anew. After a failure (false), which is logged, what was known stays. */
bool kend_tokens_reload(struct kend_tokens *tokens);

/*
 * Whose token the text is, at `now` (ms since 1970). False for one that has not the form of a token, is unknown, has another secret or is
 * over: the caller cannot tell which, nor can a clock, but for the form.
 */
bool kend_tokens_verify(struct kend_tokens *tokens, const char *text, int64_t now, struct kend_identity *identity);
/* Whether the token that the identity was made of is still there; brings owner, scopes and expiry up to date. */
bool kend_tokens_renew(struct kend_tokens *tokens, int64_t now, struct kend_identity *identity);

/* Makes a tokens file with one token, admin's, and writes the token itself to admin_path, both for their owner alone, if there is no file
 * yet. KEN_EIO, KEN_ENO_SPACE, KEN_ENOMEM. */
int kend_tokens_begin(const char *path, const char *admin_path, struct ken_error *error);

#endif
