/* SPDX-License-Identifier: Apache-2.0 */
#include "http/etag.h"

#include "digest.h"

#include <stdio.h>

bool kend_etag_of(char etag[KEND_ETAG_SIZE], const char *text, size_t length)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[2 * KEND_ETAG_BYTES + 1];
    if (ken_sha256(text, length, sha256, NULL)) return false;
    snprintf(etag, KEND_ETAG_SIZE, "\"%s\"", ken_hex_encode(hex, sha256, KEND_ETAG_BYTES));
    return true;
}
