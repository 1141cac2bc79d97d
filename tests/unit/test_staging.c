/* SPDX-License-Identifier: Apache-2.0 */
#include "make_checkpoint.h"
#include "staging.h"
#include "unit.h"
#include "unit_folder.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static struct unit_folder place;
static char *target; /* place/out */

static void begin(void)
{
    unit_folder_make(&place);
    target = unit_join(place.path, "out");
}

static void end(void)
{
    free(target);
    unit_folder_remove(&place);
}

/* Names in a folder, sorted, each followed by a space. */
static void check_names(const char *folder, const char *wanted)
{
    struct dirent **names;
    char found[512] = "";
    int count = scandir(folder, &names, NULL, alphasort);
    ck_assert_int_ge(count, 0);
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            strcat(found, names[i]->d_name);
            strcat(found, " ");
        }
        free(names[i]);
    }
    free(names);
    ck_assert_str_eq(found, wanted);
}

static void check_text(const char *folder, const char *name, const char *wanted)
{
    struct made_file file = read_file(folder, name);
    ck_assert_uint_eq(file.length, strlen(wanted));
    ck_assert_mem_eq(file.bytes, wanted, file.length);
    free(file.bytes);
}

/* ---- what is synced: the call below is the program's own, in the place of the C library's */

enum { MOST_SYNCED = 32 };
static ino_t synced[MOST_SYNCED];
static size_t synced_count;

int fsync(int file)
{
    struct stat status;
    ck_assert_int_eq(fstat(file, &status), 0);
    ck_assert_uint_lt(synced_count, MOST_SYNCED);
    synced[synced_count++] = status.st_ino;
    return 0;
}

static bool was_synced(const char *path)
{
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    for (size_t i = 0; i < synced_count; i++)
        if (synced[i] == status.st_ino) return true;
    return false;
}

/* ---- */

/* Stages a folder with the files a and sub/b. */
static struct ken_staging *stage(const char *path)
{
    struct ken_staging *staging = NULL;
    struct ken_error error = {0};
    ck_assert_msg(ken_staging_open(&staging, path, true, &error) == KEN_OK, "%s", error.message);
    char *sub = unit_join(ken_staging_path(staging), "sub");
    write_file(ken_staging_path(staging), "a", "new", 3);
    ck_assert_int_eq(mkdir(sub, 0777), 0);
    write_file(sub, "b", "new", 3);
    free(sub);
    return staging;
}

static void commit(struct ken_staging *staging)
{
    struct ken_error error = {0};
    ck_assert_msg(ken_staging_commit(&staging, &error) == KEN_OK, "%s", error.message);
    ck_assert_ptr_null(staging);
}

START_TEST(a_folder_comes_into_sight_whole)
{
    begin();
    struct ken_staging *staging = stage(target);
    ck_assert_int_ne(access(target, F_OK), 0);
    commit(staging);
    check_names(place.path, "out ");
    check_names(target, "a sub ");
    end();
}
END_TEST

START_TEST(an_abandoned_one_leaves_nothing)
{
    begin();
    struct ken_staging *staging = stage(target);
    ken_staging_abandon(&staging);
    ck_assert_ptr_null(staging);
    ken_staging_abandon(&staging);
    check_names(place.path, "");
    end();
}
END_TEST

START_TEST(a_filled_folder_keeps_what_is_not_replaced)
{
    begin();
    commit(stage(target));
    char *sub = unit_join(target, "sub");
    write_file(target, "a", "old", 3);
    write_file(target, "mine", "old", 3);
    write_file(sub, "mine", "old", 3);
    char *with_slashes = unit_join(target, "//");
    synced_count = 0;
    commit(stage(with_slashes));
    ck_assert(was_synced(target) && was_synced(sub) && was_synced(place.path)); /* the new names last */
    check_names(place.path, "out ");
    check_names(target, "a mine sub ");
    check_names(sub, "b mine ");
    check_text(target, "a", "new");
    check_text(target, "mine", "old");
    free(with_slashes);
    free(sub);
    end();
}
END_TEST

START_TEST(the_working_directory_stays_itself)
{
    struct stat before, after;
    begin();
    ck_assert_int_eq(mkdir(target, 0777), 0);
    ck_assert_int_eq(chdir(target), 0);
    ck_assert_int_eq(stat(".", &before), 0);
    commit(stage("."));
    ck_assert_int_eq(stat(target, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    check_names(".", "a sub ");
    check_names(place.path, "out ");
    ck_assert_int_eq(chdir("/"), 0);
    end();
}
END_TEST

START_TEST(links_are_followed)
{
    begin();
    char *link = unit_join(place.path, "link");
    ck_assert_int_eq(mkdir(target, 0777), 0);
    ck_assert_int_eq(symlink("out", link), 0);
    commit(stage(link));
    check_names(target, "a sub ");
    check_names(place.path, "link out ");
    struct stat state;
    ck_assert_int_eq(lstat(link, &state), 0);
    ck_assert(S_ISLNK(state.st_mode));
    free(link);
    end();
}
END_TEST

START_TEST(a_file_replaces_a_file_and_nothing_else)
{
    struct ken_staging *staging = NULL;
    struct ken_error error = {0};
    begin();
    write_file(place.path, "out", "old", 3);
    ck_assert_int_eq(ken_staging_open(&staging, target, true, &error), KEN_EINVALID);
    ck_assert_msg(strstr(error.message, "is no folder, and a folder is to be written") != NULL, "%s", error.message);
    ck_assert_int_eq(ken_staging_open(&staging, target, false, &error), KEN_OK);
    unit_write(ken_staging_path(staging), "new");
    check_text(place.path, "out", "old");
    commit(staging);
    check_text(place.path, "out", "new");
    check_names(place.path, "out ");
    ck_assert_int_eq(ken_staging_open(&staging, place.path, false, &error), KEN_EINVALID);
    ck_assert_int_eq(ken_staging_open(&staging, "", false, &error), KEN_EINVALID);
    char *none = unit_join(target, "below/a/file");
    ck_assert_int_eq(ken_staging_open(&staging, none, true, &error), KEN_EIO);
    ck_assert_ptr_null(staging);
    free(none);
    end();
}
END_TEST

UNIT_MAIN("staging", a_folder_comes_into_sight_whole, an_abandoned_one_leaves_nothing, a_filled_folder_keeps_what_is_not_replaced,
          the_working_directory_stays_itself, links_are_followed, a_file_replaces_a_file_and_nothing_else)
