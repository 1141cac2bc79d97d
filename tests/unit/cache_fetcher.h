/* SPDX-License-Identifier: Apache-2.0 */
/* A fetcher that fetches nothing: its cache, for those that ask it for room. Apart, since the fetcher's own header has names of the store.
 */
#ifndef KEND_TESTS_CACHE_FETCHER_H
#define KEND_TESTS_CACHE_FETCHER_H

#include "fetch/cache.h"

/* Static; the one of the last call. */
struct kend_fetcher *cache_fetcher(struct kend_cache *cache);

#endif
