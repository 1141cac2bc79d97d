/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/safetensors.h"
#include "make_checkpoint.h"
#include "malformed_headers.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "model.safetensors: "

static char *replace(const char *text, size_t length, char from, char to)
{
    char *copy = malloc(length + 1);
    ck_assert_ptr_nonnull(copy);
    for (size_t i = 0; i < length; i++) copy[i] = text[i] == from ? to : text[i];
    copy[length] = '\0';
    return copy;
}

static int open_header(struct ken_checkpoint **checkpoint, const char *header, size_t length, size_t data, struct ken_error *error)
{
    char *text = replace(header, length, '\'', '"');
    unsigned char *zeros = calloc(1, data + 1);
    struct made_file file = make_raw(text, length, zeros, data);
    int code = open_memory(checkpoint, file.bytes, file.length, NULL, error);
    free(file.bytes);
    free(zeros);
    free(text);
    return code;
}

static void assert_message(const char *name, const struct ken_error *error, const char *expected)
{
    char *message = replace(error->message, strlen(error->message), '"', '\'');
    ck_assert_msg(strncmp(message, PREFIX, strlen(PREFIX)) == 0, "%s: %s", name, message);
    char *wanted = replace(expected, strlen(expected), '"', '\'');
    ck_assert_msg(strcmp(message + strlen(PREFIX), wanted) == 0, "%s: %s, not %s", name, message + strlen(PREFIX), wanted);
    free(wanted);
    free(message);
}

START_TEST(malformed_headers_are_refused_with_the_reason)
{
    ck_assert_uint_ge(sizeof malformed_headers / sizeof *malformed_headers, 90);
    for (size_t i = 0; i < sizeof malformed_headers / sizeof *malformed_headers; i++) {
        const struct malformed_header *malformed = &malformed_headers[i];
        struct ken_error error = {0};
        struct ken_checkpoint *checkpoint = NULL;
        int code = open_header(&checkpoint, malformed->header, malformed->header_length, malformed->data, &error);
        ck_assert_msg(code == malformed->code, "%s: %d %s", malformed->name, code, error.message);
        ck_assert_int_eq(error.code, code);
        ck_assert_ptr_null(checkpoint);
        assert_message(malformed->name, &error, malformed->message);
    }
}
END_TEST

/* Files whose first bytes claim a header of that many bytes, before "{}" and spaces. */
static const struct {
    uint64_t claimed;
    size_t length; /* of the file */
    int code;
    const char *message;
} lengths[] = {
    {0, 16, KEN_EBAD_CHECKPOINT, "byte 8: expected a value"},
    {1, 16, KEN_EBAD_CHECKPOINT, "byte 9: expected a key"},
    {2, 16, KEN_EBAD_CHECKPOINT, "the last 6 bytes of the file belong to no tensor"},
    {8, 16, KEN_OK, NULL},
    {9, 16, KEN_EBAD_CHECKPOINT, "a header of 9 bytes reaches beyond the end of the file of 16"},
    {16, 16, KEN_EBAD_CHECKPOINT, "a header of 16 bytes reaches beyond the end of the file of 16"},
    {25000000, 16, KEN_EBAD_CHECKPOINT, "a header of 25000000 bytes reaches beyond the end of the file of 16"},
    {25000001, 16, KEN_ETOO_LARGE, "a header of 25000001 bytes is over the limit of 25000000"},
    {UINT64_C(1) << 31, 16, KEN_ETOO_LARGE, "a header of 2147483648 bytes is over the limit of 25000000"},
    {UINT64_C(1) << 32, 16, KEN_ETOO_LARGE, "a header of 4294967296 bytes is over the limit of 25000000"},
    {(UINT64_C(1) << 32) + 8, 16, KEN_ETOO_LARGE, "a header of 4294967304 bytes is over the limit of 25000000"},
    {(UINT64_C(1) << 63) - 1, 16, KEN_ETOO_LARGE, "a header of 9223372036854775807 bytes is over the limit of 25000000"},
    {UINT64_C(1) << 63, 16, KEN_ETOO_LARGE, "a header of 9223372036854775808 bytes is over the limit of 25000000"},
    {UINT64_MAX - 7, 16, KEN_ETOO_LARGE, "a header of 18446744073709551608 bytes is over the limit of 25000000"},
    {UINT64_MAX, 16, KEN_ETOO_LARGE, "a header of 18446744073709551615 bytes is over the limit of 25000000"},
    {8, 0, KEN_EBAD_CHECKPOINT, "the file is empty"},
    {8, 1, KEN_EBAD_CHECKPOINT, "1 bytes are too few for a safetensors file"},
    {8, 7, KEN_EBAD_CHECKPOINT, "7 bytes are too few for a safetensors file"},
    {8, 8, KEN_EBAD_CHECKPOINT, "8 bytes are too few for a safetensors file"},
    {8, 9, KEN_EBAD_CHECKPOINT, "a header of 8 bytes reaches beyond the end of the file of 9"},
};

START_TEST(the_length_of_the_header_is_checked)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char bytes[17] = "........{}      ";
        struct ken_error error = {0};
        struct ken_checkpoint *checkpoint = NULL;
        for (unsigned j = 0; j < 8; j++) bytes[j] = (unsigned char)(lengths[i].claimed >> (8 * j));
        int code = open_memory(&checkpoint, bytes, lengths[i].length, NULL, &error);
        ck_assert_msg(code == lengths[i].code, "%zu: %s", i, error.message);
        if (code) assert_message("length", &error, lengths[i].message);
        ken_checkpoint_close(&checkpoint);
    }
}
END_TEST

START_TEST(the_header_begins_at_once_and_ends_in_spaces)
{
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(open_header(&checkpoint, " {}", 3, 0, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, PREFIX
                     "neither a safetensors file, a torch file nor an index: it begins with \"\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00 \", "
                     "and byte 8 is not '{'");
    ck_assert_int_eq(open_header(&checkpoint, "[]", 2, 0, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_int_eq(open_header(&checkpoint, "{}  \n\t\r ", 8, 0, &error), KEN_OK);
    ck_assert_uint_eq(checkpoint->tensor_count, 0);
    ck_assert_uint_eq(checkpoint->files[0].data_offset, 16);
    ken_checkpoint_close(&checkpoint);
}
END_TEST

/* Three tensors of five kinds of shape, in an order that is not that of their offsets. */
static const char sample[] = "{'__metadata__':{'z':'1','a':'\\u00e9\\n'},"
                             "'b':{'data_offsets':[24,28],'shape':[],'dtype':'F32'},"
                             "'a':{'dtype':'BF16','shape':[2,3,2],'data_offsets':[0,24]},"
                             "'empty':{'dtype':'I64','shape':[0,7],'data_offsets':[24,24]},"
                             "'also empty':{'dtype':'I64','shape':[7,0],'data_offsets':[24,24]},"
                             "'c':{'dtype':'F6_E2M3','shape':[4],'data_offsets':[28,31]}}";

static void assert_tensor(const struct ken_tensor *tensor, const char *name, enum ken_dtype dtype, uint32_t rank, uint64_t rows, uint64_t n,
                          uint64_t offset, uint64_t length)
{
    ck_assert_str_eq(tensor->name, name);
    ck_assert_int_eq(tensor->dtype, dtype);
    ck_assert_uint_eq(tensor->rank, rank);
    ck_assert_uint_eq(tensor->rows, rows);
    ck_assert_uint_eq(tensor->n, n);
    ck_assert_uint_eq(tensor->offset, offset);
    ck_assert_uint_eq(tensor->length, length);
    ck_assert_uint_eq(ken_tensor_elements(tensor), rows * n);
}

START_TEST(a_header_is_understood)
{
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    size_t data = 8 + strlen(sample);
    ck_assert_msg(open_header(&checkpoint, sample, strlen(sample), 31, &error) == KEN_OK, "%s", error.message);
    ck_assert_uint_eq(checkpoint->file_count, 1);
    ck_assert(!checkpoint->has_index);
    const struct ken_checkpoint_file *file = &checkpoint->files[0];
    ck_assert_str_eq(file->name, "model.safetensors");
    ck_assert_uint_eq(file->data_offset, data);
    ck_assert_str_eq(file->metadata_json, "{\"z\":\"1\",\"a\":\"\xc3\xa9\\n\"}");
    ck_assert_uint_eq(file->metadata_length, strlen(file->metadata_json));
    ck_assert_uint_eq(file->first, 0);
    ck_assert_uint_eq(file->count, 5);
    ck_assert_uint_eq(checkpoint->tensor_count, 5);
    assert_tensor(&checkpoint->tensors[0], "a", KEN_BF16, 3, 2, 6, data, 24);
    assert_tensor(&checkpoint->tensors[1], "also empty", KEN_I64, 2, 7, 0, data + 24, 0);
    assert_tensor(&checkpoint->tensors[2], "empty", KEN_I64, 2, 0, 7, data + 24, 0);
    assert_tensor(&checkpoint->tensors[3], "b", KEN_F32, 0, 1, 1, data + 24, 4);
    assert_tensor(&checkpoint->tensors[4], "c", KEN_F6_E2M3, 1, 1, 4, data + 28, 3);
    ck_assert_uint_eq(checkpoint->tensors[0].shape[2], 2);
    ken_checkpoint_close(&checkpoint);
    ck_assert_ptr_null(checkpoint);
}
END_TEST

START_TEST(every_dtype_is_known){
#define X(name, bits, prunable)                                                                                              \
    {                                                                                                                        \
        struct ken_checkpoint *checkpoint = NULL;                                                                            \
        char header[128];                                                                                                    \
        int length = snprintf(header, sizeof header, "{'a':{'dtype':'%s','shape':[8],'data_offsets':[0,%d]}}", #name, bits); \
        ck_assert_int_eq(open_header(&checkpoint, header, (size_t)length, bits, NULL), KEN_OK);                              \
        ck_assert_int_eq(checkpoint->tensors[0].dtype, KEN_##name);                                                          \
        ken_checkpoint_close(&checkpoint);                                                                                   \
    }
    KEN_DTYPE_MAP(X)
#undef X
} END_TEST

    START_TEST(a_file_without_metadata_has_none)
{
    struct ken_checkpoint *checkpoint = NULL;
    ck_assert_int_eq(open_header(&checkpoint, "{}", 2, 0, NULL), KEN_OK);
    ck_assert_ptr_null(checkpoint->files[0].metadata_json);
    ck_assert_uint_eq(checkpoint->files[0].metadata_length, 0);
    ken_checkpoint_close(&checkpoint);
    ck_assert_int_eq(open_header(&checkpoint, "{'__metadata__':{}}", 19, 0, NULL), KEN_OK);
    ck_assert_str_eq(checkpoint->files[0].metadata_json, "{}");
    ken_checkpoint_close(&checkpoint);
}
END_TEST

START_TEST(thirty_two_dimensions_are_the_most)
{
    static const char header[] = "{'a':{'dtype':'U8','shape':[" TEN("1,") TEN("1,") TEN("1,") "1,3],'data_offsets':[0,3]}}";
    struct ken_checkpoint *checkpoint = NULL;
    ck_assert_int_eq(open_header(&checkpoint, header, strlen(header), 3, NULL), KEN_OK);
    ck_assert_uint_eq(checkpoint->tensors[0].rank, 32);
    ken_checkpoint_close(&checkpoint);
}
END_TEST

START_TEST(a_name_has_at_most_4096_bytes)
{
    for (size_t length = 4096; length <= 4097; length++) {
        char header[4200], name[4098];
        struct ken_error error = {0};
        struct ken_checkpoint *checkpoint = NULL;
        memset(name, 'n', length);
        name[length] = '\0';
        int size = snprintf(header, sizeof header, "{'%s':{'dtype':'U8','shape':[1],'data_offsets':[0,1]}}", name);
        int code = open_header(&checkpoint, header, (size_t)size, 1, &error);
        ck_assert_int_eq(code, length == 4096 ? KEN_OK : KEN_EBAD_CHECKPOINT);
        if (code) ck_assert_str_eq(error.message, PREFIX "byte 9: the name of a tensor is longer than 4096 bytes");
        ken_checkpoint_close(&checkpoint);
    }
}
END_TEST

START_TEST(limits_are_held_exactly)
{
    static const struct make_tensor tensors[] = {{"a", "U8", "[3]", NULL, 3}, {"b", "U8", "[3]", NULL, 3}};
    struct made_file file = make_safetensors(NULL, tensors, 2);
    uint64_t header = file.length - 6 - 8;
    struct ken_checkpoint_limits limits = {header, 2, 0};
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_OK);
    ken_checkpoint_close(&checkpoint);
    limits.max_tensors = 1;
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, PREFIX "more than 1 tensors");
    limits = (struct ken_checkpoint_limits){header - 1, 2, 0};
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_ETOO_LARGE);
    ck_assert(strstr(error.message, "bytes is over the limit of"));
    free(file.bytes);
}
END_TEST

START_TEST(entries_of_metadata_are_limited_like_tensors)
{
    static const char header[] = "{'__metadata__':{'a':'1','b':'2','c':'3'}}";
    char *text = replace(header, strlen(header), '\'', '"');
    struct made_file file = make_raw(text, strlen(text), NULL, 0);
    struct ken_checkpoint_limits limits = {1000, 2, 0};
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, PREFIX "more than 2 entries in __metadata__");
    free(file.bytes);
    free(text);
}
END_TEST

static struct made_file sample_file(void)
{
    char *text = replace(sample, strlen(sample), '\'', '"');
    unsigned char zeros[31] = {0};
    struct made_file file = make_raw(text, strlen(text), zeros, sizeof zeros);
    free(text);
    return file;
}

START_TEST(a_file_cut_anywhere_is_refused)
{
    struct made_file file = sample_file();
    for (size_t length = 0; length < file.length; length++) {
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        int code = open_memory(&checkpoint, file.bytes, length, NULL, &error);
        ck_assert_msg(code == KEN_EBAD_CHECKPOINT, "%zu: %d", length, code);
        ck_assert(strncmp(error.message, PREFIX, strlen(PREFIX)) == 0);
    }
    free(file.bytes);
}
END_TEST

START_TEST(a_header_cut_anywhere_is_refused)
{
    char *text = replace(sample, strlen(sample), '\'', '"');
    for (size_t length = 1; length < strlen(text); length++) {
        struct made_file file = make_raw(text, length, NULL, 0);
        struct ken_checkpoint *checkpoint = NULL;
        ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, NULL, NULL), KEN_EBAD_CHECKPOINT);
        free(file.bytes);
    }
    free(text);
}
END_TEST

/* A 64-bit linear congruential generator. */
static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Whatever was accepted must be what its header promises. */
static void assert_sound(const struct ken_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        uint64_t size = checkpoint->files[0].source->size;
        ck_assert(tensor->offset <= size && tensor->length <= size - tensor->offset);
        ck_assert_uint_eq(ken_tensor_elements(tensor) * ken_dtype_bits(tensor->dtype), tensor->length * 8);
        ck_assert_ptr_eq(ken_checkpoint_find(checkpoint, tensor->name), tensor);
    }
}

START_TEST(mutations_never_do_harm)
{
    struct made_file file = sample_file();
    uint64_t state = 42;
    size_t accepted = 0;
    unsigned char *bytes = malloc(file.length);
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, file.bytes, file.length);
        for (uint64_t flips = next(&state) % 4 + 1; flips; flips--) {
            unsigned char *byte = &bytes[next(&state) % (file.length - 31)];
            static const unsigned char grammar[] = "{}[]\":,0123456789\\u-. ";
            *byte = next(&state) % 2 ? (unsigned char)next(&state) : grammar[next(&state) % (sizeof grammar - 1)];
        }
        size_t length = next(&state) % 8 ? file.length : next(&state) % file.length;
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        int code = open_memory(&checkpoint, bytes, length, NULL, &error);
        ck_assert_msg(code == KEN_OK || code == KEN_EBAD_CHECKPOINT || code == KEN_EUNSUPPORTED || code == KEN_ETOO_LARGE, "%s",
                      error.message);
        ck_assert_int_eq(code, error.code);
        if (!code) assert_sound(checkpoint);
        accepted += !code;
        ken_checkpoint_close(&checkpoint);
    }
    ck_assert_uint_gt(accepted, 0); /* a letter of a name or of metadata may become another */
    free(bytes);
    free(file.bytes);
}
END_TEST

UNIT_MAIN("safetensors", malformed_headers_are_refused_with_the_reason, the_length_of_the_header_is_checked,
          the_header_begins_at_once_and_ends_in_spaces, a_header_is_understood, every_dtype_is_known, a_file_without_metadata_has_none,
          thirty_two_dimensions_are_the_most, a_name_has_at_most_4096_bytes, limits_are_held_exactly,
          entries_of_metadata_are_limited_like_tensors, a_file_cut_anywhere_is_refused, a_header_cut_anywhere_is_refused,
          mutations_never_do_harm)
