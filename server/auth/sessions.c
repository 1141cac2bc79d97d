/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/sessions.h"

#include "digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct session {
    bool taken;
    unsigned char key[KEN_SHA256_SIZE]; /* of the secret: what is compared is nothing that a client chooses */
    struct kend_identity identity;
    int64_t begun, used; /* monotonic ms */
};

struct kend_sessions {
    pthread_mutex_t lock;
    int64_t idle_ms, life_ms;
    struct session session[KEND_SESSIONS];
};

int kend_sessions_create(struct kend_sessions **out, int64_t idle_ms, int64_t life_ms, struct ken_error *error)
{
    struct kend_sessions *sessions = *out = calloc(1, sizeof *sessions);
    if (!sessions) return ken_fail(error, KEN_ENOMEM, "out of memory");
    sessions->idle_ms = idle_ms;
    sessions->life_ms = life_ms;
    pthread_mutex_init(&sessions->lock, NULL);
    return KEN_OK;
}

void kend_sessions_destroy(struct kend_sessions **out)
{
    struct kend_sessions *sessions = *out;
    if (!sessions) return;
    *out = NULL;
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

static bool is_over(const struct kend_sessions *sessions, const struct session *session, int64_t now)
{
    return now - session->used >= sessions->idle_ms || now - session->begun >= sessions->life_ms;
}

/* Where a new session of the token goes: a free place, or that of the session, of this token where it has many, that was not used for the
 * longest time. The lock is held. */
static struct session *find_place(struct kend_sessions *sessions, const char *token, int64_t now)
{
    struct session *place = NULL, *oldest = NULL, *own = NULL;
    unsigned owned = 0;
    for (struct session *session = sessions->session; session < sessions->session + KEND_SESSIONS; session++) {
        if (session->taken && is_over(sessions, session, now)) session->taken = false;
        if (!session->taken) {
            if (!place) place = session;
            continue;
        }
        if (!oldest || session->used < oldest->used) oldest = session;
        if (strcmp(session->identity.token, token) != 0) continue;
        owned++;
        if (!own || session->used < own->used) own = session;
    }
    if (owned >= KEND_SESSIONS_PER_TOKEN) return own;
    return place ? place : oldest;
}

int kend_sessions_add(struct kend_sessions *sessions, const struct kend_identity *identity, int64_t now,
                      char secret[KEND_SESSION_SECRET + 1], struct ken_error *error)
{
    unsigned char noise[KEND_SESSION_SECRET / 2], key[KEN_SHA256_SIZE];
    if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise) return ken_fail_errno(error, errno, "random bytes");
    ken_hex_encode(secret, noise, sizeof noise);
    int code = ken_sha256(secret, KEND_SESSION_SECRET, key, error);
    if (code) return code;
    pthread_mutex_lock(&sessions->lock);
    struct session *session = find_place(sessions, identity->token, now);
    *session = (struct session){.taken = true, .identity = *identity, .begun = now, .used = now};
    memcpy(session->key, key, sizeof key);
    pthread_mutex_unlock(&sessions->lock);
    return KEN_OK;
}

/* The lock is held. */
static struct session *find(struct kend_sessions *sessions, const unsigned char key[KEN_SHA256_SIZE])
{
    for (struct session *session = sessions->session; session < sessions->session + KEND_SESSIONS; session++)
        if (session->taken && CRYPTO_memcmp(session->key, key, sizeof session->key) == 0) return session;
    return NULL;
}

/* identity NULL: it is only looked at. */
static bool look_up(struct kend_sessions *sessions, const char *secret, int64_t now, struct kend_identity *identity)
{
    unsigned char key[KEN_SHA256_SIZE];
    if (strlen(secret) != KEND_SESSION_SECRET || ken_sha256(secret, KEND_SESSION_SECRET, key, NULL)) return false;
    pthread_mutex_lock(&sessions->lock);
    struct session *session = find(sessions, key);
    bool there = session && !is_over(sessions, session, now);
    if (there && identity) {
        session->used = now;
        *identity = session->identity;
    }
    pthread_mutex_unlock(&sessions->lock);
    return there;
}

bool kend_sessions_find(struct kend_sessions *sessions, const char *secret, int64_t now, struct kend_identity *identity)
{
    return look_up(sessions, secret, now, identity);
}

bool kend_sessions_lasts(struct kend_sessions *sessions, const char *secret, int64_t now)
{
    return look_up(sessions, secret, now, NULL);
}

void kend_sessions_remove(struct kend_sessions *sessions, const char *secret)
{
    unsigned char key[KEN_SHA256_SIZE];
    if (ken_sha256(secret, strlen(secret), key, NULL)) return;
    pthread_mutex_lock(&sessions->lock);
    struct session *session = find(sessions, key);
    if (session) *session = (struct session){.taken = false};
    pthread_mutex_unlock(&sessions->lock);
}
