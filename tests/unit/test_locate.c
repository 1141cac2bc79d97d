/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/locate.h"
#include "make_checkpoint.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t length;
    enum ken_content content;
} contents[] = {
    {BYTES("\x02\0\0\0\0\0\0\0{}"), KEN_CONTENT_SAFETENSORS},
    {BYTES("\x80\x02\0\0\0\0\0\0{}"), KEN_CONTENT_SAFETENSORS}, /* length 640: begins like a pickle */
    {BYTES("\x3c\0\0\0\0\0\0\0{}"), KEN_CONTENT_SAFETENSORS},   /* length 60: begins like HTML */
    {BYTES("\x7b\x22\0\0\0\0\0\0{}"), KEN_CONTENT_SAFETENSORS}, /* begins like JSON */
    {BYTES("PK\3\4\0\0\0\0{}"), KEN_CONTENT_SAFETENSORS},       /* begins like a zip */
    {BYTES("\0\0\0\0\0\0\0\x80{}"), KEN_CONTENT_SAFETENSORS},   /* length 2^63 */
    {BYTES("{}"), KEN_CONTENT_JSON},
    {BYTES(" \n\t{\"weight_map\":{}}"), KEN_CONTENT_JSON},
    {BYTES("{\n  \"a\":{}}"), KEN_CONTENT_JSON}, /* byte 8 is a colon */
    {BYTES("{   \"a\":{}}"), KEN_CONTENT_JSON},  /* byte 8 is a brace */
    {BYTES("\xef\xbb\xbf{}"), KEN_CONTENT_JSON},
    {BYTES("PK\3\4\0\0\x08\x08\0\0"), KEN_CONTENT_TORCH_ZIP},
    {BYTES("PK\3\4"), KEN_CONTENT_TORCH_ZIP},
    {BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."), KEN_CONTENT_TORCH_PICKLE},
    {BYTES("\x80\x04\x95\0\0\0\0\0\0\0\0"), KEN_CONTENT_TORCH_PICKLE},
    {BYTES("<!DOCTYPE html>"), KEN_CONTENT_HTML},
    {BYTES("\n <html>"), KEN_CONTENT_HTML},
    {BYTES("\xef\xbb\xbf<html>"), KEN_CONTENT_HTML},
    {BYTES("<"), KEN_CONTENT_HTML},
    {BYTES(""), KEN_CONTENT_UNKNOWN},
    {BYTES("PK"), KEN_CONTENT_UNKNOWN},
    {BYTES("\x80"), KEN_CONTENT_UNKNOWN},
    {BYTES("\x80\x06x"), KEN_CONTENT_UNKNOWN},
    {BYTES("GGUF\3\0\0\0\0\0\0\0"), KEN_CONTENT_UNKNOWN},
    {BYTES("\x02\0\0\0\0\0\0\0"), KEN_CONTENT_UNKNOWN},
    {BYTES("[1,2,3,4,5]"), KEN_CONTENT_UNKNOWN},
    {BYTES("version https://git-lfs.github.com/spec/v1\n"), KEN_CONTENT_LFS_POINTER},
};

START_TEST(content_is_told_from_first_bytes)
{
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++)
        ck_assert_msg(ken_content_of((const unsigned char *)contents[i].bytes, contents[i].length) == contents[i].content, "%zu", i);
}
END_TEST

#define TENSORS "\x02\0\0\0\0\0\0\0{}"
#define INDEX "{\"weight_map\":{}}"
#define ZIP "PK\3\4\0\0\x08\x08\0\0"
#define PICKLE "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."

static const struct {
    const char *bytes;
    size_t length;
    int code;
    const char *message;
} single[] = {
    {BYTES(TENSORS), KEN_OK, ""},
    {BYTES(INDEX), KEN_OK, ""},
    {BYTES(ZIP), KEN_OK, ""},
    {BYTES(PICKLE), KEN_EUNSUPPORTED,
     "model.safetensors: a torch file in the pickle format of before PyTorch 1.6: save it again with a newer one"},
    {BYTES("<html>"), KEN_EBAD_CHECKPOINT, "model.safetensors: this is an HTML page, not a checkpoint"},
    {BYTES(""), KEN_EBAD_CHECKPOINT, "model.safetensors: the file is empty"},
    {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:"), KEN_EBAD_CHECKPOINT,
     "model.safetensors: this is a Git LFS pointer, not the file it stands for"},
    {BYTES("abc"), KEN_EBAD_CHECKPOINT, "model.safetensors: 3 bytes are too few for a safetensors file"},
    {BYTES("GGUF\3\0\0\0\1\0"), KEN_EBAD_CHECKPOINT,
     "model.safetensors: neither a safetensors file, a torch file nor an index: it begins with \"GGUF\\x03\\x00\\x00\\x00\\x01\", and byte "
     "8 is not '{'"},
};

START_TEST(a_tar_archive_is_told_from_its_magic)
{
    unsigned char head[KEN_CONTENT_HEAD] = "sys_info";
    memcpy(head + 257, "ustar", 5);
    ck_assert_int_eq(ken_content_of(head, sizeof head), KEN_CONTENT_TORCH_TAR);
    ck_assert_int_eq(ken_content_of(head, 262), KEN_CONTENT_TORCH_TAR);
    ck_assert_int_eq(ken_content_of(head, 261), KEN_CONTENT_UNKNOWN);
}
END_TEST

START_TEST(a_file_is_what_its_content_says)
{
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        const struct memory_file file = {"x.bin", single[i].bytes, single[i].length};
        struct memory_opener opener = make_opener(&file, 1, false);
        struct ken_source *source = NULL;
        enum ken_content content = KEN_CONTENT_UNKNOWN;
        char label[KEN_LABEL_SIZE];
        struct ken_error error = {0};
        ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), single[i].code);
        ck_assert_str_eq(error.message, single[i].message);
        ck_assert_int_eq(opener.open_sources, !single[i].code);
        ken_source_close(&source);
        ck_assert_int_eq(opener.open_sources, 0);
    }
}
END_TEST

START_TEST(the_label_of_the_location_is_in_messages)
{
    const struct memory_file file = {"x", "<", 1};
    struct memory_opener opener = make_opener(&file, 1, false);
    struct ken_source *source = NULL;
    enum ken_content content;
    char label[KEN_LABEL_SIZE];
    struct ken_error error = {0};
    opener.opener.label = "a\nb.safetensors";
    ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "a\\x0ab.safetensors: this is an HTML page, not a checkpoint");
}
END_TEST

static int locate_in(const struct memory_file *files, size_t count, char label[KEN_LABEL_SIZE], struct ken_error *error)
{
    struct memory_opener opener = make_opener(files, count, true);
    struct ken_source *source = NULL;
    enum ken_content content;
    int code = ken_locate(&opener.opener, &source, &content, label, error);
    ken_source_close(&source);
    ck_assert_int_eq(opener.open_sources, 0);
    return code;
}

START_TEST(a_folder_is_probed_in_order)
{
    static const struct memory_file files[] = {
        {"pytorch_model.bin.index.json", BYTES(INDEX)},
        {"pytorch_model.bin", BYTES(ZIP)},
        {"model.safetensors.index.json", BYTES(INDEX)},
        {"model.safetensors", BYTES(TENSORS)},
    };
    char label[KEN_LABEL_SIZE];
    struct ken_error error = {0};
    ck_assert_int_eq(locate_in(files, 4, label, &error), KEN_OK);
    ck_assert_str_eq(label, "model.safetensors");
    ck_assert_int_eq(locate_in(files, 3, label, &error), KEN_OK);
    ck_assert_str_eq(label, "model.safetensors.index.json");
    ck_assert_int_eq(locate_in(files, 2, label, &error), KEN_OK);
    ck_assert_str_eq(label, "pytorch_model.bin");
    ck_assert_int_eq(locate_in(files, 1, label, &error), KEN_OK);
    ck_assert_str_eq(label, "pytorch_model.bin.index.json");
    ck_assert_int_eq(locate_in(files, 0, label, &error), KEN_ENOT_FOUND);
    ck_assert_str_eq(error.message, "no checkpoint here: neither model.safetensors nor model.safetensors.index.json, pytorch_model.bin or "
                                    "pytorch_model.bin.index.json");
}
END_TEST

START_TEST(the_label_of_a_folder_is_in_messages)
{
    static const struct memory_file file = {"pytorch_model.bin", BYTES(PICKLE)};
    static const struct {
        const char *label, *shown;
    } labels[] = {{"tuned", "tuned/"}, {"a\n/", "a\\x0a/"}};
    struct ken_source *source = NULL;
    enum ken_content content;
    char label[KEN_LABEL_SIZE], expected[KEN_MESSAGE_MAX], longest[2 * KEN_LABEL_SIZE] = "";
    struct ken_error error = {0};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        struct memory_opener opener = make_opener(&file, 1, true);
        opener.opener.label = labels[i].label;
        ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), KEN_EUNSUPPORTED);
        snprintf(expected, sizeof expected,
                 "%spytorch_model.bin: a torch file in the pickle format of before PyTorch 1.6: save it again with a newer one",
                 labels[i].shown);
        ck_assert_str_eq(error.message, expected);
    }
    memset(longest, 'x', sizeof longest - 1);
    struct memory_opener opener = make_opener(&file, 1, true);
    opener.opener.label = longest;
    ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), KEN_EUNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.message, "xxx.../pytorch_model.bin: a torch file"));
    opener = make_opener(NULL, 0, true);
    opener.opener.label = "tuned";
    ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), KEN_ENOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "no checkpoint in tuned: neither model.safetensors nor"));
}
END_TEST

START_TEST(other_failures_end_the_probing)
{
    struct memory_opener opener = make_opener(NULL, 0, true);
    struct ken_source *source = NULL;
    enum ken_content content;
    char label[KEN_LABEL_SIZE];
    struct ken_error error = {0};
    opener.fail_open = KEN_EFETCH;
    ck_assert_int_eq(ken_locate(&opener.opener, &source, &content, label, &error), KEN_EFETCH);
    ck_assert_str_eq(error.message, "opening failed on purpose");
    ck_assert_ptr_null(source);
}
END_TEST

UNIT_MAIN("locate", content_is_told_from_first_bytes, a_tar_archive_is_told_from_its_magic, a_file_is_what_its_content_says,
          the_label_of_the_location_is_in_messages, a_folder_is_probed_in_order, the_label_of_a_folder_is_in_messages,
          other_failures_end_the_probing)
