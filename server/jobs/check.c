/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/check.h"

#include "conf.h"
#include "jobs/kind.h"
#include "jobs/room.h"

/* A delta's header tells of more tensors than it has room for in a model, and its entries have longer names. */
static struct ken_checkpoint_limits limits_of(const struct kend_conf *conf, const struct kend_kind_side *kind)
{
    return (struct ken_checkpoint_limits){
        .max_header_bytes = conf->fetch_max_header_bytes,
        .max_tensors = kind->is_delta ? 2 * conf->fetch_max_tensors : conf->fetch_max_tensors,
        .max_name_bytes = kind->is_delta ? ken_delta_limits.max_name_bytes : 0,
    };
}

static void measure_side(struct kend_side *side)
{
    side->files = side->checkpoint->file_count;
    side->tensors = side->checkpoint->tensor_count;
    for (size_t i = 0; i < side->checkpoint->file_count; i++) side->bytes += side->checkpoint->files[i].stored->size;
}

static int open_side(struct kend_side *side, const struct kend_parts *parts, const struct kend_check_request *request,
                     const struct kend_kind_side *kind, struct ken_error *error)
{
    const struct proto_input *input = (const struct proto_input *)((const char *)request->job + kind->input);
    const struct kend_location_request where = {
        .url = input->url,
        .sha256 = input->has_sha256 ? input->sha256 : NULL,
        .owner = request->owner,
        .hasty = !request->turn, /* a dry run */
        .cancelled = request->cancelled,
        .note = request->note,
        .opaque = request->opaque,
    };
    const struct ken_checkpoint_limits limits = limits_of(parts->conf, kind);
    struct ken_error reason = {0};
    int code = kend_location_open(&side->location, parts->fetcher, &where, &reason);
    if (!code) {
        struct ken_opener *opener = kend_location_opener(side->location);
        if (kind->is_delta) opener->only = KEN_DELTA_FILE_NAME;
        code = ken_checkpoint_open(&side->checkpoint, opener, &limits, &reason);
        /* An origin that put another file in place under the same ETag, or told a wrong length at first, confirms what is no use. */
        if (code == KEN_EBAD_CHECKPOINT && kend_location_refresh(side->location))
            code = ken_checkpoint_open(&side->checkpoint, opener, &limits, &reason);
    }
    /* Nothing at the URL is no longer a matter of probing here. */
    if (code) return ken_fail(error, code == KEN_ENOT_FOUND ? KEN_EFETCH : code, "%s: %.480s", kind->name, reason.message);
    measure_side(side);
    return 0;
}

void kend_check_state(const struct kend_check *check, struct kend_location_state *state)
{
    *state = (struct kend_location_state){.complete = true};
    for (size_t i = 0; i < KEND_SIDES; i++) {
        struct kend_location_state one;
        kend_location_state(check->sides[i].location, &one);
        state->bytes_total += one.bytes_total;
        state->bytes_there += one.bytes_there;
        state->bytes_durable += one.bytes_durable;
        state->bytes_resumed += one.bytes_resumed;
        state->complete = state->complete && one.complete;
    }
}

static uint64_t still_to_fetch(const struct kend_check *check)
{
    struct kend_location_state state;
    kend_check_state(check, &state);
    return state.bytes_total - state.bytes_there;
}

/* Last: who has room for all that it fetches never waits for more. */
static int reserve(const struct kend_check *check, const struct kend_parts *parts, struct kend_turn *turn,
                   struct kend_location *const locations[KEND_SIDES], struct ken_error *error)
{
    struct ken_error reason;
    int code = kend_fetcher_reserve(parts->fetcher, turn, locations, KEND_SIDES, &reason);
    return code ? ken_fail(error, code, "%s and %s together: %s", check->kind->sides[0].name, check->kind->sides[1].name, reason.message)
                : 0;
}

int kend_check_open(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                    struct ken_error *error)
{
    int code = 0;
    *check = (struct kend_check){.kind = kend_kind_of(request->job)};
    for (size_t i = 0; !code && i < KEND_SIDES; i++) {
        check->pointer = check->kind->sides[i].pointer;
        code = open_side(&check->sides[i], parts, request, &check->kind->sides[i], error);
    }
    if (!code) check->pointer = "";
    if (!code) code = check->kind->plan(check, parts, request, error);
    struct kend_location *const locations[KEND_SIDES] = {check->sides[0].location, check->sides[1].location};
    const struct kend_room_need need = {request->id, request->owner, locations, KEND_SIDES, check->need.disk_bytes};
    if (!code) code = kend_room_find(parts, &need, error);
    if (!code) code = reserve(check, parts, request->turn, locations, error);
    if (!code && request->id) code = kend_room_make(parts, &need, error);
    if (!code) return 0;
    if (request->id) kend_room_leave(parts, request->id); /* who waits for room in the cache holds none on the disk */
    kend_check_close(check);
    return code;
}

void kend_check_close(struct kend_check *check)
{
    ken_plan_free(&check->plan);
    ken_delta_close(&check->delta);
    for (size_t i = 0; i < KEND_SIDES; i++) {
        ken_checkpoint_close(&check->sides[i].checkpoint);
        kend_location_close(&check->sides[i].location);
    }
}

static json_t *side_to_json(const struct kend_side *side)
{
    return json_pack("{s:I, s:I, s:I}", "files", (json_int_t)side->files, "tensors", (json_int_t)side->tensors, "bytes",
                     (json_int_t)side->bytes);
}

json_t *kend_check_to_json(const struct kend_check *check, const struct proto_job *job)
{
    json_t *plan = json_pack("{s:s}", "object", "plan"),
           *needs = json_pack("{s:I, s:I, s:I}", "fetch_bytes", (json_int_t)still_to_fetch(check), "disk_bytes",
                              (json_int_t)check->need.disk_bytes, "memory_bytes", (json_int_t)check->need.memory_bytes);
    json_t *of_kind = check->kind->plan_to_json(check, job);
    int failed = !plan || !needs || !of_kind;
    for (size_t i = 0; !failed && i < KEND_SIDES; i++)
        failed = json_object_set_new(plan, check->kind->sides[i].name, side_to_json(&check->sides[i]));
    if (!failed) failed = json_object_update(plan, needs) || json_object_update(plan, of_kind);
    json_decref(needs);
    json_decref(of_kind);
    if (!failed) return plan;
    json_decref(plan);
    return NULL;
}
