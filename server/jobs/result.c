/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/result.h"

#include "folder.h"
#include "json.h"
#include "json_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESULT_MAX = 16 << 20 };

void kend_result_clear(struct kend_result *result)
{
    kend_artifact_list_clear(&result->artifacts);
    free(result->summary);
    result->summary = NULL;
}

static int add_artifact(struct kend_artifact_list *list, const char *name, const char *variant, uint64_t size, const unsigned char *sha256)
{
    struct kend_job_artifact *items = realloc(list->item, (list->count + 1) * sizeof *items);
    if (!items) return KEN_ENOMEM;
    list->item = items;
    struct kend_job_artifact *item = &items[list->count++];
    *item = (struct kend_job_artifact){.name = strdup(name), .variant = strdup(variant), .size = size};
    memcpy(item->sha256, sha256, sizeof item->sha256);
    return item->name && item->variant ? 0 : KEN_ENOMEM;
}

int kend_result_add(struct kend_result *result, const char *name, const char *variant, uint64_t size, const unsigned char sha256[32],
                    struct ken_error *error)
{
    int code = add_artifact(&result->artifacts, name, variant, size, sha256);
    return code ? ken_fail(error, code, "out of memory for the list of artifacts") : 0;
}

int kend_result_summarize(struct kend_result *result, char *summary, struct ken_error *error)
{
    free(result->summary);
    result->summary = summary;
    return summary ? 0 : ken_fail(error, KEN_ENOMEM, "out of memory for the summary");
}

static json_t *result_to_json(const struct kend_result *result)
{
    json_t *artifacts = json_array();
    for (size_t i = 0; i < result->artifacts.count; i++) {
        const struct kend_job_artifact *item = &result->artifacts.item[i];
        char hex[KEN_SHA256_HEX_SIZE];
        ken_hex_encode(hex, item->sha256, sizeof item->sha256);
        artifacts = proto_json_append(artifacts, json_pack("{s:s, s:s, s:I, s:s}", "name", item->name, "variant", item->variant, "size",
                                                           (json_int_t)item->size, "sha256", hex));
    }
    json_t *document = proto_json_set(json_object(), "artifacts", artifacts);
    return proto_json_set(document, "summary", proto_json_load_text(result->summary));
}

int kend_result_write_text(int directory, const char *path, const char *text, struct ken_error *error)
{
    int file;
    int code = ken_file_open(&file, directory, path, true, error);
    if (code) return code;
    code = ken_file_write(file, 0, text, strlen(text), path, error);
    if (!code && fsync(file)) code = ken_fail_errno(error, errno, "%s", path);
    close(file);
    return code;
}

int kend_result_write(const struct kend_result *result, int directory, struct ken_error *error)
{
    json_t *document = result_to_json(result);
    char *text = document ? proto_json_dump(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!text) return ken_fail(error, KEN_ENOMEM, "out of memory for the list of artifacts");
    int code = kend_result_write_text(directory, "out/" KEND_RESULT_NAME, text, error);
    free(text);
    return code;
}

static int read_artifact(struct kend_artifact_list *list, const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "name")), *variant = json_string_value(json_object_get(item, "variant"));
    const char *hex = json_string_value(json_object_get(item, "sha256"));
    const json_t *size = json_object_get(item, "size");
    unsigned char sha256[32];
    if (!name || !variant || !hex || !ken_hex_decode(sha256, sizeof sha256, hex)) return KEN_EINTERNAL;
    if (!json_is_integer(size) || json_integer_value(size) < 0) return KEN_EINTERNAL;
    return add_artifact(list, name, variant, (uint64_t)json_integer_value(size), sha256);
}

static int read_document(struct kend_result *result, const json_t *document)
{
    const json_t *artifacts = json_object_get(document, "artifacts"), *summary = json_object_get(document, "summary");
    size_t index;
    json_t *item;
    if (!json_is_array(artifacts) || !json_is_object(summary)) return KEN_EINTERNAL;
    json_array_foreach((json_t *)artifacts, index, item)
    {
        int code = read_artifact(&result->artifacts, item);
        if (code) return code;
    }
    result->summary = proto_json_dump(summary, JSON_COMPACT);
    return result->summary ? 0 : KEN_ENOMEM;
}

int kend_result_read(struct kend_result *result, int file, uint64_t size, struct ken_error *error)
{
    memset(result, 0, sizeof *result);
    if (size > RESULT_MAX) return ken_fail(error, KEN_EINTERNAL, KEND_RESULT_NAME " has %llu bytes", (unsigned long long)size);
    char *text = malloc(size + 1);
    if (!text) return ken_fail(error, KEN_ENOMEM, "out of memory for the list of artifacts");
    ssize_t count = ken_pread(file, text, size, 0);
    json_t *document = count == (ssize_t)size ? proto_json_load(text, size, 0, NULL) : NULL;
    int code = document ? read_document(result, document) : KEN_EINTERNAL;
    if (code) kend_result_clear(result);
    json_decref(document);
    free(text);
    return code ? ken_fail(error, code, KEND_RESULT_NAME " is not whole") : 0;
}
