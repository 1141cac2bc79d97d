/* SPDX-License-Identifier: Apache-2.0 */
#include "http/rates.h"

#include "http/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RATE_SETS = 1024, RATE_WAYS = 8 };

/* A bucket is the time at which it is full again (the "theoretical arrival time" of GCRA): nothing has to be filled. */
struct bucket {
    struct kend_rate_key key;
    int64_t full; /* monotonic ns; 0: nobody's */
};

struct kend_rates {
    pthread_mutex_t lock;
    int64_t interval; /* of one request, ns */
    int64_t depth;    /* ns that a bucket may be from full before a request */
    uint32_t seed;    /* so that nobody can tell which names share a set */
    struct bucket bucket[RATE_SETS][RATE_WAYS];
};

int kend_rates_create(struct kend_rates **out, uint64_t per_second, uint64_t burst, struct ken_error *error)
{
    struct kend_rates *rates = calloc(1, sizeof *rates);
    *out = rates;
    if (!rates) return ken_fail(error, KEN_ENOMEM, "out of memory");
    pthread_mutex_init(&rates->lock, NULL);
    rates->interval = (int64_t)(1000000000 / per_second);
    rates->depth = (int64_t)(burst - 1) * rates->interval;
    rates->seed = kend_hash_seed();
    return KEN_OK;
}

void kend_rates_destroy(struct kend_rates **out)
{
    if (!*out) return;
    pthread_mutex_destroy(&(*out)->lock);
    free(*out);
    *out = NULL;
}

/* The key's bucket, or one that becomes its own. */
static struct bucket *bucket_find(struct kend_rates *rates, const struct kend_rate_key *key)
{
    struct bucket *set = rates->bucket[kend_hash(rates->seed, key, sizeof *key) % RATE_SETS], *spare = set;
    for (struct bucket *bucket = set; bucket < set + RATE_WAYS; bucket++) {
        if (bucket->key.kind == key->kind && memcmp(bucket->key.name, key->name, sizeof key->name) == 0) return bucket;
        if (bucket->full < spare->full) spare = bucket;
    }
    spare->key = *key;
    spare->full = 0;
    return spare;
}

int64_t kend_rates_take(struct kend_rates *rates, const struct kend_rate_key *key, int64_t now)
{
    now *= 1000;
    pthread_mutex_lock(&rates->lock);
    struct bucket *bucket = bucket_find(rates, key);
    if (bucket->full < now) bucket->full = now;
    const int64_t early = bucket->full - now - rates->depth;
    if (early <= 0) bucket->full += rates->interval;
    pthread_mutex_unlock(&rates->lock);
    return early > 0 ? (early + 999) / 1000 : 0;
}
