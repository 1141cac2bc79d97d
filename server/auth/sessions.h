/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of browsers: a random secret in a cookie stands for a token. In memory alone, so that they end with the process. A session
 * ends with its token, when it has not been used for a while, and after a time whatever happens. Thread-safe.
 */
#ifndef KEND_AUTH_SESSIONS_H
#define KEND_AUTH_SESSIONS_H

#include "auth/tokens.h"

enum {
    KEND_SESSION_SECRET = 64, /* hexadecimal digits: 256 random bits */
    KEND_SESSIONS = 1024,     /* in all; one more ends that which was not used for the longest time */
    KEND_SESSIONS_PER_TOKEN = 32,
};

struct kend_sessions;

/* How long a session may be unused, and how long it may be, ms. KEN_ENOMEM. */
int kend_sessions_create(struct kend_sessions **sessions, int64_t idle_ms, int64_t life_ms, struct ken_error *error);
void kend_sessions_destroy(struct kend_sessions **sessions);
/* Begins one for a token's identity and writes its secret. `now`: monotonic ms. KEN_EIO: no random bytes; KEN_ENOMEM. */
int kend_sessions_add(struct kend_sessions *sessions, const struct kend_identity *identity, int64_t now,
                      char secret[KEND_SESSION_SECRET + 1], struct ken_error *error);
/* Whose session the text is the secret of, and that it was used `now`. False if there is none. The identity is as it was when the session
 * began: kend_tokens_renew brings it up to date. */
bool kend_sessions_find(struct kend_sessions *sessions, const char *secret, int64_t now, struct kend_identity *identity);
/* Whether there still is a session with this secret; that is no use of it. */
bool kend_sessions_lasts(struct kend_sessions *sessions, const char *secret, int64_t now);
/* Ends the session with this secret, if there is one. */
void kend_sessions_remove(struct kend_sessions *sessions, const char *secret);

#endif
