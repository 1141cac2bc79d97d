/* SPDX-License-Identifier: Apache-2.0 */
#include "http/picture_files.h"

#include "digest.h"
#include "folder.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_NAME_SIZE = KEN_MAX_VARIANT_NAME + 32, ETAG_BYTES = (KEND_PICTURE_ETAG_SIZE - 3) / 2, HEADER_TIMES = 6 };

int kend_picture_files_open(struct kend_picture_files *files, struct kend_artifacts *artifacts, const char *job, const char *variant,
                            struct ken_error *error)
{
    char cells[FILE_NAME_SIZE], delta[FILE_NAME_SIZE];
    snprintf(cells, sizeof cells, ".kend/%s.cells", *variant ? variant : "tensors");
    snprintf(delta, sizeof delta, "%s%s" KEN_DELTA_FILE_NAME, variant, *variant ? "/" : "");
    *files = (struct kend_picture_files){-1, -1, 0, 0};
    int code = artifacts->ops->open(artifacts, job, delta, &files->delta, &files->delta_bytes, error);
    return code ? code : artifacts->ops->open(artifacts, job, cells, &files->cells, &files->cells_bytes, error);
}

void kend_picture_files_close(struct kend_picture_files *files)
{
    if (files->cells >= 0) close(files->cells);
    if (files->delta >= 0) close(files->delta);
    files->cells = files->delta = -1;
}

/* ---- the delta itself */

int kend_picture_files_delta_bytes(const struct kend_picture_files *files, uint64_t *bytes, struct ken_error *error)
{
    uint64_t header = 0;
    int code = ken_file_read(files->delta, 0, &header, sizeof header, "the delta", error); /* little-endian, as safetensors has it */
    if (code) return code;
    *bytes = HEADER_TIMES * (header < ken_delta_limits.max_header_bytes ? header : ken_delta_limits.max_header_bytes);
    return KEN_OK;
}

struct descriptor_source {
    struct ken_source source;
    int file; /* borrowed */
};

static int descriptor_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    return ken_file_read(((const struct descriptor_source *)source)->file, offset, buffer, length, "the delta", error);
}

/* Published files do not change. */
static int descriptor_check(struct ken_source *source, struct ken_error *error)
{
    (void)source, (void)error;
    return KEN_OK;
}

static void descriptor_close(struct ken_source *source)
{
    free(source);
}

static const struct ken_source_ops descriptor_ops = {.read = descriptor_read, .check = descriptor_check, .close = descriptor_close};

struct descriptor_opener {
    struct ken_opener opener;
    const struct kend_picture_files *files;
};

static int open_descriptor(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    const struct kend_picture_files *files = ((const struct descriptor_opener *)opener)->files;
    struct descriptor_source *made = name ? NULL : calloc(1, sizeof *made);
    *source = made ? &made->source : NULL;
    if (name) return ken_fail(error, KEN_ENOT_FOUND, "a delta is one file");
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for opening a delta");
    made->source = (struct ken_source){.ops = &descriptor_ops, .size = files->delta_bytes};
    made->file = files->delta;
    return KEN_OK;
}

int kend_picture_files_delta(const struct kend_picture_files *files, struct ken_delta **delta, struct ken_error *error)
{
    struct descriptor_opener opener = {.opener = {.open = open_descriptor, .label = "the delta"}, .files = files};
    return ken_delta_open(delta, &opener.opener, error);
}

/* ---- */

bool kend_picture_etag(char etag[KEND_PICTURE_ETAG_SIZE], const struct kend_request *request)
{
    struct ken_digest digest;
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[2 * ETAG_BYTES + 1];
    if (ken_digest_init(&digest, NULL)) return false;
    ken_digest_update(&digest, PACKAGE_VERSION, sizeof PACKAGE_VERSION);
    ken_digest_update(&digest, request->match.id, strlen(request->match.id) + 1);
    for (size_t i = 0; i < request->query.count; i++) {
        ken_digest_update(&digest, request->query.parameter[i].name, strlen(request->query.parameter[i].name) + 1);
        ken_digest_update(&digest, request->query.parameter[i].value, strlen(request->query.parameter[i].value) + 1);
    }
    int code = ken_digest_final(&digest, sha256, NULL);
    ken_digest_free(&digest);
    snprintf(etag, KEND_PICTURE_ETAG_SIZE, "\"%s\"", code ? "" : ken_hex_encode(hex, sha256, ETAG_BYTES));
    return !code;
}
