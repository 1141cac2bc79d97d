/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_view.h"

#include "json.h"

json_t *proto_shape_to_json(const uint64_t *shape, uint32_t rank)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < rank; i++) array = proto_json_append(array, json_integer((json_int_t)shape[i]));
    return array;
}

static json_t *tensor_to_json(const struct ken_plan *plan, const struct ken_options *options, size_t index)
{
    const struct ken_plan_tensor tensor = ken_plan_tensor(plan, index);
    json_t *k = json_array();
    for (size_t variant = 0; variant < options->variant_count; variant++)
        k = proto_json_append(k, json_integer((json_int_t)ken_plan_k(plan, index, variant)));
    return json_pack("{s:s, s:s?, s:s, s:s?, s:o, s:s, s:b, s:o}", "name", tensor.model->name, "base_name",
                     tensor.base ? tensor.base->name : NULL, "dtype", ken_dtype_name(tensor.model->dtype), "base_dtype",
                     tensor.base ? ken_dtype_name(tensor.base->dtype) : NULL, "shape",
                     proto_shape_to_json(tensor.model->shape, tensor.model->rank), "action", ken_action_name(tensor.action), "pruned",
                     tensor.pruned, "k", k);
}

static json_t *totals_to_json(const struct ken_plan_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tensors", (json_int_t)totals->tensors, "pruned_tensors",
                     (json_int_t)totals->pruned_tensors, "added_tensors", (json_int_t)totals->added_tensors, "renamed_tensors",
                     (json_int_t)totals->renamed_tensors, "dropped_tensors", (json_int_t)totals->dropped_tensors, "parameters",
                     (json_int_t)totals->parameters, "pruned_parameters", (json_int_t)totals->pruned_parameters, "rows",
                     (json_int_t)totals->rows, "model_bytes", (json_int_t)totals->model_bytes, "delta_bytes_at_most",
                     (json_int_t)totals->delta_bytes_at_most);
}

/* null where the document has no variants. */
static json_t *names_to_json(const struct ken_options *options)
{
    if (options->variant_count == 1 && !*options->variants[0].name) return json_null();
    json_t *names = json_array();
    for (size_t i = 0; i < options->variant_count; i++) names = proto_json_append(names, json_string(options->variants[i].name));
    return names;
}

json_t *proto_plan_view_to_json(const struct ken_plan *plan, const struct ken_options *options, size_t most)
{
    const size_t tensors = ken_plan_tensor_count(plan);
    json_t *listed = json_array(), *warnings = json_array();
    for (size_t i = 0; i < tensors && i < most; i++) listed = proto_json_append(listed, tensor_to_json(plan, options, i));
    for (size_t i = 0; i < ken_plan_warning_count(plan) && i < most; i++)
        warnings = proto_json_append(warnings, json_string(ken_plan_warning(plan, i)));
    return json_pack("{s:o, s:o, s:o, s:o, s:b}", "totals", totals_to_json(ken_plan_totals(plan)), "variants", names_to_json(options),
                     "warnings", warnings, "tensors", listed, "tensors_cut", tensors > most);
}
