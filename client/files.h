/* SPDX-License-Identifier: Apache-2.0 */
/* Folders and files that commands make. */
#ifndef KENCTL_FILES_H
#define KENCTL_FILES_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/* A malloc'ed "folder/name"; NULL if out of memory. */
char *kenctl_join(const char *folder, const char *name);
/* Whether name stays below the folder it is joined to: relative, no empty, "." or ".." part, no control character. */
bool kenctl_is_safe_name(const char *name);
/* Makes the folders in which path lies. */
int kenctl_make_parents(const char *path, struct ken_error *error);
/* SHA-256 of a file. KEN_EIO if it cannot be read. */
int kenctl_file_sha256(const char *path, unsigned char sha256[32], struct ken_error *error);
/* Whether a folder has something in it; false if there is no such folder. */
bool kenctl_folder_is_filled(const char *path);

#endif
