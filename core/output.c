/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include "condition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLLOW_BYTES = 1 << 18, ASK_MILLISECONDS = 50 };

/* ---- the follower */

void ken_follow_init(struct ken_follow *follow)
{
    *follow = (struct ken_follow){0};
    pthread_mutex_init(&follow->lock, NULL);
    ken_condition_init(&follow->changed);
}

void ken_follow_destroy(struct ken_follow *follow)
{
    pthread_cond_destroy(&follow->changed);
    pthread_mutex_destroy(&follow->lock);
}

static void tell(struct ken_follow *follow, uint64_t written)
{
    pthread_mutex_lock(&follow->lock);
    follow->written = written;
    pthread_cond_signal(&follow->changed);
    pthread_mutex_unlock(&follow->lock);
}

void ken_follow_end(struct ken_follow *follow)
{
    pthread_mutex_lock(&follow->lock);
    follow->ended = true;
    pthread_cond_signal(&follow->changed);
    pthread_mutex_unlock(&follow->lock);
}

/* How much is written; waits a little while that is no more than `done`. */
static uint64_t look(struct ken_follow *follow, uint64_t done, bool *ended)
{
    pthread_mutex_lock(&follow->lock);
    if (follow->written == done && !follow->ended) ken_condition_wait_ms(&follow->changed, &follow->lock, ASK_MILLISECONDS);
    uint64_t written = follow->written;
    *ended = follow->ended;
    pthread_mutex_unlock(&follow->lock);
    return written;
}

static int digest_written(int file, const char *path, uint64_t from, uint64_t to, unsigned char *buffer, struct ken_digest *digest,
                          struct ken_error *error)
{
    while (from < to) {
        uint64_t count = to - from < FOLLOW_BYTES ? to - from : FOLLOW_BYTES;
        int code = ken_file_read(file, from, buffer, count, path, error);
        if (code) return code;
        ken_digest_update(digest, buffer, count);
        from += count;
    }
    return KEN_OK;
}

int ken_follow_digest(struct ken_follow *follow, int directory, const char *path, bool (*cancelled)(void *opaque), void *opaque,
                      unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    struct ken_digest digest = {0};
    unsigned char *buffer = malloc(FOLLOW_BYTES);
    int file = -1, code = buffer ? ken_digest_init(&digest, error) : ken_fail(error, KEN_ENOMEM, "out of memory for a digest");
    bool ended = false;
    for (uint64_t done = 0; !code;) {
        uint64_t written = look(follow, done, &ended);
        if (cancelled(opaque)) code = ken_fail(error, KEN_ECANCELLED, "cancelled");
        if (written == done && ended) break;
        if (!code && file < 0 && written) code = ken_file_open(&file, directory, path, false, error);
        if (!code) code = digest_written(file, path, done, written, buffer, &digest, error);
        done = written;
    }
    if (!code) code = ken_digest_final(&digest, sha256, error);
    ken_digest_free(&digest);
    if (file >= 0) close(file);
    free(buffer);
    return code;
}

/* ---- the writer */

int ken_output_create(struct ken_output_file *output, int directory, const char *path, struct ken_follow *follow, struct ken_error *error)
{
    *output = (struct ken_output_file){.file = -1, .buffer = malloc(KEN_OUTPUT_BUFFER), .follow = follow};
    snprintf(output->path, sizeof output->path, "%s", path);
    int code = output->buffer ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for writing %s", path);
    if (!code && !follow) code = ken_digest_init(&output->digest, error);
    if (!code) code = ken_file_open(&output->file, directory, path, true, error);
    if (code) ken_output_abandon(output);
    return code;
}

/* Writes what follows all that was written before, whose length is `at`. */
static int write_through(struct ken_output_file *output, uint64_t at, const void *bytes, uint64_t length, struct ken_error *error)
{
    int code = ken_file_write(output->file, at, bytes, length, output->path, error);
    if (code) return code;
    if (output->follow)
        tell(output->follow, at + length);
    else
        ken_digest_update(&output->digest, bytes, length);
    ken_file_begin_sync(output->file, at, length);
    return KEN_OK;
}

static int flush(struct ken_output_file *output, struct ken_error *error)
{
    size_t used = output->used;
    output->used = 0;
    return write_through(output, output->size - used, output->buffer, used, error);
}

int ken_output_write(struct ken_output_file *output, const void *bytes, uint64_t length, struct ken_error *error)
{
    if (output->used + length > KEN_OUTPUT_BUFFER) {
        int code = flush(output, error);
        if (code) return code;
    }
    uint64_t at = output->size;
    output->size += length;
    if (length > KEN_OUTPUT_BUFFER) return write_through(output, at, bytes, length, error);
    memcpy(output->buffer + output->used, bytes, length);
    output->used += length;
    return KEN_OK;
}

int ken_output_close(struct ken_output_file *output, bool durable, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    int code = flush(output, error);
    if (!code && durable && fdatasync(output->file)) code = ken_fail_errno(error, errno, "syncing %s", output->path);
    if (!code && !output->follow) code = ken_digest_final(&output->digest, sha256, error);
    ken_output_abandon(output);
    return code;
}

void ken_output_abandon(struct ken_output_file *output)
{
    if (output->buffer && output->file >= 0) close(output->file);
    ken_digest_free(&output->digest);
    free(output->buffer);
    *output = (struct ken_output_file){.file = -1};
}
