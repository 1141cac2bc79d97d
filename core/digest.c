/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <openssl/evp.h>

static int no_memory(struct ken_error *error)
{
    return ken_fail(error, KEN_ENOMEM, "out of memory for a SHA-256");
}

static int no_sha256(struct ken_error *error)
{
    return ken_fail(error, KEN_EINTERNAL, "the cryptographic library failed to compute a SHA-256");
}

int ken_digest_init(struct ken_digest *digest, struct ken_error *error)
{
    *digest = (struct ken_digest){.context = EVP_MD_CTX_new()};
    if (!digest->context) return no_memory(error);
    if (EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1) return KEN_OK;
    ken_digest_free(digest);
    return no_sha256(error);
}

void ken_digest_update(struct ken_digest *digest, const void *bytes, size_t length)
{
    KEN_ASSERT(digest->context);
    if (length && EVP_DigestUpdate(digest->context, bytes, length) != 1) digest->failed = true;
}

int ken_digest_final(struct ken_digest *digest, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    KEN_ASSERT(digest->context);
    bool done = !digest->failed && EVP_DigestFinal_ex(digest->context, sha256, NULL) == 1;
    ken_digest_free(digest);
    return done ? KEN_OK : no_sha256(error);
}

int ken_digest_copy(struct ken_digest *to, const struct ken_digest *from, struct ken_error *error)
{
    KEN_ASSERT(from->context);
    *to = (struct ken_digest){.context = EVP_MD_CTX_new(), .failed = from->failed};
    if (!to->context) return no_memory(error);
    if (EVP_MD_CTX_copy_ex(to->context, from->context) == 1) return KEN_OK;
    ken_digest_free(to);
    return no_memory(error);
}

void ken_digest_free(struct ken_digest *digest)
{
    EVP_MD_CTX_free(digest->context);
    *digest = (struct ken_digest){0};
}

int ken_sha256(const void *bytes, size_t length, unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error)
{
    struct ken_digest digest;
    int code = ken_digest_init(&digest, error);
    if (code) return code;
    ken_digest_update(&digest, bytes, length);
    return ken_digest_final(&digest, sha256, error);
}

const char *ken_hex_encode(char *text, const unsigned char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * length] = '\0';
    return text;
}

int ken_hex_digit(int digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

bool ken_hex_decode(unsigned char *bytes, size_t length, const char *text)
{
    for (size_t i = 0; i < length; i++) {
        int high = ken_hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : ken_hex_digit(text[2 * i + 1]);
        if (low < 0) return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return text[2 * length] == '\0';
}
