/* SPDX-License-Identifier: Apache-2.0 */
/* Strong entity tags. */
#ifndef KEND_HTTP_ETAG_H
#define KEND_HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>

enum { KEND_ETAG_BYTES = 16, KEND_ETAG_SIZE = 2 * KEND_ETAG_BYTES + 3 };

/* The tag of a representation, part of its SHA-256 in quotes. False if out of memory. */
bool kend_etag_of(char etag[KEND_ETAG_SIZE], const char *text, size_t length);

#endif
