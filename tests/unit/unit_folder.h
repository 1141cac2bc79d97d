/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh temporary folder for a test, and small files in it. */
#ifndef KEN_TESTS_FOLDER_H
#define KEN_TESTS_FOLDER_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct unit_folder {
    char path[64];
};

static inline void unit_folder_make(struct unit_folder *folder)
{
    const char *root = getenv("TMPDIR");
    ck_assert_int_lt(snprintf(folder->path, sizeof folder->path, "%s/kend-test-XXXXXX", root && strlen(root) < 32 ? root : "/tmp"),
                     (int)sizeof folder->path);
    ck_assert_ptr_nonnull(mkdtemp(folder->path));
}

static inline int unit_folder_remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static inline void unit_folder_remove(struct unit_folder *folder)
{
    nftw(folder->path, unit_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* folder/rest into path [PATH_MAX]; returns path. */
static inline const char *unit_path(char path[PATH_MAX], const struct unit_folder *folder, const char *rest)
{
    ck_assert_int_lt(snprintf(path, PATH_MAX, "%s/%s", folder->path, rest), PATH_MAX);
    return path;
}

/* folder/name, malloc'ed. */
static inline char *unit_join(const char *folder, const char *name)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

/* A descriptor of folder/rest, for reading and writing, and its bytes. */
static inline int unit_open(const struct unit_folder *folder, const char *rest, uint64_t *bytes)
{
    char path[PATH_MAX];
    struct stat status;
    int file = open(unit_path(path, folder, rest), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(fstat(file, &status), 0);
    *bytes = (uint64_t)status.st_size;
    return file;
}

static inline void unit_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

#endif
