/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/journal.h"

#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <string.h>

static struct unit_folder folder;
static int directory;
static const unsigned char plan[32] = "one plan", other[32] = "another";

static void setup(void)
{
    unit_folder_make(&folder);
    directory = open(folder.path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(directory, 0);
}

static void teardown(void)
{
    close(directory);
    unit_folder_remove(&folder);
}

/* Opens, appends entries with rows from..to, closes. */
static void append(bool keep, uint64_t from, uint64_t to)
{
    struct ken_journal *journal;
    ck_assert_int_eq(ken_journal_open(&journal, directory, plan, keep, NULL), 0);
    for (uint64_t rows = from; rows <= to; rows++) {
        struct ken_progress progress = {.tensor = 3, .rows = rows, .variants[1].record.difference = 0.1};
        ck_assert_int_eq(ken_journal_append(journal, &progress, NULL), 0);
    }
    ken_journal_close(&journal);
    ck_assert_ptr_null(journal);
}

static uint64_t last_rows(void)
{
    struct ken_progress progress;
    ck_assert(ken_journal_read(directory, plan, &progress));
    ck_assert_uint_eq(progress.tensor, 3);
    ck_assert_double_eq(progress.variants[1].record.difference, 0.1);
    return progress.rows;
}

static off_t size(void)
{
    struct stat status;
    ck_assert_int_eq(fstatat(directory, KEN_JOURNAL_NAME, &status, 0), 0);
    return status.st_size;
}

START_TEST(the_last_entry_counts)
{
    struct ken_progress progress;
    setup();
    ck_assert(!ken_journal_read(directory, plan, &progress));
    append(false, 1, 0);
    ck_assert(!ken_journal_read(directory, plan, &progress));
    append(true, 1, 3);
    ck_assert_uint_eq(last_rows(), 3);
    append(true, 8, 9);
    ck_assert_uint_eq(last_rows(), 9);
    ck_assert(!ken_journal_read(directory, other, &progress));
    append(false, 5, 5);
    ck_assert_uint_eq(last_rows(), 5);
    teardown();
}
END_TEST

/* Wherever a write is torn, the entry before counts, and appending goes on behind it. */
START_TEST(a_torn_entry_is_as_if_not_written)
{
    char path[PATH_MAX];
    setup();
    unit_path(path, &folder, KEN_JOURNAL_NAME);
    append(false, 1, 1);
    off_t one = size();
    append(true, 2, 2);
    off_t two = size();
    for (off_t cut = two - 1; cut > one; cut -= 97) {
        ck_assert_int_eq(truncate(path, cut), 0);
        ck_assert_uint_eq(last_rows(), 1);
        append(true, 2, 2);
        ck_assert_int_eq(size(), two);
        ck_assert_uint_eq(last_rows(), 2);
    }
    teardown();
}
END_TEST

START_TEST(a_changed_byte_ends_the_journal)
{
    char path[PATH_MAX], byte = 0x55;
    setup();
    unit_path(path, &folder, KEN_JOURNAL_NAME);
    append(false, 1, 1);
    off_t one = size();
    append(true, 2, 2);
    int file = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(file, &byte, 1, one + 20), 1);
    ck_assert_uint_eq(last_rows(), 1);
    ck_assert_int_eq(pwrite(file, &byte, 1, 2), 1);
    struct ken_progress progress;
    ck_assert(!ken_journal_read(directory, plan, &progress));
    close(file);
    teardown();
}
END_TEST

UNIT_MAIN("journal", the_last_entry_counts, a_torn_entry_is_as_if_not_written, a_changed_byte_ends_the_journal)
