/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the known word that an unknown one is most like. */
#ifndef PROTO_NEAREST_H
#define PROTO_NEAREST_H

#include <stddef.h>

/*
 * Of words [count], the one that the fewest edits (insert, drop, replace, swap two neighbours; case is ignored) make of `word`; NULL if
 * that takes more than a third of its length, and at least two edits. The first of equals. Where
 * there is none, the first that begins with the word. The result is one of words.
 */
const char *proto_nearest(const char *word, const char *const *words, size_t count);

#endif
