/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that inject a delta into its base. They are done anew by each attempt, from what was fetched already. */
#include "jobs/kind.h"

#include "conf.h"
#include "folder.h"
#include "json.h"
#include "json_load.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BASE, DELTA };
static const char out[] = "out", own[] = "out/.kend";

/* ---- the plan */

static int make_plan(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                     struct ken_error *error)
{
    (void)request;
    struct ken_error reason = {0};
    const uint64_t blocks = 2 * (uint64_t)parts->conf->prune_threads, memory = ken_budget_total(parts->budget);
    struct ken_checkpoint *checkpoint = check->sides[DELTA].checkpoint;
    check->sides[DELTA].checkpoint = NULL; /* the delta's from here on */
    int code = ken_delta_adopt(&check->delta, checkpoint, checkpoint->files[0].label, &reason);
    if (code) {
        check->pointer = kend_kind_inject.sides[DELTA].pointer;
        return ken_fail(error, code, "delta: %.480s", reason.message);
    }
    check->need.rows = ken_delta_rows(check->delta);
    check->need.memory_bytes = blocks * KEN_INJECT_BYTES < memory ? blocks * KEN_INJECT_BYTES : memory;
    code = ken_delta_check_base(check->delta, check->sides[BASE].checkpoint, error);
    if (code) check->pointer = kend_kind_inject.sides[BASE].pointer;
    uint64_t index = 0;
    if (!code) code = ken_inject_bytes(check->delta, &check->need.model_bytes, &index, error);
    check->need.disk_bytes = check->need.model_bytes + index;
    return code;
}

static uint64_t count_elements(const struct ken_delta_tensor *tensor)
{
    uint64_t elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) elements *= tensor->shape[i];
    return elements;
}

/* What it comes to, for the plan and the summary. */
static json_t *totals_to_json(const struct kend_check *check)
{
    const size_t tensors = ken_delta_tensor_count(check->delta);
    uint64_t parameters = 0, stored = 0;
    for (size_t i = 0; i < tensors; i++) {
        parameters += count_elements(ken_delta_tensor(check->delta, i));
        stored += ken_delta_tensor(check->delta, i)->stored;
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "tensors", (json_int_t)tensors, "parameters", (json_int_t)parameters, "rows",
                     (json_int_t)check->need.rows, "stored", (json_int_t)stored, "model_bytes", (json_int_t)check->need.model_bytes,
                     "delta_bytes", (json_int_t)check->sides[DELTA].bytes);
}

static json_t *tensor_to_json(const struct ken_delta_tensor *tensor)
{
    return json_pack("{s:s, s:s?, s:s, s:o, s:s, s:I}", "name", tensor->name, "base_name", tensor->base_name, "dtype",
                     ken_dtype_name(tensor->dtype), "shape", proto_shape_to_json(tensor->shape, tensor->rank), "form",
                     ken_form_name(tensor->form), "stored", (json_int_t)tensor->stored);
}

static json_t *plan_to_json(const struct kend_check *check, const struct proto_job *job)
{
    (void)job;
    const size_t tensors = ken_delta_tensor_count(check->delta);
    json_t *listed = json_array();
    for (size_t i = 0; i < tensors && i < KEND_PLAN_TENSORS; i++)
        listed = proto_json_append(listed, tensor_to_json(ken_delta_tensor(check->delta, i)));
    return json_pack("{s:o, s:n, s:[], s:o, s:b}", "totals", totals_to_json(check), "variants", "warnings", "tensors", listed,
                     "tensors_cut", tensors > KEND_PLAN_TENSORS);
}

/* ---- the work */

static int open_work(struct kend_work *work, uint64_t *resumed_rows, struct ken_error *error)
{
    *resumed_rows = 0;
    work->files = calloc(ken_inject_file_count(work->check->delta), sizeof *work->files);
    if (!work->files) return ken_fail(error, KEN_ENOMEM, "out of memory for a list of files");
    int code = ken_folder_make(work->directory, out, error);
    return code ? code : ken_folder_make(work->directory, own, error);
}

/* In proportion to the bytes: a block need not end where a row does. */
static void on_progress(void *opaque, uint64_t done, uint64_t total)
{
    const struct kend_work *work = opaque;
    const uint64_t rows = work->check->need.rows;
    work->rows(work->opaque, done == total ? rows : (uint64_t)((double)done / (double)total * (double)rows));
}

static bool is_cancelled(void *opaque)
{
    const struct kend_work *work = opaque;
    return work->cancelled(work->opaque);
}

static int run_work(struct kend_work *work, struct ken_error *error)
{
    const struct ken_inject_options options = {
        .executor = work->executor,
        .budget = work->budget,
        .cancelled = is_cancelled,
        .progress = on_progress,
        .opaque = work,
    };
    return ken_inject_into(work->check->delta, work->check->sides[BASE].checkpoint, work->directory, out, work->files, &options, error);
}

static int finish_work(struct kend_work *work, struct kend_result *result, struct ken_error *error)
{
    json_t *totals = totals_to_json(work->check);
    int code = ken_folder_sync(work->directory, ".", error);
    for (size_t i = 0; !code && i < ken_inject_file_count(work->check->delta); i++)
        code = kend_result_add(result, work->files[i].name, "", work->files[i].size, work->files[i].sha256, error);
    if (!code) code = kend_result_summarize(result, totals ? proto_json_dump(totals, JSON_COMPACT) : NULL, error);
    json_decref(totals);
    return code;
}

static void close_work(struct kend_work *work)
{
    free(work->files);
    work->files = NULL;
}

const struct kend_kind kend_kind_inject = {
    .sides = {[BASE] = {"base", "/base", offsetof(struct proto_job, base), false},
              [DELTA] = {"delta", "/delta", offsetof(struct proto_job, delta), true}},
    .plan = make_plan,
    .plan_to_json = plan_to_json,
    .open = open_work,
    .run = run_work,
    .finish = finish_work,
    .close = close_work,
};
