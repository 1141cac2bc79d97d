/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/meta.h"

#include "json_load.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { META_VERSION = 1, META_MAX = 4 << 20 };

void kend_meta_clear(struct kend_meta *meta)
{
    kend_ranges_clear(&meta->ranges);
    *meta = (struct kend_meta){0};
}

static bool copy_text(char *to, size_t size, const json_t *json)
{
    if (!json_is_string(json) || json_string_length(json) >= size) return false;
    memcpy(to, json_string_value(json), json_string_length(json) + 1);
    return true;
}

int64_t kend_meta_modified(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* Whether the data can be what meta says. */
static bool agrees(const struct kend_meta *meta, const struct stat *data, int64_t mtime)
{
    if (!S_ISREG(data->st_mode)) return false;
    uint64_t size = (uint64_t)data->st_size;
    if (meta->complete) return size == meta->size && mtime == kend_meta_modified(data);
    const struct kend_ranges *ranges = &meta->ranges;
    return !ranges->count || ranges->list[ranges->count - 1].end <= size;
}

static bool parse(struct kend_meta *meta, const json_t *json, const struct stat *data)
{
    const json_t *size = json_object_get(json, "size"), *sha256 = json_object_get(json, "sha256");
    if (json_integer_value(json_object_get(json, "version")) != META_VERSION) return false;
    if (!json_is_integer(size) || json_integer_value(size) < 0) return false;
    meta->has_size = true;
    meta->size = (uint64_t)json_integer_value(size);
    meta->complete = json_is_true(json_object_get(json, "complete"));
    meta->validators.strong = json_is_true(json_object_get(json, "strong"));
    if (!copy_text(meta->validators.etag, sizeof meta->validators.etag, json_object_get(json, "etag"))) return false;
    if (!copy_text(meta->validators.last_modified, sizeof meta->validators.last_modified, json_object_get(json, "last_modified")))
        return false;
    meta->has_sha256 = json_is_string(sha256);
    if (meta->has_sha256 && !ken_hex_decode(meta->sha256, sizeof meta->sha256, json_string_value(sha256))) return false;
    if (kend_ranges_from_json(&meta->ranges, json_object_get(json, "ranges"), meta->size)) return false;
    if (meta->complete && !kend_ranges_hold(&meta->ranges, 0, meta->size)) return false;
    return agrees(meta, data, json_integer_value(json_object_get(json, "mtime_ns")));
}

bool kend_meta_read(int folder, struct kend_meta *meta)
{
    struct stat data, status;
    bool good = false;
    *meta = (struct kend_meta){0};
    int fd = openat(folder, "meta", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= META_MAX &&
        fstatat(folder, "data", &data, AT_SYMLINK_NOFOLLOW) == 0) {
        json_t *json = proto_json_load_file(fd, JSON_REJECT_DUPLICATES);
        good = json && parse(meta, json, &data);
        json_decref(json);
    }
    close(fd);
    if (!good) kend_meta_clear(meta);
    return good;
}

static json_t *to_json(const struct kend_meta *meta, const char *url, int64_t mtime)
{
    char sha256[KEN_SHA256_HEX_SIZE];
    ken_hex_encode(sha256, meta->sha256, sizeof meta->sha256);
    json_t *ranges = kend_ranges_to_json(&meta->ranges);
    if (!ranges) return NULL;
    return json_pack("{s:i, s:s, s:I, s:b, s:s, s:s, s:b, s:s?, s:I, s:o}", "version", (int)META_VERSION, "url", url, "size",
                     (json_int_t)meta->size, "complete", meta->complete, "etag", meta->validators.etag, "last_modified",
                     meta->validators.last_modified, "strong", meta->validators.strong, "sha256", meta->has_sha256 ? sha256 : NULL,
                     "mtime_ns", (json_int_t)mtime, "ranges", ranges);
}

static int write_json(int folder, const json_t *json)
{
    int fd = openat(folder, "meta.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    errno = 0;
    int failed = json_dumpfd(json, fd, JSON_COMPACT) ? (errno ? errno : EIO) : 0;
    if (!failed && fsync(fd)) failed = errno;
    if (close(fd) && !failed) failed = errno;
    if (!failed && renameat(folder, "meta.new", folder, "meta")) failed = errno;
    if (!failed && fsync(folder)) failed = errno;
    if (failed) unlinkat(folder, "meta.new", 0);
    return failed;
}

int kend_meta_write(int folder, const struct kend_meta *meta, const char *url, const struct stat *data)
{
    json_t *json = to_json(meta, url, kend_meta_modified(data));
    if (!json) return ENOMEM;
    int failed = write_json(folder, json);
    json_decref(json);
    return failed;
}
