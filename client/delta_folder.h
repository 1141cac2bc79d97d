/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that `prune` makes and `download` fetches, where a delta or a checkpoint is to be named. */
#ifndef KENCTL_DELTA_FOLDER_H
#define KENCTL_DELTA_FOLDER_H

#include "delta/delta.h"
#include "pruning/prune.h"

#include <stdbool.h>

/* Whether something of that name is in the folder; false if there is no such folder. */
bool kenctl_folder_has(const char *folder, const char *name);
/* Names of the folders in folder that hold a delta, sorted, to be freed. -1 and errno if it cannot be read. */
int kenctl_find_variants(const char *folder, char *names[KEN_MAX_VARIANTS]);

/* The file that a path means as a delta: of a folder the delta in it; KEN_EINVALID names the variants where it has some instead. *path is
 * malloc'ed. */
int kenctl_delta_path(char **path, const char *given, struct ken_error *error);
/* Opens it; *path as above, also after a failure, or NULL. */
int kenctl_delta_open(struct ken_delta **delta, char **path, const char *given, struct ken_error *error);

/* One of the two. */
struct kenctl_thing {
    struct ken_checkpoint *checkpoint;
    struct ken_delta *delta;
    uint64_t size; /* of the delta's file */
};
/*
 * Opens a checkpoint or a delta, as the content tells. A folder is the checkpoint in it, else the delta; where it has both, a note says so
 * (not if quiet).
 */
int kenctl_thing_open(struct kenctl_thing *thing, const char *path, bool quiet, struct ken_error *error);
void kenctl_thing_close(struct kenctl_thing *thing);

#endif
