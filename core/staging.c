/* SPDX-License-Identifier: Apache-2.0 */
#include "staging.h"

#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TO_TRY = 100, WALK_DESCRIPTORS = 16 };

struct ken_staging {
    char *target, *path;
    bool is_folder;
};

/* The path that target means, without slashes at its end; what is there already by its true name, so that links stay. malloc'ed, or NULL
 * with errno. */
static char *resolve(const char *target)
{
    size_t length = strlen(target);
    char *path = realpath(target, NULL);
    if (path || errno != ENOENT) return path;
    while (length > 1 && target[length - 1] == '/') length--;
    return strndup(target, length);
}

static int no_memory(struct ken_error *error)
{
    return ken_fail(error, KEN_ENOMEM, "out of memory");
}

static void free_staging(struct ken_staging **staging)
{
    free((*staging)->target);
    free((*staging)->path);
    free(*staging);
    *staging = NULL;
}

/* Makes what the path names, which must not be there. 0, or an errno. */
static int make(const char *path, bool is_folder)
{
    if (is_folder) return mkdir(path, 0777) == 0 ? 0 : errno;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return errno;
    close(file);
    return 0;
}

/* Makes the place to write to, under the first of its names that is free. */
static int make_place(struct ken_staging *staging, struct ken_error *error)
{
    int errnum = EEXIST;
    for (unsigned i = 0; i < NAMES_TO_TRY && errnum == EEXIST; i++) {
        free(staging->path);
        if (asprintf(&staging->path, "%s.%ld-%u.part", staging->target, (long)getpid(), i) < 0) {
            staging->path = NULL;
            return no_memory(error);
        }
        errnum = make(staging->path, staging->is_folder);
    }
    return errnum ? ken_fail_errno(error, errnum, "cannot write %s", staging->path) : KEN_OK;
}

int ken_staging_open(struct ken_staging **staging, const char *target, bool is_folder, struct ken_error *error)
{
    struct stat state;
    int code = KEN_OK;
    *staging = NULL;
    if (!*target) return ken_fail(error, KEN_EINVALID, "an empty path");
    struct ken_staging *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory(error);
    opened->is_folder = is_folder;
    opened->target = resolve(target);
    if (!opened->target)
        code = ken_fail_errno(error, errno, "cannot write %s", target);
    else if (stat(opened->target, &state) == 0 && S_ISDIR(state.st_mode) != is_folder)
        code = ken_fail(error, KEN_EINVALID, "%s is %s folder, and %s is to be written", opened->target, is_folder ? "no" : "a",
                        is_folder ? "a folder" : "a file");
    if (!code) code = make_place(opened, error);
    if (code)
        free_staging(&opened);
    else
        *staging = opened;
    return code;
}

const char *ken_staging_path(const struct ken_staging *staging)
{
    return staging->path;
}

static int sync_one(const char *path, const struct stat *state, int type, struct FTW *place)
{
    (void)state, (void)place;
    return type == FTW_F || type == FTW_DP ? ken_sync_path(path) : 0;
}

void ken_staging_abandon(struct ken_staging **staging)
{
    if (!*staging) return;
    ken_tree_remove((*staging)->path);
    free_staging(staging);
}

static int move_into(const char *from, const char *to);

/* Moves one entry of a folder. 0, or an errno. */
static int move_entry(const char *from, const char *to, const char *name)
{
    char *source = NULL, *target = NULL;
    struct stat state;
    int errnum = ENOMEM;
    if (asprintf(&source, "%s/%s", from, name) < 0) goto out;
    if (asprintf(&target, "%s/%s", to, name) < 0) goto free_source;
    bool both = stat(source, &state) == 0 && S_ISDIR(state.st_mode) && stat(target, &state) == 0 && S_ISDIR(state.st_mode);
    errnum = both ? move_into(source, target) : rename(source, target) == 0 ? 0 : errno;
    free(target);
free_source:
    free(source);
out:
    return errnum;
}

/* Moves all entries of a folder durably into another one, and removes it. 0, or an errno. */
static int move_into(const char *from, const char *to)
{
    struct dirent **names = NULL;
    int count = scandir(from, &names, NULL, alphasort), errnum = count < 0 ? errno : 0;
    for (int i = 0; i < count; i++) {
        bool dots = strcmp(names[i]->d_name, ".") == 0 || strcmp(names[i]->d_name, "..") == 0;
        if (!errnum && !dots) errnum = move_entry(from, to, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (!errnum) errnum = ken_sync_path(to);
    return errnum || rmdir(from) == 0 ? errnum : errno;
}

/* Puts what is staged in the place of target. 0, or an errno. */
static int replace(const struct ken_staging *staging)
{
    struct stat target, here;
    /* A working directory that is replaced would leave whoever is in it nowhere. */
    bool is_here = staging->is_folder && stat(staging->target, &target) == 0 && stat(".", &here) == 0 && target.st_dev == here.st_dev &&
                   target.st_ino == here.st_ino;
    if (is_here) return move_into(staging->path, staging->target);
    if (rename(staging->path, staging->target) == 0) return 0;
    if (!staging->is_folder || (errno != ENOTEMPTY && errno != EEXIST)) return errno;
    return move_into(staging->path, staging->target);
}

int ken_staging_commit(struct ken_staging **staging, struct ken_error *error)
{
    struct ken_staging *this = *staging;
    int errnum = nftw(this->path, sync_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    if (errnum < 0) errnum = errno;
    if (!errnum) errnum = replace(this);
    if (!errnum) errnum = ken_sync_parent(this->target);
    if (errnum) {
        int code = ken_fail_errno(error, errnum, "cannot write %s", this->target);
        ken_staging_abandon(staging);
        return code;
    }
    free_staging(staging);
    return KEN_OK;
}
