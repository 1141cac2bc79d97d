/* SPDX-License-Identifier: Apache-2.0 */
#include "http/ready.h"

#include "http/disk.h"

const struct kend_unready_reason kend_unready_reasons[KEND_UNREADY_COUNT] = {
#define X(symbol, problem, detail) {problem, detail},
    KEND_UNREADY_MAP(X)
#undef X
};

bool kend_is_ready(struct kend_http *http, bool reasons[KEND_UNREADY_COUNT])
{
    const struct kend_http_parts *parts = &http->parts;
    const enum kend_store_result store = parts->store->ops->check(parts->store);
    reasons[KEND_UNREADY_DRAINING] = atomic_load(&http->draining);
    reasons[KEND_UNREADY_STORE] = store != KEND_STORE_OK && store != KEND_STORE_NO_SPACE;
    reasons[KEND_UNREADY_SPACE] = store == KEND_STORE_NO_SPACE || kend_disk_is_full(parts);
    bool ready = true;
    for (int i = 0; i < KEND_UNREADY_COUNT; i++) ready = ready && !reasons[i];
    return ready;
}
