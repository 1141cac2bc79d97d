/* SPDX-License-Identifier: Apache-2.0 */
/* Folders with all that is in them. Symbolic links are never followed. */
#ifndef KEND_TREE_H
#define KEND_TREE_H

#include "error.h"

#include <stdint.h>

/* Makes every file and folder below `name`, itself included, durable. KEN_ENOT_FOUND; KEN_EINTERNAL if there is anything but files and
 * folders. */
int kend_tree_sync(int parent, const char *name, struct ken_error *error);
/* Deletes it; nothing if there is none. */
int kend_tree_delete(int parent, const char *name, struct ken_error *error);
/* Adds what it takes of the disk to *bytes; nothing if there is none. */
int kend_tree_measure(int parent, const char *name, uint64_t *bytes, struct ken_error *error);

#endif
