/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "http/dry_run.h"
#include "http/job_answer.h"
#include "http/ready.h"
#include "job.h"
#include "json_load.h"

#include <stdlib.h>
#include <string.h>

/* NULL, or 1 to 255 printable ASCII characters; false otherwise. */
static bool is_idempotency_key(const char *key)
{
    size_t length = key ? strlen(key) : 1;
    if (!length || length > 255) return false;
    for (; key && *key; key++)
        if (*key < 0x20 || *key > 0x7e) return false;
    return true;
}

/* Reads and checks the document. NULL: it was answered. */
static struct proto_job *read_document(struct kend_request *request, enum MHD_Result *result)
{
    const struct proto_policy policy = {.schemes = request->http->parts.conf->fetch_allow_schemes};
    struct proto_job *job = NULL;
    struct proto_faults faults = {0};
    json_t *document = kend_request_json(request, result);
    if (!document) return NULL;
    if (proto_job_parse(&job, document, &policy, &faults))
        *result = faults.count ? kend_answer_faults(request, &faults) : kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    proto_faults_clear(&faults);
    kend_request_json_free(request, document);
    return job;
}

/* Stores the job; the answer is sent after the commit. */
static enum MHD_Result create(struct kend_request *request, const struct proto_job *job, const struct kend_pair *metadata, const char *spec)
{
    const struct kend_http_parts *parts = &request->http->parts;
    char id[PROTO_ID_SIZE];
    struct kend_job *stored = NULL;
    struct kend_new_job new_job = {
        .id = id,
        .owner = kend_request_owner(request),
        .spec = spec,
        .name = job->name,
        .idempotency_key = request->headers.value[KEND_IDEMPOTENCY_KEY],
        .metadata = metadata,
        .metadata_count = job->metadata_count,
        .trace = *request->trace ? request->trace : NULL,
        .now = proto_now_ms(),
        .max_queued = (int64_t)parts->conf->jobs_max_queued,
        .max_queued_per_owner = (int64_t)parts->conf->jobs_max_queued_per_owner,
        .max_bytes_per_owner = (int64_t)parts->conf->jobs_max_bytes_per_owner,
    };
    proto_id_make(id, new_job.now);
    if (ken_sha256(spec, strlen(spec), new_job.body_sha256, NULL)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    enum kend_store_result created = parts->store->ops->create(parts->store, &new_job, &stored);
    kend_ready_learn(request->http, created);
    if (created != KEND_STORE_OK && created != KEND_STORE_EXISTS) return kend_answer_store(request, created);
    memcpy(request->made, stored->id, sizeof request->made);
    if (created == KEND_STORE_OK) {
        kend_engine_poke(parts->engine);
        kend_waits_changed(parts->waits, stored->id, stored->owner);
    }
    enum MHD_Result result = kend_answer_job(request, created == KEND_STORE_EXISTS ? 200 : 202, stored, true);
    kend_job_free(&stored);
    return result;
}

static enum MHD_Result answer_create(struct kend_request *request, const struct proto_job *job)
{
    json_t *canonical = proto_job_to_json(job, false);
    char *spec = canonical ? proto_json_dump(canonical, JSON_COMPACT) : NULL;
    struct kend_pair *metadata = calloc(job->metadata_count + 1, sizeof *metadata);
    enum MHD_Result result = MHD_NO;
    json_decref(canonical);
    for (size_t i = 0; metadata && i < job->metadata_count; i++)
        metadata[i] = (struct kend_pair){job->metadata[i].key, job->metadata[i].value};
    if (spec && metadata)
        result = create(request, job, metadata, spec);
    else
        result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    free(metadata);
    free(spec);
    return result;
}

enum MHD_Result kend_route_create(struct kend_request *request)
{
    enum MHD_Result result;
    bool dry_run = false;
    char detail[256];
    if (request->state) return kend_dry_run_answer(request);
    if (atomic_load(&request->http->draining)) return kend_answer_problem(request, PROTO_DRAINING, "kend is shutting down");
    if (!is_idempotency_key(request->headers.value[KEND_IDEMPOTENCY_KEY]))
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "Idempotency-Key must be 1 to 255 printable characters");
    if (!kend_query_flag(&request->query, "dry_run", &dry_run, detail, sizeof detail))
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    struct proto_job *job = read_document(request, &result);
    if (!job) return result;
    if (dry_run) return kend_dry_run_start(request, job);
    if (kend_lacks_space(request->http))
        result = kend_answer_problem(request, PROTO_NO_SPACE, "less disk is free than disk.reserve_bytes");
    else
        result = answer_create(request, job);
    proto_job_free(&job);
    return result;
}
