/* SPDX-License-Identifier: Apache-2.0 */
/* Where a path leads, and what kind of file system it lies on, as far as a job store cares. */
#ifndef KENCTL_FILE_SYSTEM_H
#define KENCTL_FILE_SYSTEM_H

#include <limits.h>

enum kenctl_file_system_kind {
    KENCTL_LOCAL,    /* or not known as anything else */
    KENCTL_FUSE,     /* some program's: may be either */
    KENCTL_VOLATILE, /* memory: gone after a restart */
    KENCTL_NETWORK   /* SQLite's shared memory and locks do not work there */
};

struct kenctl_file_system {
    const char *name;
    enum kenctl_file_system_kind kind;
};

/* By f_type of statfs(2). Never NULL. */
const struct kenctl_file_system *kenctl_file_system_of(long type);

/* The path itself, or the nearest folder above it that is there. */
void kenctl_nearest(const char *path, char found[PATH_MAX]);

#endif
