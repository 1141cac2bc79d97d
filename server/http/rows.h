/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a file of lines that lies among a job's artifacts, from any line on, in memory that does not grow with it. */
#ifndef KEND_HTTP_ROWS_H
#define KEND_HTTP_ROWS_H

#include "artifacts/artifacts.h"

struct kend_rows;

/* Opens the file at an offset, which must be 0 or behind a line's end: else KEN_EINVALID. Other errors as of artifacts->ops->open. */
int kend_rows_open(struct kend_rows **rows, struct kend_artifacts *artifacts, const char *job, const char *name, uint64_t offset,
                   struct ken_error *error);
void kend_rows_close(struct kend_rows **rows);
/* The next line without its end, valid until the next call; NULL at the end of the file. KEN_EIO; KEN_EINTERNAL for a line that is not
 * whole or larger than a row can be. */
int kend_rows_next(struct kend_rows *rows, const char **line, size_t *length, struct ken_error *error);
/* Where the next line begins. */
uint64_t kend_rows_offset(const struct kend_rows *rows);
/* Whether there is no next line. */
bool kend_rows_ended(const struct kend_rows *rows);

#endif
