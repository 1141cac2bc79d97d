/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tokens.h"

#include "folder.h"
#include "log.h"
#include "token_file.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kend_tokens {
    pthread_rwlock_t lock; /* held for a search and a hash, or for an exchange of lists: never while a file is read */
    struct proto_token_list list;
    char *path;
};

static void tell(const struct proto_token_list *list, const char *path)
{
    kend_log(KEND_LOG_INFO, "tokens read", KEND_S("file", path), KEND_I("tokens", list->count));
    if (!list->count) kend_log(KEND_LOG_WARN, "there is no token: every request that needs one is refused", KEND_S("file", path));
    if (list->exposed) kend_log(KEND_LOG_WARN, "other users of this machine may read or write the tokens file", KEND_S("file", path));
}

/* A reload goes before searches that come later: ever so many would keep it waiting, and the thread of it serves SIGTERM too. */
static void lock_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

int kend_tokens_open(struct kend_tokens **out, const char *path, struct ken_error *error)
{
    *out = NULL;
    struct kend_tokens *tokens = calloc(1, sizeof *tokens);
    if (!tokens || !(tokens->path = strdup(path))) {
        free(tokens);
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    int code = proto_token_list_read(&tokens->list, path, error);
    if (code) {
        free(tokens->path);
        free(tokens);
        return code;
    }
    lock_init(&tokens->lock);
    tell(&tokens->list, path);
    *out = tokens;
    return KEN_OK;
}

void kend_tokens_close(struct kend_tokens **out)
{
    struct kend_tokens *tokens = *out;
    if (!tokens) return;
    *out = NULL;
    pthread_rwlock_destroy(&tokens->lock);
    proto_token_list_clear(&tokens->list);
    free(tokens->path);
    free(tokens);
}

bool kend_tokens_reload(struct kend_tokens *tokens)
{
    struct proto_token_list fresh, old;
    struct ken_error error = {0};
    if (proto_token_list_read(&fresh, tokens->path, &error)) {
        pthread_rwlock_rdlock(&tokens->lock);
        const size_t count = tokens->list.count;
        pthread_rwlock_unlock(&tokens->lock);
        kend_log(KEND_LOG_ERROR, "tokens not read: those from before hold", KEND_S("file", tokens->path), KEND_S("error", error.message),
                 KEND_I("tokens", count));
        return false;
    }
    tell(&fresh, tokens->path);
    pthread_rwlock_wrlock(&tokens->lock);
    old = tokens->list;
    tokens->list = fresh;
    pthread_rwlock_unlock(&tokens->lock);
    proto_token_list_clear(&old);
    return true;
}

static void identity_fill(struct kend_identity *identity, const struct proto_token *token)
{
    *identity = (struct kend_identity){.scopes = token->scopes, .expires_at = token->expires_at};
    strcpy(identity->token, token->id);
    strcpy(identity->owner, token->owner);
    memcpy(identity->hash, token->hash, sizeof identity->hash);
}

bool kend_tokens_verify(struct kend_tokens *tokens, const char *text, int64_t now, struct kend_identity *identity)
{
    static const struct proto_token nobody = {.id = ""}; /* an unknown id costs a hash as well */
    char id[PROTO_TOKEN_ID + 1];
    const char *secret;
    if (!proto_token_split(text, id, &secret)) return false;
    pthread_rwlock_rdlock(&tokens->lock);
    const struct proto_token *found = proto_token_list_find(&tokens->list, id);
    const bool matches = proto_token_matches(found ? found : &nobody, secret);
    const bool valid = found && matches && !proto_token_is_over(found, now);
    if (valid) identity_fill(identity, found);
    pthread_rwlock_unlock(&tokens->lock);
    return valid;
}

bool kend_tokens_renew(struct kend_tokens *tokens, int64_t now, struct kend_identity *identity)
{
    pthread_rwlock_rdlock(&tokens->lock);
    const struct proto_token *found = proto_token_list_find(&tokens->list, identity->token);
    const bool valid = found && memcmp(found->hash, identity->hash, sizeof found->hash) == 0 && !proto_token_is_over(found, now);
    if (valid) identity_fill(identity, found);
    pthread_rwlock_unlock(&tokens->lock);
    return valid;
}

int kend_tokens_begin(const char *path, const char *admin_path, struct ken_error *error)
{
    struct proto_token token = {.owner = "admin", .scopes = PROTO_SCOPE_READ | PROTO_SCOPE_SUBMIT | PROTO_SCOPE_ADMIN};
    char text[PROTO_TOKEN_SIZE + 1];
    if (access(path, F_OK) == 0) return KEN_OK;
    int code = proto_token_make(&token, text, error);
    if (code) return code;
    strcat(text, "\n");
    /* The token first: a file of tokens that nobody has would lock everybody out. */
    code = ken_file_replace(admin_path, text, strlen(text), error);
    OPENSSL_cleanse(text, sizeof text);
    if (!code) code = proto_token_file_add(path, &token, error);
    if (!code)
        kend_log(KEND_LOG_WARN, "an admin token was made: requests from now on need a token", KEND_S("file", admin_path),
                 KEND_S("tokens_file", path));
    return code;
}
