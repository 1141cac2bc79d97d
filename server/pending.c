/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weak definitions that let the daemon be linked, and everything but the running of jobs be used and tested, until pruning is there. Last in the library, so that the real ones are found first; removed with them.
 */
#include "prune.h"

#include <stdlib.h>

#define PENDING __attribute__((weak))

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
