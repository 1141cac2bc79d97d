/* SPDX-License-Identifier: Apache-2.0 */
/* Output that comes into sight whole: written aside, synced, renamed. */
#ifndef KEN_STAGING_H
#define KEN_STAGING_H

#include "error.h"

#include <stdbool.h>

struct ken_staging;

/*
 * Makes an empty folder (is_folder) or file beside `target`, on the same file system. What is at target already stays until the commit.
 * *staging is owned by the caller, to be ended by commit or abandon.
 */
int ken_staging_open(struct ken_staging **staging, const char *target, bool is_folder, struct ken_error *error);
/* Where it is until then. */
const char *ken_staging_path(const struct ken_staging *staging);
/*
 * Syncs it and puts it in the place of target. A folder that is there already and has something in it keeps what is not replaced: the new
 * files are moved into it, one by one, in the order of their names. On failure nothing new is left behind, but files that were moved
 * already. *staging becomes NULL.
 */
int ken_staging_commit(struct ken_staging **staging, struct ken_error *error);
/* Removes it; nothing if it is NULL. */
void ken_staging_abandon(struct ken_staging **staging);

#endif
