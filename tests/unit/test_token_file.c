/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"
#include "token_file.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#define COLUMNS " nlp read never 000102030405060708090a0b0c0d0e0f 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbb"
#define C "cccccccccccccccc"

static struct unit_folder folder;
static char path[PATH_MAX];

static void setup(void)
{
    unit_folder_make(&folder);
    unit_path(path, &folder, "tokens");
}

static const char *text_of(char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    return text;
}

START_TEST(tokens_are_found_by_id)
{
    struct proto_token_list list;
    setup();
    unit_write(path, "# comment\n\n  \t# another\n" C COLUMNS "\r\n");
    ck_assert_int_eq(proto_token_list_read(&list, path, NULL), KEN_EINVALID); /* a file of another system: the hash has one byte more */
    unit_write(path, "# comment\n\n  \t# another\n" C COLUMNS "\n" A COLUMNS "\n\t" B COLUMNS);
    ck_assert_int_eq(proto_token_list_read(&list, path, NULL), KEN_OK);
    ck_assert_uint_eq(list.count, 3);
    ck_assert_str_eq(proto_token_list_find(&list, A)->id, A);
    ck_assert_str_eq(proto_token_list_find(&list, B)->id, B);
    ck_assert_str_eq(proto_token_list_find(&list, C)->id, C);
    ck_assert_ptr_null(proto_token_list_find(&list, "dddddddddddddddd"));
    ck_assert_ptr_null(proto_token_list_find(&list, ""));
    ck_assert_ptr_null(proto_token_list_find(&list, A "a"));
    proto_token_list_clear(&list);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(an_empty_file_has_no_tokens)
{
    struct proto_token_list list;
    setup();
    unit_write(path, "");
    ck_assert_int_eq(proto_token_list_read(&list, path, NULL), KEN_OK);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_ptr_null(proto_token_list_find(&list, A));
    proto_token_list_clear(&list);
    unit_folder_remove(&folder);
}
END_TEST

static void expect_failure(int code, const char *reason)
{
    struct proto_token_list list;
    struct ken_error error = {0};
    ck_assert_int_eq(proto_token_list_read(&list, path, &error), code);
    ck_assert_msg(strstr(error.message, reason), "%s", error.message);
    ck_assert_ptr_null(list.item);
    ck_assert_uint_eq(list.count, 0);
}

START_TEST(bad_files_are_told_with_their_line)
{
    setup();
    expect_failure(KEN_ENOT_FOUND, "does not exist");
    unit_write(path, "# x\n" A COLUMNS "\n\nkend_secret\n");
    expect_failure(KEN_EINVALID, "tokens:4: expected ID OWNER");
    unit_write(path, A COLUMNS "\n" B COLUMNS "\n" A COLUMNS "\n");
    expect_failure(KEN_EINVALID, "the id " A " is there twice");
    char long_line[PROTO_TOKEN_LINE + 1];
    memset(long_line, 'a', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    unit_write(path, long_line);
    expect_failure(KEN_EINVALID, "tokens:1: the line is too long");
    int file = open(path, O_WRONLY | O_TRUNC);
    ck_assert_int_eq((int)write(file, "\n" A "\0x\n", 20), 20);
    close(file);
    expect_failure(KEN_EINVALID, "tokens:2: a NUL byte");
    ck_assert_int_eq(truncate(path, PROTO_TOKEN_FILE_MAX + 1), 0);
    expect_failure(KEN_EINVALID, "larger than");
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_failure(KEN_EINVALID, "not a file"); /* and nothing waits for a writer */
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_failure(KEN_EINVALID, "not a file");
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(tokens_are_added_and_removed)
{
    struct proto_token token = {.owner = "nlp", .scopes = PROTO_SCOPE_READ}, second = token;
    char secret[PROTO_TOKEN_SIZE], line[PROTO_TOKEN_LINE], second_line[PROTO_TOKEN_LINE], text[4096], wanted[4096];
    struct ken_error error = {0};
    struct stat state;
    setup();
    ck_assert_int_eq(proto_token_make(&token, secret, NULL), KEN_OK);
    ck_assert_int_eq(proto_token_make(&second, secret, NULL), KEN_OK);
    ck_assert_int_eq(proto_token_file_remove(path, token.id, &error), KEN_ENOT_FOUND);
    ck_assert_int_eq(proto_token_file_add(path, &token, &error), KEN_OK);
    ck_assert_int_eq(stat(path, &state), 0);
    ck_assert_uint_eq(state.st_mode & 07777, 0600);
    ck_assert_int_eq(proto_token_format(line, &token, NULL), KEN_OK);
    ck_assert_ptr_nonnull(strstr(text_of(text, sizeof text), line));
    unit_write(path, "# mine"); /* without a newline; what a person wrote stays, and so does the mode */
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert_int_eq(proto_token_file_add(path, &token, &error), KEN_OK);
    ck_assert_int_eq(proto_token_file_add(path, &second, &error), KEN_OK);
    ck_assert_int_eq(proto_token_format(second_line, &second, NULL), KEN_OK);
    snprintf(wanted, sizeof wanted, "# mine\n%s%s", line, second_line);
    ck_assert_str_eq(text_of(text, sizeof text), wanted);
    ck_assert_int_eq(stat(path, &state), 0);
    ck_assert_uint_eq(state.st_mode & 07777, 0640);
    ck_assert_int_eq(proto_token_file_remove(path, token.id, &error), KEN_OK);
    snprintf(wanted, sizeof wanted, "# mine\n%s", second_line);
    ck_assert_str_eq(text_of(text, sizeof text), wanted);
    ck_assert_int_eq(proto_token_file_remove(path, token.id, &error), KEN_ENOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, token.id));
    ck_assert_int_eq(proto_token_file_remove(path, "", &error), KEN_ENOT_FOUND);
    ck_assert_str_eq(text_of(text, sizeof text), wanted);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_broken_file_is_not_changed)
{
    struct proto_token token = {.owner = "nlp", .scopes = PROTO_SCOPE_READ};
    char secret[PROTO_TOKEN_SIZE], text[4096];
    setup();
    ck_assert_int_eq(proto_token_make(&token, secret, NULL), KEN_OK);
    unit_write(path, "broken\n");
    ck_assert_int_eq(proto_token_file_add(path, &token, NULL), KEN_EINVALID);
    ck_assert_int_eq(proto_token_file_remove(path, token.id, NULL), KEN_EINVALID);
    ck_assert_str_eq(text_of(text, sizeof text), "broken\n");
    ck_assert_int_eq(proto_token_file_add("/nonexistent/folder/tokens", &token, NULL), KEN_EIO);
    unlink(path);
    token.expires_at = INT64_MAX; /* nor is one made that would say never */
    ck_assert_int_eq(proto_token_file_add(path, &token, NULL), KEN_EINVALID);
    ck_assert_int_eq(access(path, F_OK), -1);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_link_is_not_replaced)
{
    struct proto_token token = {.owner = "nlp", .scopes = PROTO_SCOPE_READ};
    char secret[PROTO_TOKEN_SIZE], target[PATH_MAX], text[4096];
    struct ken_error error = {0};
    struct stat state;
    setup();
    unit_write(unit_path(target, &folder, "target"), A COLUMNS "\n");
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(proto_token_make(&token, secret, NULL), KEN_OK);
    ck_assert_int_eq(proto_token_file_add(path, &token, &error), KEN_EINVALID);
    ck_assert_msg(strstr(error.message, "tokens is a link"), "%s", error.message);
    ck_assert_int_eq(proto_token_file_remove(path, A, NULL), KEN_EINVALID);
    ck_assert_int_eq(lstat(path, &state), 0);
    ck_assert(S_ISLNK(state.st_mode));
    ck_assert_str_eq(text_of(text, sizeof text), A COLUMNS "\n");
    ck_assert_int_eq(ken_file_replace(folder.path, "", 0, NULL), KEN_EINVALID); /* a folder */
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(what_would_run_as_its_owner_is_not_kept)
{
    struct stat state;
    setup();
    unit_write(path, A COLUMNS "\n");
    ck_assert_int_eq(chmod(path, 07640), 0);
    ck_assert_int_eq(proto_token_file_remove(path, A, NULL), KEN_OK);
    ck_assert_int_eq(stat(path, &state), 0);
    ck_assert_uint_eq(state.st_mode & 07777, 0640);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_lock_of_others_is_not_waited_for_without_end)
{
    struct ken_error error = {0};
    char text[4096];
    setup();
    unit_write(path, A COLUMNS "\n");
    int other = open(folder.path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(flock(other, LOCK_SH), 0);
    ck_assert_int_eq(proto_token_file_remove(path, A, &error), KEN_EBUSY);
    ck_assert_msg(strstr(error.message, "locked by another process"), "%s", error.message);
    ck_assert_str_eq(text_of(text, sizeof text), A COLUMNS "\n");
    close(other);
    ck_assert_int_eq(proto_token_file_remove(path, A, NULL), KEN_OK);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(what_root_makes_is_the_folders_owners)
{
    struct proto_token token = {.owner = "nlp", .scopes = PROTO_SCOPE_READ};
    char secret[PROTO_TOKEN_SIZE];
    struct stat state;
    if (geteuid() != 0) return;
    setup();
    ck_assert_int_eq(chown(folder.path, 1234, 4321), 0);
    ck_assert_int_eq(proto_token_make(&token, secret, NULL), KEN_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(i ? proto_token_file_remove(path, token.id, NULL) : proto_token_file_add(path, &token, NULL), KEN_OK);
        ck_assert_int_eq(stat(path, &state), 0);
        ck_assert_uint_eq(state.st_uid, 1234);
        ck_assert_uint_eq(state.st_gid, 4321);
        ck_assert_uint_eq(state.st_mode & 07777, 0600);
    }
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(others_that_may_read_are_noticed)
{
    struct proto_token_list list;
    setup();
    unit_write(path, A COLUMNS "\n");
    for (mode_t mode = 0600; mode <= 0606; mode += 2) {
        ck_assert_int_eq(chmod(path, mode), 0);
        ck_assert_int_eq(proto_token_list_read(&list, path, NULL), KEN_OK);
        ck_assert_int_eq(list.exposed, mode != 0600);
        proto_token_list_clear(&list);
    }
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("token_file", tokens_are_found_by_id, an_empty_file_has_no_tokens, bad_files_are_told_with_their_line,
          tokens_are_added_and_removed, a_broken_file_is_not_changed, a_link_is_not_replaced, what_would_run_as_its_owner_is_not_kept,
          a_lock_of_others_is_not_waited_for_without_end, what_root_makes_is_the_folders_owners, others_that_may_read_are_noticed)
