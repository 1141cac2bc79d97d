/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/revisit.h"

#include "conf.h"
#include "jobs/inputs.h"

#include <string.h>

enum { MODEL, BASE };
static const char *const sides[] = {[MODEL] = "model", [BASE] = "base"};

/* Whatever keeps an input from being opened that a job has pruned: it is not there as it was. Only what is kend's own fault is told. */
static int gone(int code, const char *reason, struct ken_error *error)
{
    const bool own = code == KEN_ENOMEM || code == KEN_EIO || code == KEN_EINTERNAL;
    return ken_fail(error, own ? code : KEN_ENOT_FOUND, "%s", reason);
}

static int parse(struct kend_revisit *revisit, const struct kend_revisit_request *request, struct ken_error *error)
{
    static const struct proto_policy any = {.schemes = "http,https,file"};
    struct proto_faults faults = {0};
    const int failed = proto_job_parse(&revisit->job, request->spec, &any, &faults);
    proto_faults_clear(&faults);
    if (failed) return ken_fail(error, KEN_EINTERNAL, "the stored document cannot be read");
    struct ken_options *options = &revisit->job->options;
    size_t v = 0;
    while (v < options->variant_count && strcmp(options->variants[v].name, request->variant) != 0) v++;
    if (v == options->variant_count) return ken_fail(error, KEN_EINTERNAL, "the stored document has no such variant");
    options->variants[0] = options->variants[v];
    options->variant_count = 1;
    options->outputs = KEN_OUTPUT_REPORT; /* a row is selected once more, and nothing made of it */
    return 0;
}

static int open_side(struct kend_revisit *revisit, const struct kend_revisit_request *request, size_t side, struct ken_error *error)
{
    const struct proto_input *input = side == MODEL ? &revisit->job->model : &revisit->job->base;
    const struct ken_checkpoint_limits limits = {.max_header_bytes = request->conf->fetch_max_header_bytes,
                                                 .max_tensors = request->conf->fetch_max_tensors};
    const struct kend_location_request where = {
        .url = input->url,
        .sha256 = input->has_sha256 ? input->sha256 : NULL,
        .owner = request->job->owner,
        .hasty = true,
        .held = true,
    };
    struct ken_error reason = {0};
    int code = kend_location_open(&revisit->locations[side], request->fetcher, &where, &reason);
    if (!code) code = ken_checkpoint_open(&revisit->checkpoints[side], kend_location_opener(revisit->locations[side]), &limits, &reason);
    if (code) return gone(code, reason.message, error);
    if (kend_inputs_are(request->inputs, sides[side], revisit->checkpoints[side])) return 0;
    return ken_fail(error, KEN_ENOT_FOUND, "%s: not the bytes that were pruned", sides[side]);
}

static int plan(struct kend_revisit *revisit, const struct kend_revisit_request *request, struct ken_error *error)
{
    const struct ken_plan_limits limits = {.memory = request->conf->prune_memory, .threads = 1};
    struct ken_error reason = {0};
    int code =
        ken_plan_make(&revisit->plan, revisit->checkpoints[MODEL], revisit->checkpoints[BASE], &revisit->job->options, &limits, &reason);
    return code ? gone(code, reason.message, error) : 0;
}

int kend_revisit_open(struct kend_revisit *revisit, const struct kend_revisit_request *request, struct ken_error *error)
{
    *revisit = (struct kend_revisit){0};
    int code = parse(revisit, request, error);
    for (size_t side = 0; !code && side < 2; side++) code = open_side(revisit, request, side, error);
    if (!code) code = plan(revisit, request, error);
    revisit->pair = (struct ken_pair){
        .model = revisit->checkpoints[MODEL],
        .base = revisit->checkpoints[BASE],
        .plan = revisit->plan,
        .cells = request->cells,
        .cells_bytes = request->cells_bytes,
        .delta = request->delta,
        .delta_bytes = request->delta_bytes,
    };
    return code;
}

int kend_revisit_check(const struct kend_revisit *revisit, struct ken_error *error)
{
    struct ken_error reason = {0};
    int code = ken_pair_check(&revisit->pair, &reason);
    return code ? gone(code, reason.message, error) : 0;
}

void kend_revisit_close(struct kend_revisit *revisit)
{
    ken_plan_free(&revisit->plan);
    for (size_t side = 0; side < 2; side++) {
        ken_checkpoint_close(&revisit->checkpoints[side]);
        kend_location_close(&revisit->locations[side]);
    }
    proto_job_free(&revisit->job);
}
