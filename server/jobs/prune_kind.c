/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that prune a model against its base. */
#include "jobs/kind.h"

#include "conf.h"
#include "json.h"
#include "json_load.h"

#include <stddef.h>
#include <string.h>

enum { MODEL, BASE };

/* ---- the plan */

static int make_plan(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                     struct ken_error *error)
{
    const struct ken_plan_limits limits = {
        .memory = ken_budget_total(parts->budget),
        .threads = (unsigned)parts->conf->prune_threads,
        .cancelled = request->cancelled,
        .opaque = request->opaque,
    };
    if (ken_delta_is(check->sides[MODEL].checkpoint)) {
        check->pointer = kend_kind_prune.sides[MODEL].pointer;
        return ken_fail(error, KEN_EUNSUPPORTED,
                        "model: this is a delta, which cannot be pruned; a job of kind \"inject\" makes the model that it stands for");
    }
    int code =
        ken_plan_make(&check->plan, check->sides[MODEL].checkpoint, check->sides[BASE].checkpoint, &request->job->options, &limits, error);
    if (code) return code;
    const struct ken_plan_totals *totals = ken_plan_totals(check->plan);
    check->need = (struct kend_need){.rows = totals->rows,
                                     .disk_bytes = totals->disk_bytes,
                                     .memory_bytes = totals->memory_bytes,
                                     .pruned_parameters = totals->pruned_parameters};
    return 0;
}

static json_t *plan_to_json(const struct kend_check *check, const struct proto_job *job)
{
    return proto_plan_view_to_json(check->plan, &job->options, KEND_PLAN_TENSORS);
}

/* ---- the work */

static int open_work(struct kend_work *work, uint64_t *resumed_rows, struct ken_error *error)
{
    const struct ken_prune_env env = {
        .executor = work->executor,
        .budget = work->budget,
        .directory = work->directory,
        .durable = true,
        .cancelled = work->cancelled,
        .progress = work->rows,
        .durable_rows = work->durable_rows,
        .opaque = work->opaque,
    };
    return ken_prune_open(&work->prune, work->check->plan, &env, resumed_rows, error);
}

static int run_work(struct kend_work *work, struct ken_error *error)
{
    return ken_prune_rows(work->prune, error);
}

/* The totals of the only variant, or {"variants": {NAME: totals}}. */
static char *make_summary(const struct ken_prune *prune, const struct ken_options *options)
{
    if (options->variant_count == 1 && !*options->variants[0].name) return strdup(ken_prune_totals_json(prune, 0));
    json_t *variants = json_object();
    for (size_t i = 0; i < options->variant_count; i++)
        variants = proto_json_set(variants, options->variants[i].name, proto_json_load_text(ken_prune_totals_json(prune, i)));
    json_t *summary = proto_json_set(json_object(), "variants", variants);
    char *text = summary ? proto_json_dump(summary, JSON_COMPACT) : NULL;
    json_decref(summary);
    return text;
}

static int finish_work(struct kend_work *work, struct kend_result *result, struct ken_error *error)
{
    int code = ken_prune_finish(work->prune, error);
    for (size_t i = 0; !code && i < ken_prune_file_count(work->prune); i++) {
        const struct ken_prune_file *file = ken_prune_file(work->prune, i);
        code = kend_result_add(result, file->path, file->variant, file->size, file->sha256, error);
    }
    return code ? code : kend_result_summarize(result, make_summary(work->prune, &work->job->options), error);
}

static void close_work(struct kend_work *work)
{
    ken_prune_close(&work->prune);
}

const struct kend_kind kend_kind_prune = {
    .sides = {[MODEL] = {"model", "/model", offsetof(struct proto_job, model), false},
              [BASE] = {"base", "/base", offsetof(struct proto_job, base), false}},
    .resumes = true,
    .plan = make_plan,
    .plan_to_json = plan_to_json,
    .open = open_work,
    .run = run_work,
    .finish = finish_work,
    .close = close_work,
};
