/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many transfers one location may have beside those that somebody waits for: so no job, however many and slow its files, takes the
 * connections of the others. Whoever gets no share is told when one is given back.
 */
#include "fetch/piece.h"

enum { LEAST_SHARE = 16 };

struct kend_location *kend_share_find(const struct kend_entry *entry)
{
    const unsigned connections = entry->fetcher->connections, most = connections > LEAST_SHARE ? connections : LEAST_SHARE;
    for (const struct kend_entry_source *source = entry->sources; source; source = source->next)
        if (source->active && source->source.location->pieces < most) return source->source.location;
    return NULL;
}

struct kend_location *kend_share_take(struct kend_location *share)
{
    if (!share) return NULL;
    kend_location_retain(share);
    share->pieces++;
    return share;
}

void kend_share_await(struct kend_entry *entry)
{
    struct kend_entry **at = &entry->fetcher->starved;
    while (*at && *at != entry) at = &(*at)->next_starved;
    if (*at) return;
    entry->next_starved = NULL;
    *at = entry;
}

void kend_share_forget(struct kend_entry *entry)
{
    struct kend_entry **at = &entry->fetcher->starved;
    while (*at && *at != entry) at = &(*at)->next_starved;
    if (*at) *at = entry->next_starved;
}

static void poke(struct kend_entry *entry, bool only_waited_for)
{
    pthread_mutex_lock(&entry->mutex);
    if (entry->waiters || !only_waited_for) kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

void kend_share_give_back(struct kend_fetcher *fetcher, struct kend_location *share)
{
    if (!share) return;
    share->pieces--;
    kend_location_release(share);
    /* The ticks run in this order: first what somebody waits for. */
    for (struct kend_entry *entry = fetcher->starved; entry; entry = entry->next_starved) poke(entry, true);
    for (struct kend_entry *entry = fetcher->starved; entry; entry = entry->next_starved) poke(entry, false);
    fetcher->starved = NULL;
}
