/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors that do the same work in different layers have names that are equal but for their numbers: what is left of these is their role.
 */
#ifndef KEN_HEATMAP_ROLE_H
#define KEN_HEATMAP_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger numbers in names are told as this one: what any reader of JSON takes for an integer. */
#define KEN_ROLE_LARGEST ((UINT64_C(1) << 53) - 1)

/* The role of a name, into role [strlen(name) + 1]: each run of digits is one '*'. Returns role. */
char *ken_role_of(char *role, const char *name);
/* Whether the name has that role. */
bool ken_role_is(const char *role, const char *name);
/* Whether two names have the same role. */
bool ken_role_same(const char *a, const char *b);
/* The first numbers [most] of a name; returns how many it has. */
size_t ken_role_numbers(const char *name, uint64_t *numbers, size_t most);
/* Orders names by role, and those of one role by their numbers: 2 before 10. As strcmp; 0 for equal names alone. */
int ken_role_compare(const char *a, const char *b);

#endif
