/* SPDX-License-Identifier: Apache-2.0 */
/* Ids ("job_" + ULID) and times (RFC 3339 UTC, milliseconds). */
#ifndef PROTO_ID_H
#define PROTO_ID_H

#include <stdbool.h>
#include <stdint.h>

enum { PROTO_ID_SIZE = 4 + 26 + 1, PROTO_TIME_SIZE = 25 };

enum { PROTO_ULID_RANDOM = 10, PROTO_ULID_TEXT = 26 };
#define PROTO_ULID_MAX_TIME (((uint64_t)1 << 48) - 1)

struct proto_ulid {
    uint64_t time; /* ms since 1970, 48 bits */
    unsigned char random[PROTO_ULID_RANDOM];
};

/*
 * Steps *last to the next id at `now` with the given random bytes. Where the clock has not moved on (or has gone back), the random part
 * counts up instead, and past its end the time does: the result is always greater than *last was.
 */
void proto_ulid_next(struct proto_ulid *last, uint64_t now, const unsigned char random[PROTO_ULID_RANDOM]);
/* Crockford's base 32, upper case, terminated. */
void proto_ulid_format(char text[PROTO_ULID_TEXT + 1], const struct proto_ulid *ulid);

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
