/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as JSON: what a dry run tells of tensors, the same with a server and without. All functions return new references. */
#ifndef PROTO_PLAN_VIEW_H
#define PROTO_PLAN_VIEW_H

#include "pruning/prune.h"

#include <jansson.h>

/* "totals", "variants", "warnings", "tensors" and "tensors_cut"; of tensors and warnings at most `most` are listed. */
json_t *proto_plan_view_to_json(const struct ken_plan *plan, const struct ken_options *options, size_t most);
/* The sizes of a tensor. */
json_t *proto_shape_to_json(const uint64_t *shape, uint32_t rank);

#endif
