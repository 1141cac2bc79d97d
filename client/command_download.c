/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "files.h"
#include "folder.h"
#include "kenctl.h"
#include "print.h"
#include "progress.h"
#include "remote_job.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One artifact on its way: bytes go to PATH.part, which becomes PATH when its digest is right. */
struct download {
    const struct kenctl *kenctl;
    const char *name;
    uint64_t size;
    unsigned char sha256[KEN_SHA256_SIZE];
    char *path, *part;
    int file;
    uint64_t done; /* bytes of the part that the digest has seen */
    struct ken_digest digest;
    struct kenctl_progress *progress;
    struct ken_error error; /* of writing */
};

static void show(struct download *download)
{
    struct kenctl_progress_state state = {
        .stage = "download", .done = download->done, .total = download->size, .unit = KENCTL_BYTES, .eta_seconds = -1};
    kenctl_progress_show(download->progress, &state);
}

/* Empties the part and begins its digest anew. */
static int restart(struct download *download)
{
    download->done = 0;
    ken_digest_free(&download->digest);
    if (ftruncate(download->file, 0) != 0 || lseek(download->file, 0, SEEK_SET) != 0)
        return ken_fail_errno(&download->error, errno, "cannot write %s", download->part);
    return ken_digest_init(&download->digest, &download->error);
}

/* Reads what an earlier try has left, so that the digest knows it. */
static int take_up(struct download *download)
{
    char buffer[1 << 14];
    ssize_t length;
    int code = ken_digest_init(&download->digest, &download->error);
    while (!code && (length = read(download->file, buffer, sizeof buffer)) != 0) {
        if (length < 0) return ken_fail_errno(&download->error, errno, "cannot read %s", download->part);
        ken_digest_update(&download->digest, buffer, (size_t)length);
        download->done += (uint64_t)length;
    }
    if (!code && download->done > download->size) code = restart(download);
    return code;
}

static bool on_begin(void *opaque, long status)
{
    struct download *download = opaque;
    return status == 206 || download->done == 0 || restart(download) == KEN_OK;
}

static bool on_bytes(void *opaque, const void *bytes, size_t length)
{
    struct download *download = opaque;
    if (length > download->size - download->done) {
        ken_fail(&download->error, KEN_EDIGEST, "%s: the server sends more than the %llu bytes that it told", download->name,
                 (unsigned long long)download->size);
        return false;
    }
    for (size_t written = 0; written < length;) {
        ssize_t more = write(download->file, (const char *)bytes + written, length - written);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) {
            ken_fail_errno(&download->error, errno, "cannot write %s", download->part);
            return false;
        }
        written += (size_t)more;
    }
    ken_digest_update(&download->digest, bytes, length);
    download->done += length;
    show(download);
    return true;
}

/* Gets the bytes that are missing; a broken connection is taken up again as long as it brings something now and then. */
static int fetch(struct download *download, struct kenctl_http *http, const char *path)
{
    const struct kenctl_sink sink = {on_begin, on_bytes, download};
    struct kenctl_response response = {0};
    char etag[KEN_SHA256_HEX_SIZE + 2], hex[KEN_SHA256_HEX_SIZE];
    unsigned attempt = 0;
    int status = KENCTL_SUCCESS;
    snprintf(etag, sizeof etag, "\"%s\"", ken_hex_encode(hex, download->sha256, KEN_SHA256_SIZE));
    while (download->done < download->size) {
        struct ken_error error = {0};
        uint64_t before = download->done;
        int code = kenctl_http_download(http, path, download->done, etag, &sink, &response, &error);
        if (download->error.code) {
            status = kenctl_fail_error(&download->error);
            break;
        }
        bool refused = !code && response.status != 200 && response.status != 206;
        bool busy = refused && kenctl_is_busy(response.status);
        if (code == KEN_ECANCELLED || (refused && !busy)) {
            status = refused ? kenctl_refused(download->kenctl, &response) : kenctl_fail_error(&error);
            break;
        }
        if (download->done > before) attempt = 0;
        if (download->done == download->size) break;
        if (!kenctl_back_off(http, attempt++)) {
            if (kenctl_interrupted(NULL)) ken_fail(&error, KEN_ECANCELLED, "interrupted");
            if (!error.code) ken_fail(&error, KEN_EFETCH, "%s: the answer ends too early", download->name);
            status = busy ? kenctl_refused(download->kenctl, &response) : kenctl_call_failed(download->kenctl, &error);
            break;
        }
    }
    kenctl_response_clear(&response);
    return status;
}

/* The part is complete: it becomes the file, or goes if its digest is wrong. */
static int finish(struct download *download)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    struct ken_error error = {0};
    if (ken_digest_final(&download->digest, sha256, &error)) return kenctl_fail_error(&error);
    if (memcmp(sha256, download->sha256, sizeof sha256) != 0) {
        char wanted[KEN_SHA256_HEX_SIZE], found[KEN_SHA256_HEX_SIZE];
        unlink(download->part);
        return kenctl_fail(KENCTL_FAILURE, "%s: the bytes that came have SHA-256 %s, not %s; they were thrown away", download->name,
                           ken_hex_encode(found, sha256, sizeof sha256), ken_hex_encode(wanted, download->sha256, sizeof sha256));
    }
    int errnum = fsync(download->file) != 0 || rename(download->part, download->path) != 0 ? errno : ken_sync_parent(download->path);
    return errnum ? kenctl_fail(KENCTL_FAILURE, "cannot make %s: %s", download->path, strerror(errnum)) : KENCTL_SUCCESS;
}

/* Whether PATH is there already: KENCTL_SUCCESS with *there, or a refusal to replace another file. */
static int look(const struct download *download, bool *there)
{
    struct stat state;
    unsigned char sha256[KEN_SHA256_SIZE];
    struct ken_error error = {0};
    *there = false;
    if (lstat(download->path, &state) != 0) return KENCTL_SUCCESS;
    if (S_ISREG(state.st_mode) && (uint64_t)state.st_size == download->size) {
        if (kenctl_file_sha256(download->path, sha256, &error)) return kenctl_fail_error(&error);
        *there = memcmp(sha256, download->sha256, sizeof sha256) == 0;
    }
    if (*there || (S_ISREG(state.st_mode) && kenctl_option(download->kenctl, KENCTL_OPT_FORCE))) return KENCTL_SUCCESS;
    return kenctl_fail(KENCTL_FAILURE,
                       S_ISREG(state.st_mode) ? "%s is there already and is another file; --force replaces it"
                                              : "%s is there and no regular file: nothing replaces it",
                       download->path);
}

static int download_to(struct download *download, struct kenctl_http *http, const char *id)
{
    struct ken_error error = {0};
    bool there;
    int status = look(download, &there);
    if (status != KENCTL_SUCCESS || there) return status;
    if (kenctl_make_parents(download->path, &error)) return kenctl_fail_error(&error);
    char *encoded = proto_percent_encode(download->name, "/"), *rest = NULL, *path = NULL;
    if (encoded && asprintf(&rest, "/artifacts/%s", encoded) >= 0) path = kenctl_job_path(id, rest);
    free(rest);
    free(encoded);
    download->file = path ? open(download->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666) : -1;
    if (!path)
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    else if (download->file < 0)
        status = kenctl_fail(KENCTL_FAILURE, "cannot write %s: %s", download->part, strerror(errno));
    else if (take_up(download))
        status = kenctl_fail_error(&download->error);
    if (status == KENCTL_SUCCESS) status = fetch(download, http, path);
    kenctl_progress_clear(download->progress);
    if (status == KENCTL_SUCCESS) status = finish(download);
    ken_digest_free(&download->digest);
    if (download->file >= 0) close(download->file);
    free(path);
    return status;
}

/* One entry of the artifact list, to its place below the folder. */
static int download_artifact(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const json_t *artifact,
                             const char *folder)
{
    struct kenctl_progress progress;
    const char *sha256 = json_string_value(json_object_get(artifact, "sha256"));
    json_int_t size = json_integer_value(json_object_get(artifact, "size"));
    struct download download = {
        .kenctl = kenctl, .name = json_string_value(json_object_get(artifact, "name")), .file = -1, .progress = &progress};
    if (!download.name || !kenctl_is_safe_name(download.name))
        return kenctl_fail(KENCTL_FAILURE, "the server names an artifact '%s', which is no safe file name",
                           download.name ? download.name : "");
    if (!sha256 || !ken_hex_decode(download.sha256, sizeof download.sha256, sha256) || size < 0)
        return kenctl_fail(KENCTL_FAILURE, "the server does not tell size and digest of %s", download.name);
    download.size = (uint64_t)size;
    download.path = kenctl_join(folder, download.name);
    if (!download.path || asprintf(&download.part, "%s.part", download.path) < 0) {
        free(download.path);
        return kenctl_fail(KENCTL_FAILURE, "out of memory");
    }
    kenctl_progress_begin(&progress, kenctl->quiet);
    int status = download_to(&download, http, id);
    if (status == KENCTL_SUCCESS && !kenctl->json) {
        kenctl_print_text(stdout, download.path);
        fputc('\n', stdout);
    }
    free(download.part);
    free(download.path);
    return status;
}

/* Whether the operands behind the id name the artifact; all are meant if there are none. */
static bool is_wanted(const struct kenctl *kenctl, const json_t *artifact)
{
    const char *name = json_string_value(json_object_get(artifact, "name"));
    for (size_t i = 1; i < kenctl->arguments.operand_count; i++)
        if (name && strcmp(kenctl->arguments.operands[i], name) == 0) return true;
    return kenctl->arguments.operand_count == 1;
}

static int check_names(const struct kenctl *kenctl, const json_t *list)
{
    for (size_t i = 1; i < kenctl->arguments.operand_count; i++) {
        size_t j;
        json_t *artifact;
        bool found = false;
        json_array_foreach(list, j, artifact)
        {
            const char *name = json_string_value(json_object_get(artifact, "name"));
            found = found || (name && strcmp(name, kenctl->arguments.operands[i]) == 0);
        }
        if (!found) {
            kenctl_fail(KENCTL_FAILURE, "the job has no artifact '%s'", kenctl->arguments.operands[i]);
            fprintf(stderr, "`kenctl show %s` lists those that it has.\n", kenctl->arguments.operands[0]);
            return KENCTL_FAILURE;
        }
    }
    if (!json_array_size(list))
        return kenctl_fail(KENCTL_FAILURE, "the job has no artifacts; `kenctl show %s` tells why", kenctl->arguments.operands[0]);
    return KENCTL_SUCCESS;
}

static int run(struct kenctl *kenctl)
{
    const char *id = kenctl->arguments.operands[0], *folder = kenctl_option(kenctl, KENCTL_OPT_TARGET);
    struct kenctl_http *http = kenctl_http_open(kenctl);
    int status = KENCTL_USAGE;
    if (!http) return status;
    kenctl_watch_signals();
    json_t *answer = kenctl_job_get(kenctl, http, id, "/artifacts", &status), *list = json_object_get(answer, "data"), *artifact;
    json_t *wanted = json_array();
    if (answer) status = check_names(kenctl, list);
    size_t i;
    json_array_foreach(list, i, artifact) if (is_wanted(kenctl, artifact)) json_array_append(wanted, artifact);
    json_array_foreach(wanted, i, artifact) if (status == KENCTL_SUCCESS) status =
        download_artifact(kenctl, http, id, artifact, folder ? folder : ".");
    if (status == KENCTL_SUCCESS && kenctl->json) status = kenctl_print_json(wanted);
    json_decref(wanted);
    json_decref(answer);
    kenctl_http_close(&http);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_TARGET, KENCTL_OPT_FORCE};

const struct kenctl_command kenctl_command_download = {
    .name = "download",
    .summary = "Download a job's artifacts",
    .operands = "ID [NAME...]",
    .text = "All of them, or those that are named. What was begun goes on where it broke off (NAME.part); a file becomes visible when its "
            "SHA-256\n"
            "is the one that the server lists. A file that is there already and right is not fetched again.\n"
            "\nExamples:\n"
            "  kenctl download job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C -o pruned\n"
            "  kenctl download job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C delta.safetensors report.json\n",
    .options = options,
    .option_count = sizeof options,
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
