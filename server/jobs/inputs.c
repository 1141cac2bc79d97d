/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inputs.h"

#include "folder.h"
#include "jobs/kind.h"
#include "json.h"
#include "json_load.h"

#include <stdlib.h>
#include <string.h>

enum { INPUTS_VERSION = 1, INPUTS_MAX = 16 << 20 };

/* ---- writing */

/* The digest of a file, *known unless its source leaves that to its reader. */
static int find_digest(struct ken_source *source, unsigned char sha256[32], bool *known, struct ken_error *error)
{
    struct ken_error reason = {0};
    int code = ken_source_digest(source, sha256, &reason);
    *known = !code;
    return code && code != KEN_ENOT_FOUND ? ken_fail(error, code, "%s", reason.message) : 0;
}

static json_t *file_to_json(const struct ken_checkpoint_file *file, const unsigned char *sha256)
{
    _Static_assert((int)KEN_STATE_SIZE == (int)KEN_SHA256_SIZE, "both are told by so many hexadecimal digits");
    const struct ken_source *stored = file->stored;
    json_t *json = proto_json_set_text(json_object(), "name", file->name);
    json = proto_json_set_number(json, "size", stored->size);
    if (sha256) json = proto_json_set(json, "sha256", proto_json_sha256(sha256));
    return stored->has_state ? proto_json_set(json, "state", proto_json_sha256(stored->state)) : json;
}

static int side_to_json(json_t **files, const struct ken_checkpoint *checkpoint, uint64_t *header_bytes, struct ken_error *error)
{
    *files = json_array();
    for (size_t f = 0; f < checkpoint->file_count; f++) {
        const struct ken_checkpoint_file *file = &checkpoint->files[f];
        unsigned char sha256[KEN_SHA256_SIZE];
        bool known;
        int code = find_digest(file->stored, sha256, &known, error);
        if (code) return code;
        *files = proto_json_append(*files, file_to_json(file, known ? sha256 : NULL));
        *header_bytes += file->data_offset;
    }
    return 0;
}

int kend_inputs_write(const struct kend_check *check, int directory, struct ken_error *error)
{
    json_t *document = proto_json_set_number(json_object(), "version", INPUTS_VERSION);
    uint64_t header_bytes = 0;
    int code = 0;
    for (size_t i = 0; !code && i < KEND_SIDES; i++) {
        json_t *files = NULL;
        if (!check->sides[i].checkpoint) continue; /* a delta */
        code = side_to_json(&files, check->sides[i].checkpoint, &header_bytes, error);
        document = proto_json_set(document, check->kind->sides[i].name, files);
    }
    document = proto_json_set_number(document, "header_bytes", header_bytes);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!code && !text) code = ken_fail(error, KEN_ENOMEM, "out of memory for what the inputs were");
    if (!code) code = kend_result_write_text(directory, "out/" KEND_INPUTS_NAME, text, error);
    free(text);
    return code;
}

/* ---- reading */

int kend_inputs_read(json_t **inputs, int file, uint64_t size, struct ken_error *error)
{
    *inputs = NULL;
    char *text = size <= INPUTS_MAX ? malloc(size + 1) : NULL;
    if (!text && size <= INPUTS_MAX) return ken_fail(error, KEN_ENOMEM, "out of memory for what the inputs were");
    if (text && ken_pread(file, text, size, 0) == (ssize_t)size) *inputs = proto_json_load(text, size, 0, NULL);
    free(text);
    if (json_integer_value(json_object_get(*inputs, "version")) == INPUTS_VERSION) return 0;
    json_decref(*inputs);
    *inputs = NULL;
    return ken_fail(error, KEN_EINTERNAL, KEND_INPUTS_NAME " is not whole");
}

uint64_t kend_inputs_header_bytes(const json_t *inputs)
{
    return (uint64_t)json_integer_value(json_object_get(inputs, "header_bytes"));
}

static bool is_told(const json_t *told, const char *key, const unsigned char bytes[KEN_SHA256_SIZE])
{
    unsigned char there[KEN_SHA256_SIZE];
    const char *hex = json_string_value(json_object_get(told, key));
    return hex && ken_hex_decode(there, sizeof there, hex) && memcmp(there, bytes, sizeof there) == 0;
}

static bool is_file(const json_t *told, const struct ken_checkpoint_file *file)
{
    struct ken_source *stored = file->stored;
    const char *name = json_string_value(json_object_get(told, "name"));
    unsigned char sha256[KEN_SHA256_SIZE];
    if (!name || strcmp(name, file->name) != 0) return false;
    if ((uint64_t)json_integer_value(json_object_get(told, "size")) != stored->size) return false;
    if (!ken_source_digest(stored, sha256, NULL)) return is_told(told, "sha256", sha256);
    return stored->has_state && is_told(told, "state", stored->state);
}

bool kend_inputs_are(const json_t *inputs, const char *side, const struct ken_checkpoint *checkpoint)
{
    const json_t *files = json_object_get(inputs, side);
    bool same = json_array_size(files) == checkpoint->file_count;
    for (size_t f = 0; same && f < checkpoint->file_count; f++) same = is_file(json_array_get(files, f), &checkpoint->files[f]);
    return same;
}
