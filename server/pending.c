/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weak definitions that let the daemon be linked, and everything but the running of jobs be used and tested, until pruning and fetching are
 * there. Last in the library, so that the real ones are found first; removed with them.
 */
#include "fetch/fetch.h"
#include "prune.h"

#include <stdlib.h>
#include <string.h>

#define PENDING __attribute__((weak))

PENDING int kend_fetcher_create(struct kend_fetcher **fetcher, const struct kend_fetch_options *options, struct ken_error *error)
{
    (void)options, (void)error;
    *fetcher = NULL;
    return KEN_OK;
}
PENDING void kend_fetcher_destroy(struct kend_fetcher **fetcher)
{
    *fetcher = NULL;
}
PENDING uint64_t kend_fetcher_cache_bytes(struct kend_fetcher *fetcher)
{
    (void)fetcher;
    return 0;
}
PENDING uint64_t kend_fetcher_received(struct kend_fetcher *fetcher, const char *source)
{
    (void)fetcher, (void)source;
    return 0;
}
PENDING int kend_location_open(struct kend_location **location, struct kend_fetcher *fetcher, const struct kend_location_request *request,
                               struct ken_error *error)
{
    (void)fetcher, (void)request;
    *location = NULL;
    return ken_fail(error, KEN_EFETCH, "fetching is not there yet");
}
PENDING struct ken_opener *kend_location_opener(struct kend_location *location)
{
    (void)location;
    return NULL;
}
PENDING void kend_location_fetch(struct kend_location *location)
{
    (void)location;
}
PENDING void kend_location_state(struct kend_location *location, struct kend_location_state *state)
{
    (void)location;
    memset(state, 0, sizeof *state);
}
PENDING int kend_location_wait(struct kend_location *location, struct ken_error *error)
{
    (void)location;
    return ken_fail(error, KEN_EFETCH, "fetching is not there yet");
}
PENDING void kend_location_close(struct kend_location **location)
{
    *location = NULL;
}

PENDING void ken_plan_free(struct ken_plan **plan)
{
    *plan = NULL;
}
PENDING void ken_prune_close(struct ken_prune **prune)
{
    *prune = NULL;
}

/* Never called, for no location opens. */
void pending_never(void);
__attribute__((used)) void pending_never(void)
{
    abort();
}
#define NEVER(name) __asm__(".weak " #name "\n.set " #name ", pending_never\n");
NEVER(ken_plan_k)
NEVER(ken_plan_make)
NEVER(ken_plan_tensor)
NEVER(ken_plan_tensor_count)
NEVER(ken_plan_totals)
NEVER(ken_plan_warning)
NEVER(ken_plan_warning_count)
NEVER(ken_prune_file)
NEVER(ken_prune_file_count)
NEVER(ken_prune_finish)
NEVER(ken_prune_open)
NEVER(ken_prune_rows)
NEVER(ken_prune_totals_json)
