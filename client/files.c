/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *kenctl_join(const char *folder, const char *name)
{
    char *path = NULL;
    size_t length = strlen(folder);
    if (asprintf(&path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name) < 0) return NULL;
    return path;
}

bool kenctl_is_safe_name(const char *name)
{
    for (const char *part = name;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f) return false;
        part += length;
        if (!*part) return true;
    }
}

int kenctl_make_parents(const char *path, struct ken_error *error)
{
    char *copy = strdup(path);
    int code = copy ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory");
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && !code; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) code = ken_fail_errno(error, errno, "cannot make the folder %s", copy);
        *slash = '/';
    }
    free(copy);
    return code;
}

int kenctl_file_sha256(const char *path, unsigned char sha256[32], struct ken_error *error)
{
    struct stat state;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &state) != 0) {
        int code = ken_fail_errno(error, errno, "cannot read %s", path);
        if (file >= 0) close(file);
        return code;
    }
    int code = ken_file_digest(file, (uint64_t)state.st_size, path, NULL, NULL, sha256, error);
    close(file);
    return code;
}

bool kenctl_folder_is_filled(const char *path)
{
    DIR *folder = opendir(path);
    bool filled = false;
    struct dirent *entry;
    while (folder && !filled && (entry = readdir(folder))) filled = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (folder) closedir(folder);
    return filled;
}
