/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header (RFC 9110, 14). */
#ifndef KEND_HTTP_RANGE_H
#define KEND_HTTP_RANGE_H

#include <stdint.h>

enum kend_range {
    KEND_RANGE_WHOLE,         /* no header, another unit, malformed, or several ranges: the whole is answered */
    KEND_RANGE_PART,          /* 206 with bytes first .. first + length - 1 */
    KEND_RANGE_UNSATISFIABLE, /* 416 */
};

/* Reads a header's value (or NULL) for a representation of `size` bytes. first and length are set for WHOLE and PART. */
enum kend_range kend_range_parse(const char *value, uint64_t size, uint64_t *first, uint64_t *length);

#endif
