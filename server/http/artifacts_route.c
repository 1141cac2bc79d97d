/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "http/job_answer.h"
#include "http/range.h"
#include "log.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ETAG_SIZE = KEN_SHA256_HEX_SIZE + 2, REPR_DIGEST_SIZE = 64, DISPOSITION_SIZE = KEND_MAX_NAME + 32 };

/* The artifacts of the path's job. False: it was answered. */
static bool list_artifacts(struct kend_request *request, struct kend_artifact_list *list, enum MHD_Result *result)
{
    struct kend_store *store = request->http->parts.store;
    struct kend_job *job;
    if (!kend_find_job(request, &job, result)) return false;
    enum kend_store_result listed = store->ops->artifacts(store, job->id, list);
    kend_job_free(&job);
    if (listed == KEND_STORE_OK) return true;
    *result = kend_answer_store(request, listed);
    return false;
}

enum MHD_Result kend_route_artifacts(struct kend_request *request)
{
    struct kend_artifact_list list = {0};
    enum MHD_Result result;
    if (!list_artifacts(request, &list, &result)) return result;
    result = kend_answer_json(request, 200, proto_list_to_json(kend_artifacts_document(request, request->match.id, &list), NULL));
    kend_artifact_list_clear(&list);
    return result;
}

/* Headers that the whole, a part and "not modified" share. */
static void add_headers(struct MHD_Response **response, const struct kend_job_artifact *artifact, const char *etag)
{
    char base64[REPR_DIGEST_SIZE], digest[REPR_DIGEST_SIZE + 16], disposition[DISPOSITION_SIZE];
    EVP_EncodeBlock((unsigned char *)base64, artifact->sha256, sizeof artifact->sha256);
    snprintf(digest, sizeof digest, "sha-256=:%s:", base64);
    /* "half/delta.safetensors" is saved as half-delta.safetensors: variants do not overwrite each other */
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", artifact->name);
    for (char *at = strchr(disposition, '"') + 1; *at != '"'; at++) {
        bool safe = (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || strchr("._-", *at);
        if (!safe) *at = '-';
    }
    kend_response_header(response, MHD_HTTP_HEADER_ETAG, etag);
    kend_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    kend_response_header(response, "Repr-Digest", digest);
    kend_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    kend_response_header(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
}

static enum MHD_Result answer_unsatisfiable(struct kend_request *request, uint64_t size)
{
    snprintf(request->content_range, sizeof request->content_range, "bytes */%" PRIu64, size);
    return kend_answer_problem(request, PROTO_RANGE_NOT_SATISFIABLE, "the artifact has %" PRIu64 " bytes", size);
}

/* Sends bytes of an open file, which is taken over. */
static enum MHD_Result answer_file(struct kend_request *request, const struct kend_job_artifact *artifact, const char *etag, int file)
{
    const char *range = request->headers.value[KEND_RANGE], *if_range = request->headers.value[KEND_IF_RANGE];
    uint64_t first, length;
    char content_range[80];
    if (if_range && strcmp(if_range, etag) != 0) range = NULL; /* another representation, or a date, which kend does not give */
    enum kend_range kind = kend_range_parse(range, artifact->size, &first, &length);
    if (kind == KEND_RANGE_UNSATISFIABLE) {
        close(file);
        return answer_unsatisfiable(request, artifact->size);
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(length, file, first);
    if (!response) {
        close(file);
        return kend_send(request, 200, NULL);
    }
    request->bytes = length;
    add_headers(&response, artifact, etag);
    if (kind == KEND_RANGE_WHOLE) return kend_send_cacheable(request, 200, response);
    snprintf(content_range, sizeof content_range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, first + length - 1, artifact->size);
    kend_response_header(&response, MHD_HTTP_HEADER_CONTENT_RANGE, content_range);
    return kend_send_cacheable(request, 206, response);
}

static enum MHD_Result answer_artifact(struct kend_request *request, const struct kend_job_artifact *artifact)
{
    struct kend_artifacts *artifacts = request->http->parts.artifacts;
    char hex[KEN_SHA256_HEX_SIZE], etag[ETAG_SIZE];
    struct ken_error error = {0};
    enum MHD_Result result;
    uint64_t size;
    int file;
    snprintf(etag, sizeof etag, "\"%s\"", ken_hex_encode(hex, artifact->sha256, sizeof artifact->sha256));
    if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag)) return kend_answer_empty(request, 304, etag);
    int rc = artifacts->ops->open(artifacts, request->match.id, artifact->name, &file, &size, &error);
    if (rc == KEN_OK && size == artifact->size) return answer_file(request, artifact, etag, file);
    if (rc == KEN_OK) close(file);
    if (rc == KEN_ENOT_FOUND && kend_artifacts_gone(request, &result)) return result;
    kend_log(KEND_LOG_ERROR, "artifact cannot be read", KEND_LOG_REQUEST(request), KEND_S("job", request->match.id),
             KEND_S("artifact", artifact->name), KEND_S("error", rc ? error.message : "its size has changed"));
    return kend_answer_problem(request, PROTO_INTERNAL, "the artifact cannot be read");
}

enum MHD_Result kend_route_artifact(struct kend_request *request)
{
    struct kend_artifact_list list = {0};
    enum MHD_Result result;
    if (!list_artifacts(request, &list, &result)) return result;
    const struct kend_job_artifact *artifact = NULL;
    for (size_t i = 0; i < list.count && !artifact; i++)
        if (strcmp(list.item[i].name, request->match.name) == 0) artifact = &list.item[i];
    if (artifact)
        result = answer_artifact(request, artifact);
    else if (list.count || !kend_artifacts_gone(request, &result))
        result = kend_answer_problem(request, PROTO_NOT_FOUND, "the job has no such artifact");
    kend_artifact_list_clear(&list);
    return result;
}
