/* SPDX-License-Identifier: Apache-2.0 */
/* Globs of rules, of names and of searches: '*' stands for any characters, '?' for one (a whole UTF-8 sequence), anything else for itself.
 */
#ifndef KEN_GLOB_H
#define KEN_GLOB_H

#include <stdbool.h>
#include <stddef.h>

enum { KEN_MAX_GLOB = 256 };

/*
 * Whether the glob, of at most KEN_MAX_GLOB bytes, matches the whole name; both are UTF-8. Time is linear in the length of the name,
 * whatever the glob: a job may bring 256 of them for 100,000 names of 4096 bytes.
 */
bool ken_glob_match(const char *glob, const char *name);
/* How often '*' (or '?') stands in a glob or pattern. */
size_t ken_glob_count(const char *glob, char wildcard);
/*
 * The pattern with its i-th '*' replaced by what the glob's i-th '*' took of a name that the glob matches, and its i-th '?' likewise; it
 * has no more of either than the glob. The first '*' takes as little as it can, then the second, and so on. The text is the caller's, to be
 * freed; NULL if out of memory. Time is linear.
 */
char *ken_glob_replace(const char *glob, const char *pattern, const char *name);

#endif
