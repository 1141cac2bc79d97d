/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the fetcher share: its settings, its thread, its cache and the table of entries in use. */
#ifndef KEND_FETCHER_H
#define KEND_FETCHER_H

#include "fetch/cache.h"
#include "fetch/fetch.h"
#include "fetch/loop.h"
#include "fetch/transfer.h"

#include <pthread.h>

struct kend_entry;

struct kend_fetcher {
    struct kend_transfer_settings settings;
    struct kend_loop *loop;
    struct kend_cache *cache;
    char **roots; /* [root_count] resolved folders below which file: URLs may lie */
    size_t root_count;
    uint64_t max_bytes;
    unsigned connections, retries;
    _Atomic uint64_t file_bytes;
    pthread_mutex_t mutex; /* the list; taken before an entry's own */
    pthread_cond_t changed;
    struct kend_entry *entries;
    struct kend_entry *starved;                   /* entries that wait for a share; the loop's thread */
    struct kend_location *first_told, *last_told; /* retained: those that have notes to be handed over; the loop's thread */
    uv_work_t teller;                             /* who hands them over in the pool; its data: to whom now, NULL: to nobody */
    struct kend_turn *turns;                      /* who waits for room in the cache, first come first */
};

#endif
