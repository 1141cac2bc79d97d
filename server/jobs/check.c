/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/check.h"

#include "conf.h"

#include <inttypes.h>

static int open_side(struct kend_location **location, struct ken_checkpoint **checkpoint, const struct kend_parts *parts,
                     const struct kend_check_request *request, const char *side, const struct proto_input *input, struct ken_error *error)
{
    const struct kend_location_request where = {
        .url = input->url,
        .sha256 = input->has_sha256 ? input->sha256 : NULL,
        .owner = request->owner,
        .cancelled = request->cancelled,
        .note = request->note,
        .opaque = request->opaque,
    };
    const struct ken_checkpoint_limits limits = {
        .max_header_bytes = parts->conf->fetch_max_header_bytes,
        .max_tensors = parts->conf->fetch_max_tensors,
    };
    struct ken_error reason = {0};
    int code = kend_location_open(location, parts->fetcher, &where, &reason);
    if (!code) code = ken_checkpoint_open(checkpoint, kend_location_opener(*location), &limits, &reason);
    /* Nothing at the URL is no longer a matter of probing here. */
    return code ? ken_fail(error, code == KEN_ENOT_FOUND ? KEN_EFETCH : code, "%s: %.480s", side, reason.message) : 0;
}

static uint64_t still_to_fetch(struct kend_location *location)
{
    struct kend_location_state state;
    kend_location_state(location, &state);
    return state.bytes_total - state.bytes_there;
}

static int check_room(const char *what, uint64_t need, uint64_t reserve, uint64_t there, struct ken_error *error)
{
    if (there >= reserve && need <= there - reserve) return 0;
    return ken_fail(error, KEN_ENO_SPACE,
                    "%s needs %" PRIu64 " bytes of disk beside the reserve of %" PRIu64 " (disk.reserve_bytes), but only %" PRIu64
                    " are free",
                    what, need, reserve, there);
}

/* What the job's outputs will take beyond what earlier attempts have allocated already. */
static int outputs_to_come(const struct kend_check *check, const struct kend_parts *parts, const char *id, uint64_t *bytes,
                           struct ken_error *error)
{
    uint64_t there = 0;
    int code = id ? parts->artifacts->ops->used_bytes(parts->artifacts, id, &there, error) : 0;
    *bytes = ken_plan_totals(check->plan)->disk_bytes;
    *bytes -= there < *bytes ? there : *bytes;
    return code;
}

static int check_artifacts(const struct kend_parts *parts, uint64_t need, struct ken_error *error)
{
    const uint64_t most = parts->conf->artifacts_max_bytes;
    uint64_t taken = 0;
    int code = most ? parts->artifacts->ops->used_bytes(parts->artifacts, NULL, &taken, error) : 0;
    if (code || !most || (taken <= most && need <= most - taken)) return code;
    return ken_fail(error, KEN_ENO_SPACE,
                    "the job's artifacts need %" PRIu64 " bytes at most, but %" PRIu64 " of the %" PRIu64
                    " bytes of artifacts.max_bytes are taken; deleting jobs makes room",
                    need, taken, most);
}

/*
 * Artifacts and cache usually share a file system: then their needs add up. What the cache holds for nobody counts as free; fetching makes
 * room by itself, for outputs it is made here.
 */
static int check_disk(const struct kend_check *check, const struct kend_parts *parts, const char *id, struct ken_error *error)
{
    const uint64_t reserve = parts->conf->disk_reserve_bytes;
    const uint64_t fetch = still_to_fetch(check->model_location) + still_to_fetch(check->base_location);
    uint64_t prune, free_bytes, device;
    struct kend_cache_room cache;
    int code = outputs_to_come(check, parts, id, &prune, error);
    if (!code) code = check_artifacts(parts, prune, error);
    if (!code) code = parts->artifacts->ops->free_bytes(parts->artifacts, &free_bytes, &device, error);
    if (code) return code;
    kend_fetcher_room(parts->fetcher, &cache);
    if (cache.device != device) {
        code = check_room("fetching", fetch, reserve, cache.free + cache.evictable, error);
        return code ? code : check_room("pruning", prune, reserve, free_bytes, error);
    }
    code = check_room("the job", fetch + prune, reserve, cache.free + cache.evictable, error);
    if (!code && id) kend_fetcher_make_room(parts->fetcher, fetch + prune);
    return code;
}

/* Last: who has room for all that it fetches never waits for more. */
static int reserve(const struct kend_check *check, const struct kend_parts *parts, struct kend_turn *turn, struct ken_error *error)
{
    struct kend_location *const locations[] = {check->model_location, check->base_location};
    struct ken_error reason;
    int code = kend_fetcher_reserve(parts->fetcher, turn, locations, 2, &reason);
    return code ? ken_fail(error, code, "model and base together: %s", reason.message) : 0;
}

int kend_check_open(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                    struct ken_error *error)
{
    const struct proto_job *job = request->job;
    const struct ken_plan_limits limits = {
        .memory = ken_budget_total(parts->budget),
        .threads = (unsigned)parts->conf->prune_threads,
    };
    *check = (struct kend_check){.pointer = "/model"};
    int code = open_side(&check->model_location, &check->model, parts, request, "model", &job->model, error);
    if (!code) {
        check->pointer = "/base";
        code = open_side(&check->base_location, &check->base, parts, request, "base", &job->base, error);
    }
    if (!code) check->pointer = "";
    if (!code) code = ken_plan_make(&check->plan, check->model, check->base, &job->options, &limits, error);
    if (!code) code = check_disk(check, parts, request->id, error);
    if (!code) code = reserve(check, parts, request->turn, error);
    if (code) kend_check_close(check);
    return code;
}

void kend_check_close(struct kend_check *check)
{
    ken_plan_free(&check->plan);
    ken_checkpoint_close(&check->model);
    ken_checkpoint_close(&check->base);
    kend_location_close(&check->model_location);
    kend_location_close(&check->base_location);
}

static json_t *side_to_json(const struct ken_checkpoint *checkpoint)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < checkpoint->file_count; i++) bytes += checkpoint->files[i].stored->size;
    return json_pack("{s:I, s:I, s:I}", "files", (json_int_t)checkpoint->file_count, "tensors", (json_int_t)checkpoint->tensor_count,
                     "bytes", (json_int_t)bytes);
}

static json_t *shape_to_json(const struct ken_tensor *tensor)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor->rank; i++) json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return shape;
}

static json_t *tensor_to_json(const struct kend_check *check, const struct ken_options *options, size_t index)
{
    const struct ken_plan_tensor tensor = ken_plan_tensor(check->plan, index);
    json_t *k = json_array();
    for (size_t variant = 0; variant < options->variant_count; variant++)
        json_array_append_new(k, json_integer((json_int_t)ken_plan_k(check->plan, index, variant)));
    return json_pack("{s:s, s:s?, s:s, s:o, s:s, s:b, s:o}", "name", tensor.model->name, "base_name",
                     tensor.base ? tensor.base->name : NULL, "dtype", ken_dtype_name(tensor.model->dtype), "shape",
                     shape_to_json(tensor.model), "action", ken_action_name(tensor.action), "pruned", tensor.pruned, "k", k);
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
    for (size_t i = 0; i < options->variant_count; i++) json_array_append_new(names, json_string(options->variants[i].name));
    return names;
}

json_t *kend_check_to_json(const struct kend_check *check, const struct ken_options *options)
{
    const struct ken_plan_totals *totals = ken_plan_totals(check->plan);
    const size_t tensors = ken_plan_tensor_count(check->plan);
    json_t *listed = json_array(), *warnings = json_array();
    for (size_t i = 0; i < tensors && i < KEND_PLAN_TENSORS; i++) json_array_append_new(listed, tensor_to_json(check, options, i));
    for (size_t i = 0; i < ken_plan_warning_count(check->plan) && i < KEND_PLAN_TENSORS; i++)
        json_array_append_new(warnings, json_string(ken_plan_warning(check->plan, i)));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:b}", "object", "plan", "model", side_to_json(check->model),
                     "base", side_to_json(check->base), "totals", totals_to_json(totals), "variants", names_to_json(options), "fetch_bytes",
                     (json_int_t)still_to_fetch(check->model_location) + (json_int_t)still_to_fetch(check->base_location), "disk_bytes",
                     (json_int_t)totals->disk_bytes, "memory_bytes", (json_int_t)totals->memory_bytes, "warnings", warnings, "tensors",
                     listed, "tensors_cut", tensors > KEND_PLAN_TENSORS);
}
