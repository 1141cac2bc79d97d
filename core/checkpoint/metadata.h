/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a safetensors file: an object of strings, kept as compact JSON in the file's order. */
#ifndef KEN_METADATA_H
#define KEN_METADATA_H

#include "error.h"
#include "json_reader.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Reads the rest of an object whose first token was read: keys without NUL, none twice, at most max_entries, values that are strings. *text
 * [*length], NUL-terminated, is the caller's, to be freed. Errors are the reader's, KEN_ETOO_LARGE, or KEN_ENOMEM.
 */
int ken_metadata_read(struct ken_json_reader *json, uint64_t max_entries, char **text, size_t *length, struct ken_error *error);
/* Sorts names [count] and returns one that is there twice, or NULL. */
const char *ken_find_twice(const char **names, size_t count);

#endif
