/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "unit.h"

#include <string.h>

static const struct {
    const char *text;
    size_t repeat;
    const char *hex;
} vectors[] = {
    /* FIPS 180-4 examples, and NIST's long message */
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 1,
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void assert_hex(const unsigned char *sha256, const char *expected)
{
    char hex[KEN_SHA256_HEX_SIZE];
    ck_assert_str_eq(ken_hex_encode(hex, sha256, KEN_SHA256_SIZE), expected);
}

START_TEST(digests_are_those_of_nist)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct ken_digest digest;
        unsigned char sha256[KEN_SHA256_SIZE];
        ck_assert_int_eq(ken_digest_init(&digest, NULL), KEN_OK);
        for (size_t j = 0; j < vectors[i].repeat; j++) ken_digest_update(&digest, vectors[i].text, strlen(vectors[i].text));
        ck_assert_int_eq(ken_digest_final(&digest, sha256, NULL), KEN_OK);
        assert_hex(sha256, vectors[i].hex);
        ck_assert_ptr_null(digest.context);
    }
}
END_TEST

START_TEST(one_call_digests_too)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    ck_assert_int_eq(ken_sha256("abc", 3, sha256, NULL), KEN_OK);
    assert_hex(sha256, vectors[1].hex);
    ck_assert_int_eq(ken_sha256(NULL, 0, sha256, NULL), KEN_OK);
    assert_hex(sha256, vectors[0].hex);
}
END_TEST

START_TEST(a_copy_goes_on_by_itself)
{
    struct ken_digest digest, copy;
    unsigned char sha256[KEN_SHA256_SIZE];
    ck_assert_int_eq(ken_digest_init(&digest, NULL), KEN_OK);
    ken_digest_update(&digest, "ab", 2);
    ck_assert_int_eq(ken_digest_copy(&copy, &digest, NULL), KEN_OK);
    ken_digest_update(&digest, "x", 1);
    ken_digest_update(&copy, "c", 1);
    ck_assert_int_eq(ken_digest_final(&copy, sha256, NULL), KEN_OK);
    assert_hex(sha256, vectors[1].hex);
    ck_assert_int_eq(ken_digest_final(&digest, sha256, NULL), KEN_OK);
    assert_hex(sha256, "b2bdab4230154046ad0b7dfa830a9260caa5bd6ae230e582a2244ab4bf0b4ca5");
}
END_TEST

START_TEST(a_failed_update_fails_the_end)
{
    struct ken_error error = {0};
    struct ken_digest digest, copy;
    unsigned char sha256[KEN_SHA256_SIZE];
    ck_assert_int_eq(ken_digest_init(&digest, NULL), KEN_OK);
    digest.failed = true;
    ck_assert_int_eq(ken_digest_copy(&copy, &digest, NULL), KEN_OK);
    ck_assert_int_eq(ken_digest_final(&digest, sha256, &error), KEN_EINTERNAL);
    ck_assert_str_eq(error.message, "the cryptographic library failed to compute a SHA-256");
    ck_assert_int_eq(ken_digest_final(&copy, sha256, NULL), KEN_EINTERNAL);
    ken_digest_free(&digest);
}
END_TEST

START_TEST(hexadecimal_reads_back)
{
    unsigned char bytes[3];
    char text[7];
    ck_assert(ken_hex_decode(bytes, 3, "00aBfF"));
    ck_assert_mem_eq(bytes, "\x00\xab\xff", 3);
    ck_assert_str_eq(ken_hex_encode(text, bytes, 3), "00abff");
    static const char *const bad[] = {"", "00abf", "00abff0", "00abfg", "00abf ", "0x00ab", "00ab\xff\xff", "-1abff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_msg(!ken_hex_decode(bytes, 3, bad[i]), "accepted %s", bad[i]);
}
END_TEST

UNIT_MAIN("digest", digests_are_those_of_nist, one_call_digests_too, a_copy_goes_on_by_itself, a_failed_update_fails_the_end,
          hexadecimal_reads_back)
