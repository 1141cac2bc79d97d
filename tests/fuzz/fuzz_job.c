/* SPDX-License-Identifier: Apache-2.0 */
/* A job document as it comes over HTTP, read as kend does and as kenctl does. */
#include "fuzz.h"
#include "job.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

static char *to_text(const json_t *document)
{
    struct ken_json_writer writer;
    char *text = NULL;
    size_t length;
    KEN_ASSERT(document);
    ken_json_writer_init(&writer);
    proto_json_write(&writer, document);
    KEN_ASSERT(!ken_json_writer_take(&writer, &text, &length) && strlen(text) == length);
    ken_json_writer_free(&writer);
    return text;
}

/* Every fault says where and what, and they make a problem that can be sent. */
static void check_faults(const struct proto_faults *faults)
{
    KEN_ASSERT(faults->count && faults->count <= PROTO_MAX_FAULTS);
    for (size_t i = 0; i < faults->count; i++) {
        KEN_ASSERT(!*faults->fault[i].pointer || *faults->fault[i].pointer == '/');
        KEN_ASSERT(*faults->fault[i].detail);
    }
    json_t *problem = proto_problem_to_json(proto_faults_problem(faults), "fuzz", faults);
    free(to_text(problem));
    json_decref(problem);
}

/* Redacting the canonical form, and writing it redacted, are the same; and no query string is left in it. */
static void check_redacted(const struct proto_job *job, json_t *canonical)
{
    json_t *redacted = proto_job_to_json(job, true);
    char *text = to_text(redacted);
    const struct proto_input *inputs[] = {&job->model, &job->base, &job->delta};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const char *query = inputs[i]->url ? strpbrk(inputs[i]->url, "?#") : NULL; /* a '?' behind a '#' is none */
        const json_t *shown = json_object_get(redacted, i == 0 ? "model" : i == 1 ? "base" : "delta");
        const char *url = json_string_value(json_object_get(shown, "url"));
        KEN_ASSERT(!inputs[i]->url == !url);
        if (query && strstr(inputs[i]->url, "://")) KEN_ASSERT(strcmp(url + strcspn(url, "?#"), *query == '?' ? "?..." : "") == 0);
    }
    KEN_ASSERT(!proto_job_redact(canonical));
    char *other = to_text(canonical);
    KEN_ASSERT(strcmp(text, other) == 0);
    free(text);
    free(other);
    json_decref(redacted);
}

/* What was written is read as the same job. */
static void check_canonical(const struct proto_job *job, const struct proto_policy *policy)
{
    struct proto_job *again;
    struct proto_faults faults = {.count = 0};
    json_t *canonical = proto_job_to_json(job, false);
    char *text = to_text(canonical);
    json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    KEN_ASSERT(parsed && !proto_job_parse(&again, parsed, policy, &faults));
    json_t *rewritten = proto_job_to_json(again, false);
    char *other = to_text(rewritten);
    KEN_ASSERT(strcmp(text, other) == 0);
    check_redacted(job, canonical);
    free(text);
    free(other);
    json_decref(rewritten);
    json_decref(parsed);
    json_decref(canonical);
    proto_job_free(&again);
}

static void check_job(const json_t *document, const struct proto_policy *policy)
{
    struct proto_job *job;
    struct proto_faults faults = {.count = 0};
    int code = proto_job_parse(&job, document, policy, &faults);
    KEN_ASSERT(!code == !!job && !code == !faults.count);
    if (code)
        check_faults(&faults);
    else
        check_canonical(job, policy);
    fuzz_accepted |= !code;
    proto_faults_clear(&faults);
    proto_job_free(&job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct proto_policy kend = {.schemes = "https,file"}, kenctl = {.schemes = "", .allow_paths = true};
    json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    fuzz_accepted = false;
    if (!document) return 0;
    check_job(document, &kend);
    check_job(document, &kenctl);
    json_decref(document);
    return 0;
}
