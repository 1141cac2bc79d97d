/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tokens.h"
#include "log.h"
#include "token_file.h"
#include "unit.h"
#include "unit_folder.h"

#include <pthread.h>
#include <stdatomic.h>

static struct unit_folder folder;
static char path[PATH_MAX], admin_path[PATH_MAX];

static void setup(void)
{
    kend_log_setup(KEND_LOG_ERROR, KEND_LOG_LOGFMT);
    unit_folder_make(&folder);
    unit_path(path, &folder, "tokens");
    unit_path(admin_path, &folder, "admin.token");
}

/* Adds a token to the file. */
static void add(const char *owner, unsigned scopes, int64_t expires_at, char text[PROTO_TOKEN_SIZE])
{
    struct proto_token token = {.scopes = scopes, .expires_at = expires_at};
    strcpy(token.owner, owner);
    ck_assert_int_eq(proto_token_make(&token, text, NULL), KEN_OK);
    ck_assert_int_eq(proto_token_file_add(path, &token, NULL), KEN_OK);
}

START_TEST(only_the_whole_token_is_known)
{
    char text[PROTO_TOKEN_SIZE], other[PROTO_TOKEN_SIZE], mixed[PROTO_TOKEN_SIZE];
    struct kend_tokens *tokens;
    struct kend_identity identity;
    setup();
    add("nlp", PROTO_SCOPE_READ, 0, text);
    add("bob", PROTO_SCOPE_READ | PROTO_SCOPE_SUBMIT, 5000, other);
    ck_assert_int_eq(kend_tokens_open(&tokens, path, NULL), KEN_OK);
    ck_assert(kend_tokens_verify(tokens, text, 1, &identity));
    ck_assert_str_eq(identity.owner, "nlp");
    ck_assert_uint_eq(identity.scopes, PROTO_SCOPE_READ);
    ck_assert(kend_tokens_verify(tokens, other, 4999, &identity));
    ck_assert_str_eq(identity.owner, "bob");
    ck_assert(!kend_tokens_verify(tokens, other, 5000, &identity));
    memcpy(mixed, text, sizeof mixed);
    memcpy(mixed + sizeof mixed - 65, other + sizeof other - 65, 64);
    ck_assert(!kend_tokens_verify(tokens, mixed, 1, &identity));
    mixed[5] = mixed[5] == '0' ? '1' : '0'; /* an id that is not there */
    ck_assert(!kend_tokens_verify(tokens, mixed, 1, &identity));
    ck_assert(!kend_tokens_verify(tokens, "", 1, &identity));
    kend_tokens_close(&tokens);
    kend_tokens_close(&tokens);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(the_zero_hash_of_nobody_lets_nobody_in)
{
    struct kend_tokens *tokens;
    struct kend_identity identity = {.token = ""};
    setup();
    unit_write(path, "");
    ck_assert_int_eq(kend_tokens_open(&tokens, path, NULL), KEN_OK);
    ck_assert(!kend_tokens_verify(tokens, "kend_0000000000000000_0000000000000000000000000000000000000000000000000000000000000000", 1,
                                  &identity));
    ck_assert(!kend_tokens_renew(tokens, 1, &identity));
    kend_tokens_close(&tokens);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_reload_takes_over_what_the_file_says)
{
    char text[PROTO_TOKEN_SIZE], added[PROTO_TOKEN_SIZE];
    struct kend_tokens *tokens;
    struct kend_identity identity, session;
    setup();
    add("nlp", PROTO_SCOPE_READ, 0, text);
    ck_assert_int_eq(kend_tokens_open(&tokens, path, NULL), KEN_OK);
    ck_assert(kend_tokens_verify(tokens, text, 1, &session));
    add("bob", PROTO_SCOPE_READ, 0, added);
    ck_assert(!kend_tokens_verify(tokens, added, 1, &identity));
    kend_tokens_reload(tokens);
    ck_assert(kend_tokens_verify(tokens, added, 1, &identity));
    unit_write(path, "broken\n");
    kend_tokens_reload(tokens);
    unlink(path);
    kend_tokens_reload(tokens);
    ck_assert(kend_tokens_verify(tokens, text, 1, &identity)); /* those from before hold */
    ck_assert(kend_tokens_renew(tokens, 1, &session));

    /* the same token with other scopes; then another token of that id; then none */
    struct proto_token token = {.owner = "other", .scopes = PROTO_SCOPE_READ | PROTO_SCOPE_SUBMIT, .salt = {1}};
    strcpy(token.id, session.token);
    memcpy(token.hash, session.hash, sizeof token.hash);
    ck_assert_int_eq(proto_token_file_add(path, &token, NULL), KEN_OK);
    kend_tokens_reload(tokens);
    ck_assert(kend_tokens_renew(tokens, 1, &session));
    ck_assert_str_eq(session.owner, "other");
    ck_assert_uint_eq(session.scopes, PROTO_SCOPE_READ | PROTO_SCOPE_SUBMIT);
    unlink(path);
    token.hash[0] ^= 1;
    ck_assert_int_eq(proto_token_file_add(path, &token, NULL), KEN_OK);
    kend_tokens_reload(tokens);
    ck_assert(!kend_tokens_renew(tokens, 1, &session));
    kend_tokens_close(&tokens);
    unit_folder_remove(&folder);
}
END_TEST

struct busy {
    struct kend_tokens *tokens;
    char text[PROTO_TOKEN_SIZE];
    atomic_bool ended;
};

static void *verify_without_pause(void *opaque)
{
    struct busy *busy = opaque;
    struct kend_identity identity;
    while (!busy->ended) ck_assert(kend_tokens_verify(busy->tokens, busy->text, 1, &identity));
    return NULL;
}

/* Searches that follow each other without a gap do not keep a reload out. */
START_TEST(a_reload_gets_its_turn)
{
    enum { THREADS = 8, RELOADS = 50 };
    struct busy busy = {.ended = false};
    pthread_t threads[THREADS];
    setup();
    add("nlp", PROTO_SCOPE_READ, 0, busy.text);
    ck_assert_int_eq(kend_tokens_open(&busy.tokens, path, NULL), KEN_OK);
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, verify_without_pause, &busy), 0);
    for (int i = 0; i < RELOADS; i++) kend_tokens_reload(busy.tokens);
    busy.ended = true;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    kend_tokens_close(&busy.tokens);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(the_first_token_is_made_once)
{
    char text[PROTO_TOKEN_SIZE + 1], again[PROTO_TOKEN_SIZE + 1];
    struct kend_tokens *tokens;
    struct kend_identity identity;
    struct stat state;
    setup();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kend_tokens_begin(path, admin_path, NULL), KEN_OK);
        FILE *file = fopen(admin_path, "r");
        ck_assert_ptr_nonnull(file);
        ck_assert_ptr_nonnull(fgets(i ? again : text, PROTO_TOKEN_SIZE + 1, file));
        fclose(file);
    }
    ck_assert_str_eq(text, again);
    text[strcspn(text, "\n")] = '\0';
    ck_assert_int_eq(stat(admin_path, &state), 0);
    ck_assert_uint_eq(state.st_mode & 07777, 0600);
    ck_assert_int_eq(kend_tokens_open(&tokens, path, NULL), KEN_OK);
    ck_assert(kend_tokens_verify(tokens, text, 1, &identity));
    ck_assert_uint_eq(identity.scopes & PROTO_SCOPE_ADMIN, PROTO_SCOPE_ADMIN);
    kend_tokens_close(&tokens);
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("tokens", only_the_whole_token_is_known, the_zero_hash_of_nobody_lets_nobody_in, a_reload_takes_over_what_the_file_says,
          a_reload_gets_its_turn, the_first_token_is_made_once)
