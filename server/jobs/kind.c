/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/kind.h"

const struct kend_kind *kend_kind_of(const struct proto_job *job)
{
    static const struct kend_kind *const kinds[PROTO_KIND_COUNT] = {
        [PROTO_KIND_PRUNE] = &kend_kind_prune,
        [PROTO_KIND_INJECT] = &kend_kind_inject,
    };
    KEN_ASSERT((unsigned)job->kind < PROTO_KIND_COUNT);
    return kinds[job->kind];
}
