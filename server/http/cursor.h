/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the next page of a list begins, as clients hand it back: the id of the last job, the sequence number of the last event, the byte
 * behind the last row.
 */
#ifndef KEND_HTTP_CURSOR_H
#define KEND_HTTP_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

enum { KEND_CURSOR_SIZE = 24 };

void kend_cursor_format(char cursor[KEND_CURSOR_SIZE], uint64_t position);
/* False unless it is a number of 1 to 18 digits. */
bool kend_cursor_parse(const char *cursor, uint64_t *position);

#endif
