/* SPDX-License-Identifier: Apache-2.0 */
#include "http/ready.h"

#include "clock.h"
#include "http/disk.h"
#include "log.h"

const struct kend_unready_reason kend_unready_reasons[KEND_UNREADY_COUNT] = {
#define X(symbol, problem, detail) {problem, detail},
    KEND_UNREADY_MAP(X)
#undef X
};

enum { STORE_FRESH_MS = 1000 };

/* Asking the store is a write that is synced: anybody may ask for probes, but not make the disk work as often as they like. */
static enum kend_store_result store_state(struct kend_http *http)
{
    const int64_t now = kend_monotonic_ms(), asked = atomic_load(&http->store_asked);
    if (asked && now - asked < STORE_FRESH_MS) return (enum kend_store_result)atomic_load(&http->store_state);
    const enum kend_store_result state = http->parts.store->ops->check(http->parts.store);
    atomic_store(&http->store_state, (int)state);
    atomic_store(&http->store_asked, now);
    return state;
}

/* Beginning and end are told once each, however often and by how many it is asked. */
static void tell_space(struct kend_http *http, bool none)
{
    if (atomic_exchange(&http->no_space, none) == none) return;
    if (none)
        kend_log(KEND_LOG_WARN, "no space: jobs are refused until there is",
                 KEND_S("reason", kend_unready_reasons[KEND_UNREADY_SPACE].detail));
    else
        kend_log(KEND_LOG_INFO, "there is space again: jobs are taken");
}

bool kend_lacks_space(struct kend_http *http)
{
    const bool full = kend_disk_is_full(&http->parts);
    if (full) tell_space(http, true);
    return full;
}

void kend_ready_learn(struct kend_http *http, enum kend_store_result written)
{
    if (written != KEND_STORE_OK && written != KEND_STORE_NO_SPACE) return;
    atomic_store(&http->store_state, (int)written);
    atomic_store(&http->store_asked, kend_monotonic_ms());
    tell_space(http, written == KEND_STORE_NO_SPACE);
}

bool kend_is_ready(struct kend_http *http, bool reasons[KEND_UNREADY_COUNT])
{
    const struct kend_http_parts *parts = &http->parts;
    const enum kend_store_result store = store_state(http);
    reasons[KEND_UNREADY_DRAINING] = atomic_load(&http->draining);
    reasons[KEND_UNREADY_STORE] = store != KEND_STORE_OK && store != KEND_STORE_NO_SPACE;
    reasons[KEND_UNREADY_SPACE] = store == KEND_STORE_NO_SPACE || kend_disk_is_full(parts);
    tell_space(http, reasons[KEND_UNREADY_SPACE]);
    bool ready = true;
    for (int i = 0; i < KEND_UNREADY_COUNT; i++) ready = ready && !reasons[i];
    return ready;
}
