/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_fetcher.h"

#include "fetch/fetcher.h"

struct kend_fetcher *cache_fetcher(struct kend_cache *cache)
{
    static struct kend_fetcher fetcher;
    fetcher.cache = cache;
    return &fetcher;
}
