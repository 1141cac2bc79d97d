/* SPDX-License-Identifier: Apache-2.0 */
#include "http/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A row's tensor names may be as long as a checkpoint's header allows: the buffer grows with the row, up to what is beyond all measure. */
enum { ROWS_BUFFER = 256 << 10, ROWS_MOST = 4 << 20 };

struct kend_rows {
    int file;
    uint64_t size, offset; /* offset: of buffer[begin] */
    size_t begin, end;     /* bytes not handed out yet */
    char *buffer;          /* [capacity] */
    size_t capacity;
};

static int rows_pread(const struct kend_rows *rows, void *bytes, size_t length, uint64_t offset, size_t *got, struct ken_error *error)
{
    ssize_t count;
    do count = pread(rows->file, bytes, length, (off_t)offset);
    while (count < 0 && errno == EINTR);
    if (count < 0) return ken_fail_errno(error, errno, "reading rows");
    *got = (size_t)count;
    return KEN_OK;
}

static int rows_grow(struct kend_rows *rows, struct ken_error *error)
{
    if (rows->capacity == ROWS_MOST) return ken_fail(error, KEN_EINTERNAL, "a row has no end");
    char *larger = realloc(rows->buffer, 2 * rows->capacity);
    if (!larger) return ken_fail(error, KEN_ENOMEM, "out of memory");
    rows->buffer = larger;
    rows->capacity *= 2;
    return KEN_OK;
}

/* Moves what is left to the front and reads on; into a larger buffer, if that is all of this one. */
static int rows_fill(struct kend_rows *rows, struct ken_error *error)
{
    size_t left = rows->end - rows->begin, got = 0;
    memmove(rows->buffer, rows->buffer + rows->begin, left);
    rows->begin = 0;
    rows->end = left;
    int rc = left == rows->capacity ? rows_grow(rows, error) : KEN_OK;
    if (!rc) rc = rows_pread(rows, rows->buffer + left, rows->capacity - left, rows->offset + left, &got, error);
    rows->end += got;
    return rc;
}

int kend_rows_open(struct kend_rows **out, struct kend_artifacts *artifacts, const char *job, const char *name, uint64_t offset,
                   struct ken_error *error)
{
    *out = NULL;
    struct kend_rows *rows = malloc(sizeof *rows);
    if (!rows) return ken_fail(error, KEN_ENOMEM, "out of memory");
    *rows = (struct kend_rows){.offset = offset, .buffer = malloc(ROWS_BUFFER), .capacity = ROWS_BUFFER};
    if (!rows->buffer) {
        free(rows);
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    int rc = artifacts->ops->open(artifacts, job, name, &rows->file, &rows->size, error);
    if (rc) goto no_file;
    char before = '\n';
    size_t got = 1;
    if (offset > rows->size) rc = ken_fail(error, KEN_EINVALID, "behind the end of the rows");
    if (!rc && offset) rc = rows_pread(rows, &before, 1, offset - 1, &got, error);
    if (!rc && (got != 1 || before != '\n')) rc = ken_fail(error, KEN_EINVALID, "not the beginning of a row");
    if (rc) goto no_offset;
    *out = rows;
    return KEN_OK;

no_offset:
    close(rows->file);
no_file:
    free(rows->buffer);
    free(rows);
    return rc;
}

void kend_rows_close(struct kend_rows **rows)
{
    if (!*rows) return;
    close((*rows)->file);
    free((*rows)->buffer);
    free(*rows);
    *rows = NULL;
}

int kend_rows_next(struct kend_rows *rows, const char **line, size_t *length, struct ken_error *error)
{
    *line = NULL;
    if (kend_rows_ended(rows)) return KEN_OK;
    char *newline;
    while (!(newline = memchr(rows->buffer + rows->begin, '\n', rows->end - rows->begin))) {
        const size_t before = rows->end - rows->begin;
        int rc = rows_fill(rows, error);
        if (rc) return rc;
        if (rows->end == before) return ken_fail(error, KEN_EINTERNAL, "a row has no end");
    }
    *line = rows->buffer + rows->begin;
    *length = (size_t)(newline - *line);
    rows->begin += *length + 1;
    rows->offset += *length + 1;
    return KEN_OK;
}

uint64_t kend_rows_offset(const struct kend_rows *rows)
{
    return rows->offset;
}

bool kend_rows_ended(const struct kend_rows *rows)
{
    return rows->offset >= rows->size;
}
