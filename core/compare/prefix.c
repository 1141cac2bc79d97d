/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/prefix.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

/* Whether all names of `few`, behind the prefix, are names of `many`. */
static bool all_with(const char *prefix, size_t length, const struct ken_side *few, const struct ken_side *many, char *name)
{
    memcpy(name, prefix, length);
    for (size_t i = 0; i < few->count; i++) {
        strcpy(name + length, few->tensors[i].name);
        if (!ken_side_find(many, name)) return false;
    }
    return true;
}

/* Whether all names of `few` begin with the prefix, and what is behind it are names of `many`. */
static bool all_without(const char *prefix, size_t length, const struct ken_side *few, const struct ken_side *many)
{
    for (size_t i = 0; i < few->count; i++) {
        const char *name = few->tensors[i].name;
        if (strncmp(name, prefix, length) != 0 || !ken_side_find(many, name + length)) return false;
    }
    return true;
}

static size_t longest_name(const struct ken_side *side)
{
    size_t longest = 0;
    for (size_t i = 0; i < side->count; i++)
        if (strlen(side->tensors[i].name) > longest) longest = strlen(side->tensors[i].name);
    return longest;
}

/* The prefix that `many` has; NULL if there is none. */
static const char *added(size_t *length, const struct ken_side *few, const struct ken_side *many)
{
    const char *first = few->tensors[0].name, *found = NULL;
    char *name = malloc(longest_name(few) + longest_name(many) + 1);
    for (size_t i = 0; name && i < many->count && !found; i++) {
        const char *other = many->tensors[i].name;
        if (strlen(other) <= strlen(first) + 1) continue;
        *length = strlen(other) - strlen(first);
        if (other[*length - 1] == '.' && strcmp(other + *length, first) == 0 && all_with(other, *length, few, many, name)) found = other;
    }
    free(name);
    return found;
}

/* The prefix that `few` has; NULL if there is none. */
static const char *removed(size_t *length, const struct ken_side *few, const struct ken_side *many)
{
    const char *first = few->tensors[0].name;
    for (const char *dot = strchr(first, '.'); dot; dot = strchr(dot + 1, '.')) {
        *length = (size_t)(dot + 1 - first);
        if (all_without(first, *length, few, many)) return first;
    }
    return NULL;
}

bool ken_side_find_prefix(struct ken_side_prefix *prefix, const struct ken_side *a, const struct ken_side *b)
{
    const struct ken_side *few = a->count <= b->count ? a : b, *many = few == a ? b : a;
    *prefix = (struct ken_side_prefix){0};
    if (!few->count) return false;
    prefix->text = added(&prefix->length, few, many);
    prefix->of_b = many == b;
    if (prefix->text) return true;
    prefix->text = removed(&prefix->length, few, many);
    prefix->of_b = few == b;
    return prefix->text;
}
