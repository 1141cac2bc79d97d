/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>

/* A folder with a file "f" of ten bytes in it, opened. */
struct opened {
    struct unit_folder folder;
    char path[PATH_MAX];
    struct ken_source *source;
};

static void open_file(struct opened *opened)
{
    unit_folder_make(&opened->folder);
    unit_path(opened->path, &opened->folder, "f");
    unit_write(opened->path, "0123456789");
    ck_assert_int_eq(ken_file_source_open(&opened->source, opened->path, NULL), KEN_OK);
}

static void close_file(struct opened *opened)
{
    ken_source_close(&opened->source);
    ck_assert_ptr_null(opened->source);
    ken_source_close(&opened->source);
    unit_folder_remove(&opened->folder);
}

static void assert_changed(struct opened *opened, const char *reason)
{
    struct ken_error error = {0};
    char wanted[PATH_MAX + 100];
    snprintf(wanted, sizeof wanted, "\"%s\" changed while it was read: %s", opened->path, reason);
    ck_assert_int_eq(ken_source_check(opened->source, &error), KEN_EFETCH);
    ck_assert_str_eq(error.message, wanted);
    close_file(opened);
}

START_TEST(a_file_is_read_anywhere)
{
    struct opened opened;
    char bytes[11] = {0};
    unsigned char sha256[32];
    open_file(&opened);
    ck_assert_uint_eq(opened.source->size, 10);
    ck_assert_int_eq(ken_source_wait(opened.source, 0, 10, NULL), KEN_OK);
    ck_assert_int_eq(ken_source_read(opened.source, 0, bytes, 10, NULL), KEN_OK);
    ck_assert_str_eq(bytes, "0123456789");
    ck_assert_int_eq(ken_source_read(opened.source, 7, bytes, 3, NULL), KEN_OK);
    ck_assert_mem_eq(bytes, "789", 3);
    ck_assert_int_eq(ken_source_read(opened.source, 10, bytes, 0, NULL), KEN_OK);
    ck_assert_int_eq(ken_source_digest(opened.source, sha256, NULL), KEN_ENOT_FOUND);
    ck_assert_int_eq(ken_source_check(opened.source, NULL), KEN_OK);
    close_file(&opened);
}
END_TEST

START_TEST(a_truncated_file_is_an_error)
{
    struct opened opened;
    struct ken_error error = {0};
    char bytes[10];
    open_file(&opened);
    ck_assert_int_eq(truncate(opened.path, 5), 0);
    ck_assert_int_eq(ken_source_read(opened.source, 0, bytes, 10, &error), KEN_EFETCH);
    ck_assert_ptr_nonnull(strstr(error.message, "f\" became shorter while it was read"));
    assert_changed(&opened, "its size differs");
}
END_TEST

START_TEST(a_grown_file_is_found)
{
    struct opened opened;
    open_file(&opened);
    ck_assert_int_eq(truncate(opened.path, 11), 0);
    assert_changed(&opened, "its size differs");
}
END_TEST

START_TEST(a_rewritten_file_is_found)
{
    struct opened opened;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1, .tv_nsec = 1}};
    open_file(&opened);
    ck_assert_int_eq(utimensat(AT_FDCWD, opened.path, times, 0), 0);
    assert_changed(&opened, "its time of modification differs");
}
END_TEST

START_TEST(a_replaced_file_is_found)
{
    struct opened opened;
    char other[PATH_MAX];
    open_file(&opened);
    unit_write(unit_path(other, &opened.folder, "g"), "0123456789");
    ck_assert_int_eq(rename(other, opened.path), 0);
    assert_changed(&opened, "it is another file now");
}
END_TEST

START_TEST(a_removed_file_is_found)
{
    struct opened opened;
    open_file(&opened);
    ck_assert_int_eq(unlink(opened.path), 0);
    assert_changed(&opened, "it is gone");
}
END_TEST

START_TEST(only_regular_files_are_opened)
{
    struct unit_folder folder;
    struct ken_source *source = NULL;
    struct ken_error error = {0};
    char path[PATH_MAX], wanted[PATH_MAX + 100];
    unit_folder_make(&folder);
    ck_assert_int_eq(ken_file_source_open(&source, unit_path(path, &folder, "none"), &error), KEN_ENOT_FOUND);
    snprintf(wanted, sizeof wanted, "\"%s\" does not exist", path);
    ck_assert_str_eq(error.message, wanted);
    ck_assert_int_eq(ken_file_source_open(&source, folder.path, &error), KEN_EIO);
    snprintf(wanted, sizeof wanted, "\"%s\" is not a regular file", folder.path);
    ck_assert_str_eq(error.message, wanted);
    ck_assert_int_eq(mkfifo(unit_path(path, &folder, "pipe"), 0600), 0);
    ck_assert_int_eq(ken_file_source_open(&source, path, &error), KEN_EIO); /* and does not wait for a writer */
    ck_assert_int_eq(ken_file_source_open(&source, "/dev/null", &error), KEN_EIO);
    ck_assert_str_eq(error.message, "\"/dev/null\" is not a regular file");
    ck_assert_int_eq(symlink("loop", unit_path(path, &folder, "loop")), 0);
    ck_assert_int_eq(ken_file_source_open(&source, path, &error), KEN_EIO);
    ck_assert_ptr_nonnull(strstr(error.message, "Too many levels of symbolic links"));
    ck_assert_ptr_null(source);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(symbolic_links_are_followed)
{
    struct opened opened;
    struct ken_source *source = NULL;
    char link[PATH_MAX];
    open_file(&opened);
    ck_assert_int_eq(symlink("f", unit_path(link, &opened.folder, "link")), 0);
    ck_assert_int_eq(ken_file_source_open(&source, link, NULL), KEN_OK);
    ck_assert_int_eq(ken_source_check(source, NULL), KEN_OK);
    ken_source_close(&source);
    close_file(&opened);
}
END_TEST

START_TEST(descriptors_do_not_pass_to_programs)
{
    struct opened opened;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    open_file(&opened);
    ck_assert_int_eq(fcntl(next, F_GETFD), FD_CLOEXEC);
    close_file(&opened);
    ck_assert_int_eq(fcntl(next, F_GETFD), -1);
}
END_TEST

UNIT_MAIN("source", a_file_is_read_anywhere, a_truncated_file_is_an_error, a_grown_file_is_found, a_rewritten_file_is_found,
          a_replaced_file_is_found, a_removed_file_is_found, only_regular_files_are_opened, symbolic_links_are_followed,
          descriptors_do_not_pass_to_programs)
