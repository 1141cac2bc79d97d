/* SPDX-License-Identifier: Apache-2.0 */
/* Ids ("job_" + ULID) and times (RFC 3339 UTC, milliseconds). */
#ifndef PROTO_ID_H
#define PROTO_ID_H

#include <stdbool.h>
#include <stdint.h>

enum { PROTO_ID_SIZE = 4 + 26 + 1, PROTO_TIME_SIZE = 25 };

/* A new id for a time (ms since 1970), monotonic within the process: ids made later sort higher, also within one millisecond. Thread-safe.
 */
void proto_id_make(char id[PROTO_ID_SIZE], int64_t now_ms);
/* Whether text is an id: prefix, 26 characters of Crockford's base 32 in upper case, no overflow. */
bool proto_id_is(const char *text);
/* Now, ms since 1970. */
int64_t proto_now_ms(void);
/* "2026-01-02T03:04:05.678Z" */
void proto_time_format(char text[PROTO_TIME_SIZE], int64_t ms);

#endif
