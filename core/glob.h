/* SPDX-License-Identifier: Apache-2.0 */
/* Globs of rules and of searches: '*' stands for any characters, '?' for one (a whole UTF-8 sequence), anything else for itself. */
#ifndef KEN_GLOB_H
#define KEN_GLOB_H

#include <stdbool.h>

enum { KEN_MAX_GLOB = 256 };

/*
 * Whether the glob, of at most KEN_MAX_GLOB bytes, matches the whole name; both are UTF-8. Time is linear in the length of the name,
 * whatever the glob: a job may bring 256 of them for 100,000 names of 4096 bytes.
 */
bool ken_glob_match(const char *glob, const char *name);

#endif
