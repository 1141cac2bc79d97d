/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a response: the fields that fetching goes by, read strictly. */
#ifndef KEND_HEAD_H
#define KEND_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEND_VALIDATOR_MAX = 256 };

/* What tells one state of a file from another; empty texts: not known. */
struct kend_validators {
    char etag[KEND_VALIDATOR_MAX]; /* as sent, with quotes and W/ */
    char last_modified[64];
    bool strong; /* the ETag is strong, or there is none and Last-Modified lay a minute or more before Date (RFC 9110, 8.8.2.2) */
};

struct kend_head {
    long status;
    bool has_length; /* Content-Length */
    uint64_t length;
    bool has_range, has_total;  /* Content-Range */
    uint64_t first, end, total; /* [first, end) of total; for "bytes *" + "/N" first = end = 0 */
    bool encoded;               /* Content-Encoding or Transfer-Encoding beyond identity and chunked */
    bool multipart;             /* Content-Type: multipart/byteranges */
    bool malformed;             /* a field above that could not be read, or came twice with different values */
    bool no_memory;             /* a field is missing here for want of memory */
    int64_t retry_after;        /* seconds; -1: none */
    int64_t date;               /* seconds since 1970; -1: none */
    struct kend_validators validators;
    char *location; /* malloc'ed or NULL */
};

/* Forgets what was read; frees location. */
void kend_head_reset(struct kend_head *head, long status);
/* One header line [length] as libcurl hands it, status lines and the empty line left out. */
void kend_head_line(struct kend_head *head, const char *line, size_t length);
/* To be called when all lines were read: decides about `strong`. */
void kend_head_end(struct kend_head *head);

/* Whether there is anything to compare by. */
bool kend_validators_known(const struct kend_validators *validators);
/* Whether both are of the same state of a file, as far as what both know can tell; false where nothing can be compared. */
bool kend_validators_equal(const struct kend_validators *a, const struct kend_validators *b);

#endif
