/* SPDX-License-Identifier: Apache-2.0 */
/* Room in the cache for all files of a job: taken at once, or waited for in line by who holds nothing. So no two jobs can block each other.
 */
#include "fetch/fetcher.h"
#include "fetch/fetch_source.h"

#include "clock.h"
#include "condition.h"

#include <stdlib.h>

enum {
    POLL_MS = 100,
    FIRST_RETRY_MS = 500,
    LAST_RETRY_MS = 30000, /* also how long it takes to try again without a sign of room: what is shared is counted twice */
    LEAST_BYTES = 64 << 10 /* of a job that did not get as far as telling what it needs */
};

/* What the locations' files will take of the cache; malloc'ed. */
static int collect(struct kend_location *const *locations, size_t count, struct kend_claim **claims, size_t *claimed,
                   struct ken_error *error)
{
    size_t most = 0;
    *claimed = 0;
    for (size_t i = 0; i < count; i++)
        for (const struct kend_source *source = locations[i]->sources; source; source = source->next) most++;
    *claims = calloc(most + 1, sizeof **claims);
    if (!*claims) return ken_fail(error, KEN_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        for (const struct kend_source *source = locations[i]->sources; source; source = source->next) {
            struct kend_cached *cached = source->more->cached(source);
            if (cached) (*claims)[(*claimed)++] = (struct kend_claim){cached, source->base.size};
        }
    return 0;
}

int kend_fetcher_coming(struct kend_fetcher *fetcher, struct kend_location *const *locations, size_t count, struct kend_coming *coming,
                        struct ken_error *error)
{
    struct kend_claim *claims;
    size_t claimed;
    const int code = collect(locations, count, &claims, &claimed, error);
    if (!code) kend_cache_coming(fetcher->cache, claims, claimed, coming);
    free(claims);
    return code;
}

void kend_turn_leave(struct kend_fetcher *fetcher, struct kend_turn *turn)
{
    pthread_mutex_lock(&fetcher->mutex);
    if (turn->queued) {
        struct kend_turn **at = &fetcher->turns;
        while (*at != turn) at = &(*at)->next;
        *at = turn->next;
        turn->queued = false;
        pthread_cond_broadcast(&fetcher->changed);
    }
    pthread_mutex_unlock(&fetcher->mutex);
}

/* Whether another one waits before it. */
static bool is_behind(struct kend_fetcher *fetcher, const struct kend_turn *turn)
{
    pthread_mutex_lock(&fetcher->mutex);
    bool behind = fetcher->turns && fetcher->turns != turn;
    pthread_mutex_unlock(&fetcher->mutex);
    return behind;
}

int kend_fetcher_reserve(struct kend_fetcher *fetcher, struct kend_turn *turn, struct kend_location *const *locations, size_t count,
                         struct ken_error *error)
{
    struct kend_claim *claims;
    size_t claimed;
    uint64_t bytes = 0;
    int code = collect(locations, count, &claims, &claimed, error);
    if (!code) code = kend_cache_check(fetcher->cache, claims, claimed, &bytes, error);
    if (turn) turn->bytes = bytes;
    /* Also who claims nothing of the cache takes of the disk that the first one in line waits for. */
    if (!code && turn && is_behind(fetcher, turn)) code = ken_fail(error, KEN_EBUSY, "another job waits for room already");
    if (!code && turn && claimed) code = kend_cache_reserve(fetcher->cache, claims, claimed, error);
    if (!code && turn) kend_turn_leave(fetcher, turn);
    free(claims);
    return code;
}

/* With the fetcher's mutex held. */
static void enqueue(struct kend_fetcher *fetcher, struct kend_turn *turn)
{
    if (turn->queued) return;
    struct kend_turn **at = &fetcher->turns;
    while (*at) at = &(*at)->next;
    *at = turn;
    turn->next = NULL;
    turn->queued = true;
}

static int64_t pause_ms(unsigned tries)
{
    return tries < 6 ? (int64_t)FIRST_RETRY_MS << tries : LAST_RETRY_MS;
}

int kend_turn_wait(struct kend_fetcher *fetcher, struct kend_turn *turn, bool (*cancelled)(void *opaque), void *opaque,
                   struct ken_error *error)
{
    const int64_t begun = kend_monotonic_ms(), earliest = begun + pause_ms(turn->tries++), latest = begun + LAST_RETRY_MS;
    const uint64_t bytes = turn->bytes > LEAST_BYTES ? turn->bytes : LEAST_BYTES;
    for (bool due = false; !due;) {
        if (cancelled(opaque)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
        pthread_mutex_lock(&fetcher->mutex);
        enqueue(fetcher, turn);
        ken_condition_wait_ms(&fetcher->changed, &fetcher->mutex, POLL_MS);
        const bool first = fetcher->turns == turn;
        pthread_mutex_unlock(&fetcher->mutex); /* looking for room asks the disk */
        const int64_t now = kend_monotonic_ms();
        due = first && now >= earliest && (now >= latest || kend_cache_has_room(fetcher->cache, bytes));
    }
    return 0;
}
