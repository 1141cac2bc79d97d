/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "digest.h"

#include <sys/stat.h>

static void assert_within(const struct ken_source *source, uint64_t offset, uint64_t length)
{
    KEN_ASSERT(offset <= source->size && length <= source->size - offset);
}

void ken_source_set_state(struct ken_source *source, const void *bytes, size_t length)
{
    source->has_state = ken_sha256(bytes, length, source->state, NULL) == KEN_OK;
}

void ken_source_set_file_state(struct ken_source *source, const struct stat *status)
{
    const int64_t state[] = {(int64_t)status->st_ino, status->st_size, status->st_mtim.tv_sec, status->st_mtim.tv_nsec};
    ken_source_set_state(source, state, sizeof state);
}

int ken_source_wait(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error)
{
    assert_within(source, offset, length);
    return source->ops->wait && length ? source->ops->wait(source, offset, length, error) : KEN_OK;
}

int ken_source_wait_named(struct ken_source *source, const char *input, uint64_t offset, uint64_t length, struct ken_error *error)
{
    struct ken_error reason = {0};
    int code = ken_source_wait(source, offset, length, &reason);
    return code ? ken_fail(error, code, "%s: %.480s", input, reason.message) : KEN_OK;
}

int ken_source_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    assert_within(source, offset, length);
    return length ? source->ops->read(source, offset, buffer, length, error) : KEN_OK;
}

int ken_source_digest(struct ken_source *source, unsigned char sha256[32], struct ken_error *error)
{
    return source->ops->digest ? source->ops->digest(source, sha256, error) : KEN_ENOT_FOUND;
}

int ken_source_check(struct ken_source *source, struct ken_error *error)
{
    return source->ops->check ? source->ops->check(source, error) : KEN_OK;
}

void ken_source_close(struct ken_source **source)
{
    if (*source) (*source)->ops->close(*source);
    *source = NULL;
}
