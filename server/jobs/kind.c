/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/kind.h"

#include "json.h"

const struct kend_kind *kend_kind_of(const struct proto_job *job)
{
    static const struct kend_kind *const kinds[PROTO_KIND_COUNT] = {
        [PROTO_KIND_PRUNE] = &kend_kind_prune,
        [PROTO_KIND_INJECT] = &kend_kind_inject,
    };
    KEN_ASSERT((unsigned)job->kind < PROTO_KIND_COUNT);
    return kinds[job->kind];
}

json_t *kend_shape_to_json(const uint64_t *shape, uint32_t rank)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < rank; i++) array = proto_json_append(array, json_integer((json_int_t)shape[i]));
    return array;
}
