/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders, mostly by descriptor: whole reads and writes that end with an error instead of short, and syncing. */
#ifndef KEN_FOLDER_H
#define KEN_FOLDER_H

#include "digest.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { KEN_PATH_SIZE = 192 };

/* Has /dev/null stand in for those of standard input, output and error that came closed: else the first file opened would take such a
   place, and what is printed would go into it. Writing there fails as before. For the first line of main. 0, or an errno. */
int ken_standard_files(void);

/* As pread and pwrite, but go on until all is done. Returns bytes [length], fewer only where the file ends, or -1 with errno. */
ssize_t ken_pread(int file, void *bytes, size_t length, uint64_t offset);
ssize_t ken_pwrite(int file, const void *bytes, size_t length, uint64_t offset);

/* The folder that a path lies in, malloc'ed; NULL if out of memory. */
char *ken_parent(const char *path);
/* Syncs a file or a folder, where its file system can (0 where it cannot). 0, or an errno. */
int ken_sync_path(const char *path);
/* As above the folder that a path lies in, so that a new name lasts. */
int ken_sync_parent(const char *path);

/* Removes a file, or a folder with all that is in it; links are removed, not followed. Best effort. */
void ken_tree_remove(const char *path);

/* Makes the folder `path` and those above it where they are not there, for their owner alone. 0, or an errno. */
int ken_folders_make(const char *path);
/* Makes the folder `path` below directory if it is not there. */
int ken_folder_make(int directory, const char *path, struct ken_error *error);
/* Makes the names in the folder `path` durable. */
int ken_folder_sync(int directory, const char *path, struct ken_error *error);
/* Opens a file for reading and writing; fresh: it is made, or emptied; else it must be there (KEN_ENOT_FOUND). */
int ken_file_open(int *file, int directory, const char *path, bool fresh, struct ken_error *error);
/* Reserves room for all of a file, which gets that length (not 0); a file system that cannot gets a sparse file. */
int ken_file_reserve(int file, uint64_t length, const char *path, struct ken_error *error);
int ken_file_write(int file, uint64_t offset, const void *bytes, uint64_t length, const char *path, struct ken_error *error);
/* After writing front to back: lets the disk begin with every 16 MiB that are complete, so that little is left when the file is synced. */
void ken_file_begin_sync(int file, uint64_t offset, uint64_t length);
/* A file that is shorter is KEN_EIO. */
int ken_file_read(int file, uint64_t offset, void *bytes, uint64_t length, const char *path, struct ken_error *error);

/* Takes the flock of a file or folder for this process alone, and waits 2 s at most for one that has it: EWOULDBLOCK. 0, or an errno. */
int ken_file_lock(int file);

/*
 * Puts bytes [length] in the place of the file `path`: written beside it, synced, renamed. It keeps permissions (not set-user-ID and the
 * like) and owner of the file that was there; a new one has mode 0600, and root makes it for the owner of the folder. KEN_EINVALID for a
 * link, and what else is no regular file; KEN_EIO, KEN_ENO_SPACE, KEN_ENOMEM: the old file is still there then.
 */
int ken_file_replace(const char *path, const void *bytes, size_t length, struct ken_error *error);

/* SHA-256 of the first `size` bytes; KEN_EIO if there are fewer. `cancelled` (may be NULL) is asked now and then: KEN_ECANCELLED. */
int ken_file_digest(int file, uint64_t size, const char *path, bool (*cancelled)(void *opaque), void *opaque,
                    unsigned char sha256[KEN_SHA256_SIZE], struct ken_error *error);

#endif
