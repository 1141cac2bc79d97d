/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/sessions.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { IDLE = 1000, LIFE = 10000 };

static struct kend_identity identity_of(const char *token)
{
    struct kend_identity identity = {.owner = "nlp", .scopes = PROTO_SCOPE_READ, .hash = {7}};
    snprintf(identity.token, sizeof identity.token, "%s", token);
    return identity;
}

static struct kend_sessions *make(void)
{
    struct kend_sessions *sessions;
    ck_assert_int_eq(kend_sessions_create(&sessions, IDLE, LIFE, NULL), KEN_OK);
    return sessions;
}

static void add(struct kend_sessions *sessions, const char *token, int64_t now, char secret[KEND_SESSION_SECRET + 1])
{
    const struct kend_identity identity = identity_of(token);
    ck_assert_int_eq(kend_sessions_add(sessions, &identity, now, secret, NULL), KEN_OK);
    ck_assert_uint_eq(strlen(secret), KEND_SESSION_SECRET);
}

static bool is_there(struct kend_sessions *sessions, const char *secret, int64_t now)
{
    struct kend_identity identity;
    return kend_sessions_find(sessions, secret, now, &identity);
}

START_TEST(a_session_is_found_by_its_secret)
{
    struct kend_sessions *sessions = make();
    char secret[KEND_SESSION_SECRET + 1], other[KEND_SESSION_SECRET + 1];
    struct kend_identity identity;
    add(sessions, "a", 0, secret);
    add(sessions, "b", 0, other);
    ck_assert_str_ne(secret, other);
    ck_assert(kend_sessions_find(sessions, secret, 1, &identity));
    ck_assert_str_eq(identity.token, "a");
    ck_assert_str_eq(identity.owner, "nlp");
    ck_assert_uint_eq(identity.hash[0], 7);
    ck_assert(!is_there(sessions, "", 1));
    ck_assert(!is_there(sessions, "0123", 1));
    other[0] = other[0] == '0' ? '1' : '0';
    ck_assert(!is_there(sessions, other, 1));
    kend_sessions_remove(sessions, secret);
    kend_sessions_remove(sessions, secret);
    kend_sessions_remove(sessions, "");
    ck_assert(!is_there(sessions, secret, 1));
    kend_sessions_destroy(&sessions);
    ck_assert_ptr_null(sessions);
    kend_sessions_destroy(&sessions);
}
END_TEST

START_TEST(sessions_end)
{
    struct kend_sessions *sessions = make();
    char idle[KEND_SESSION_SECRET + 1], busy[KEND_SESSION_SECRET + 1];
    add(sessions, "a", 0, idle);
    add(sessions, "a", 0, busy);
    for (int64_t now = 0; now < LIFE; now += IDLE - 1) ck_assert(is_there(sessions, busy, now));
    ck_assert(!is_there(sessions, busy, LIFE));
    ck_assert(!is_there(sessions, idle, IDLE));
    kend_sessions_destroy(&sessions);
}
END_TEST

START_TEST(a_token_has_so_many_and_no_more)
{
    struct kend_sessions *sessions = make();
    char secret[KEND_SESSIONS_PER_TOKEN + 1][KEND_SESSION_SECRET + 1], foreign[KEND_SESSION_SECRET + 1];
    add(sessions, "b", 0, foreign);
    for (int i = 0; i < KEND_SESSIONS_PER_TOKEN; i++) add(sessions, "a", i, secret[i]);
    ck_assert(is_there(sessions, secret[0], 100)); /* so the second is the one unused for longest */
    add(sessions, "a", 101, secret[KEND_SESSIONS_PER_TOKEN]);
    for (int i = 0; i <= KEND_SESSIONS_PER_TOKEN; i++) ck_assert_int_eq(is_there(sessions, secret[i], 102), i != 1);
    ck_assert(is_there(sessions, foreign, 102));
    kend_sessions_destroy(&sessions);
}
END_TEST

START_TEST(a_full_house_lets_the_longest_unused_go)
{
    struct kend_sessions *sessions = make();
    static char secret[KEND_SESSIONS + 1][KEND_SESSION_SECRET + 1];
    char token[16];
    for (int i = 0; i <= KEND_SESSIONS; i++) {
        snprintf(token, sizeof token, "%d", i / KEND_SESSIONS_PER_TOKEN);
        add(sessions, token, i / 4, secret[i]);
        if (i == 0) ck_assert(is_there(sessions, secret[0], IDLE / 2));
    }
    unsigned there = 0;
    for (int i = 0; i <= KEND_SESSIONS; i++) there += is_there(sessions, secret[i], IDLE / 2);
    ck_assert_uint_eq(there, KEND_SESSIONS);
    ck_assert(is_there(sessions, secret[0], IDLE / 2));
    ck_assert(is_there(sessions, secret[KEND_SESSIONS], IDLE / 2));
    ck_assert(!is_there(sessions, secret[1], IDLE / 2));
    add(sessions, "x", LIFE, secret[0]); /* all are over: there is room */
    ck_assert(is_there(sessions, secret[0], LIFE));
    kend_sessions_destroy(&sessions);
}
END_TEST

UNIT_MAIN("sessions", a_session_is_found_by_its_secret, sessions_end, a_token_has_so_many_and_no_more,
          a_full_house_lets_the_longest_unused_go)
