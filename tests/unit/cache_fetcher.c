/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_fetcher.h"

#include "condition.h"
#include "fetch/fetcher.h"

struct kend_fetcher *cache_fetcher(struct kend_cache *cache)
{
    static struct kend_fetcher fetcher;
    fetcher = (struct kend_fetcher){.cache = cache};
    pthread_mutex_init(&fetcher.mutex, NULL);
    ken_condition_init(&fetcher.changed);
    return &fetcher;
}
