/* SPDX-License-Identifier: Apache-2.0 */
#include "http/shares.h"

#include "http/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHARE_HASHES = 256 };

struct share {
    struct share *next; /* of the same hash */
    uint64_t taken;     /* never 0 */
    char owner[];
};

struct kend_shares {
    pthread_mutex_t lock;
    uint64_t most;
    struct share *share[SHARE_HASHES];
};

static struct share **share_place(struct kend_shares *shares, const char *owner)
{
    struct share **place = &shares->share[kend_hash(0, owner, strlen(owner)) % SHARE_HASHES];
    while (*place && strcmp((*place)->owner, owner) != 0) place = &(*place)->next;
    return place;
}

int kend_shares_create(struct kend_shares **out, uint64_t most, struct ken_error *error)
{
    struct kend_shares *shares = *out = calloc(1, sizeof *shares);
    if (!shares) return ken_fail(error, KEN_ENOMEM, "out of memory");
    shares->most = most;
    pthread_mutex_init(&shares->lock, NULL);
    return KEN_OK;
}

void kend_shares_destroy(struct kend_shares **out)
{
    struct kend_shares *shares = *out;
    if (!shares) return;
    *out = NULL;
    for (size_t i = 0; i < SHARE_HASHES; i++) KEN_ASSERT(!shares->share[i]);
    pthread_mutex_destroy(&shares->lock);
    free(shares);
}

bool kend_shares_take_more(struct kend_shares *shares, const char *owner, uint64_t own, uint64_t more)
{
    pthread_mutex_lock(&shares->lock);
    struct share **place = share_place(shares, owner);
    if (!*place && (*place = calloc(1, sizeof **place + strlen(owner) + 1))) strcpy((*place)->owner, owner);
    const bool taken = *place && ((*place)->taken == own || (*place)->taken + more <= shares->most);
    if (taken) (*place)->taken += more;
    pthread_mutex_unlock(&shares->lock);
    return taken;
}

bool kend_shares_take(struct kend_shares *shares, const char *owner)
{
    return kend_shares_take_more(shares, owner, 0, 1);
}

void kend_shares_give_some(struct kend_shares *shares, const char *owner, uint64_t some)
{
    pthread_mutex_lock(&shares->lock);
    struct share **place = share_place(shares, owner), *share = *place;
    KEN_ASSERT(share && share->taken >= some);
    share->taken -= some;
    if (!share->taken) {
        *place = share->next;
        free(share);
    }
    pthread_mutex_unlock(&shares->lock);
}

void kend_shares_give(struct kend_shares *shares, const char *owner)
{
    kend_shares_give_some(shares, owner, 1);
}
