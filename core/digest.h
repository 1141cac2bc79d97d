/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, and bytes as hexadecimal text. */
#ifndef KEN_DIGEST_H
#define KEN_DIGEST_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>

enum { KEN_SHA256_SIZE = 32, KEN_SHA256_HEX_SIZE = 2 * KEN_SHA256_SIZE + 1 };

/* A digest in the making. Zeroed: none. Not to be copied by assignment, but moved. */
struct ken_digest {
    struct evp_md_ctx_st *context;
    bool failed; /* an update did; told by final */
};

/* Begins a digest, to be ended by final or free. KEN_ENOMEM, or KEN_EINTERNAL if the library has no SHA-256; *digest is none then. */
int ken_digest_init(struct ken_digest *digest, struct ken_error *error);
/* Adds bytes [length]. */
void ken_digest_update(struct ken_digest *digest, const void *bytes, size_t length);
/* Writes the digest of all bytes added and frees it, also on failure; *digest is none afterwards. */
int ken_digest_final(struct ken_digest *digest, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error);
/* Makes *to, which is none, a second digest of the bytes that *from has seen. Errors as init. */
int ken_digest_copy(struct ken_digest *to, const struct ken_digest *from, struct ken_error *error);
/* Gives up a digest; nothing if it is none. */
void ken_digest_free(struct ken_digest *digest);

/* The digest of bytes [length] at once. Errors as init. */
int ken_sha256(const void *bytes, size_t length, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error);

/* The value of a hexadecimal digit of either case, or -1. */
int ken_hex_digit(int digit);
/* Writes bytes [length] as lower-case hexadecimal to text [2 * length + 1] with a NUL, and returns text. */
const char *ken_hex_encode(char *text, const unsigned char *bytes, size_t length);
/* Reads exactly 2 * length digits, of either case and ended by a NUL, into bytes [length]; false, with bytes undefined, for anything else.
 */
bool ken_hex_decode(unsigned char *bytes, size_t length, const char *text);

#endif
