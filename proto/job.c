/* SPDX-License-Identifier: Apache-2.0 */
/* The job document, written. */
#include "job.h"

#include "digest.h"
#include "error.h"
#include "job_names.h"
#include "json.h"
#include "url.h"

#include <stdlib.h>

void proto_job_free(struct proto_job **job)
{
    struct proto_job *old = *job;
    if (!old) return;
    for (size_t i = 0; i < old->metadata_count; i++) {
        free(old->metadata[i].key);
        free(old->metadata[i].value);
    }
    free(old->metadata);
    free(old->options.names);
    free(old->options.rules);
    free(old->model.url);
    free(old->base.url);
    free(old->delta.url);
    free(old->name);
    free(old);
    *job = NULL;
}

#define X(symbol, name) name,
static const char *const kind_names[] = {PROTO_KIND_MAP(X)};
static const char *const non_finite_names[] = {KEN_NON_FINITE_MAP(X)};
static const char *const unmatched_names[] = {KEN_UNMATCHED_MAP(X)};
#undef X

const char *proto_kind_name(enum proto_kind kind)
{
    KEN_ASSERT((unsigned)kind < PROTO_KIND_COUNT);
    return kind_names[kind];
}

static json_t *set_amount(json_t *object, const struct ken_amount *amount)
{
    if (amount->k) return proto_json_set_number(object, "k", amount->k);
    return amount->keep > 0 ? proto_json_set(object, "keep", json_real(amount->keep)) : object;
}

static json_t *set_method(json_t *object, const struct ken_variant *variant)
{
    return proto_json_set_text(object, "method", ken_method_name(variant->method));
}

static json_t *set_rescale(json_t *object, const struct ken_variant *variant)
{
    object = proto_json_set_text(object, "rescale", ken_rescale_name(variant->rescale));
    return proto_json_set_text(object, "duplicates", ken_duplicates_name(variant->duplicates));
}

static json_t *input_to_json(const struct proto_input *input, bool redacted)
{
    char *shown = redacted ? proto_url_redact(input->url) : NULL;
    json_t *url = redacted && !shown ? NULL : proto_json_text(shown ? shown : input->url);
    free(shown);
    json_t *object = proto_json_set(json_object(), "url", url);
    return input->has_sha256 ? proto_json_set(object, "sha256", proto_json_sha256(input->sha256)) : object;
}

static json_t *rules_to_json(const struct ken_options *options)
{
    if (options->rules_layers) return json_string("layers");
    json_t *array = json_array();
    for (size_t i = 0; i < options->rule_count; i++) {
        const struct ken_rule *rule = &options->rules[i];
        json_t *object = proto_json_set_text(json_object(), "match", rule->match);
        object = proto_json_set_text(object, "action", ken_action_name(rule->action));
        array = proto_json_append(array, set_amount(object, &rule->amount));
    }
    return array;
}

static json_t *variants_to_json(const struct ken_options *options)
{
    json_t *array = json_array();
    for (size_t i = 0; i < options->variant_count; i++) {
        const struct ken_variant *variant = &options->variants[i];
        json_t *object = proto_json_set_text(json_object(), "name", variant->name);
        object = set_amount(object, &variant->amount);
        object = set_rescale(set_method(object, variant), variant);
        array = proto_json_append(array, proto_json_set_number(object, "seed", variant->seed));
    }
    return array;
}

static json_t *outputs_to_json(unsigned outputs)
{
    json_t *array = json_array();
#define X(symbol, name, bit) \
    if (outputs & symbol) array = proto_json_append(array, json_string(name));
    KEN_OUTPUT_MAP(X)
#undef X
    return array;
}

static json_t *metadata_to_json(const struct proto_job *job)
{
    json_t *object = json_object();
    for (size_t i = 0; i < job->metadata_count; i++) object = proto_json_set_text(object, job->metadata[i].key, job->metadata[i].value);
    return object;
}

/* What the only variant of a job without variants does stands in the document itself; else each variant has its own. */
static json_t *set_options(json_t *object, const struct ken_options *options)
{
    const struct ken_variant *only = *options->variants[0].name ? NULL : &options->variants[0];
    if (only) object = set_rescale(set_amount(set_method(object, only), &only->amount), only);
    object = proto_json_set_text(object, "non_finite", non_finite_names[options->non_finite]);
    if (only) object = proto_json_set_number(object, "seed", only->seed);
    object = proto_json_set(object, "rules", rules_to_json(options));
    object = proto_json_set(object, "names", proto_names_to_json(options));
    object = proto_json_set_text(object, "unmatched", unmatched_names[options->unmatched]);
    if (!only) object = proto_json_set(object, "variants", variants_to_json(options));
    object = proto_json_set(object, "outputs", outputs_to_json(options->outputs));
    return proto_json_set_text(object, "delta_encoding", ken_encoding_name(options->encoding));
}

json_t *proto_job_to_json(const struct proto_job *job, bool redacted)
{
    json_t *object = proto_json_set_text(json_object(), "kind", proto_kind_name(job->kind));
    if (job->name) object = proto_json_set_text(object, "name", job->name);
    if (job->model.url) object = proto_json_set(object, "model", input_to_json(&job->model, redacted));
    if (job->base.url) object = proto_json_set(object, "base", input_to_json(&job->base, redacted));
    if (job->delta.url) object = proto_json_set(object, "delta", input_to_json(&job->delta, redacted));
    if (job->kind == PROTO_KIND_PRUNE)
        object = set_options(object, &job->options);
    else
        object = proto_json_set(object, "outputs", outputs_to_json(job->options.outputs));
    object = proto_json_set(object, "metadata", metadata_to_json(job));
    return proto_json_set_number(object, "timeout_seconds", job->timeout_seconds);
}

int proto_job_redact(json_t *document)
{
    static const char *const inputs[] = {"model", "base", "delta"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        json_t *input = json_object_get(document, inputs[i]);
        const char *url = json_string_value(json_object_get(input, "url"));
        char *shown = url ? proto_url_redact(url) : NULL;
        int failed = url && (!shown || json_object_set_new(input, "url", proto_json_text(shown)));
        free(shown);
        if (failed) return -1;
    }
    return 0;
}
