/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing JSON with jansson. Where a buffer of its own cannot grow, jansson leaves out a character of a string, or the name of
 * a member, and goes on: what was read or written while an allocation failed is not taken for the whole.
 */
#ifndef PROTO_JSON_LOAD_H
#define PROTO_JSON_LOAD_H

#include <jansson.h>

/* Has jansson allocate where failures are seen. Before there are threads; without it, they are not. */
void proto_json_watch_memory(void);
/* As json_loadb and json_loadfd. NULL if the text is malformed, or, and then error->text is empty, out of memory. `error` may be NULL. */
json_t *proto_json_load(const char *text, size_t length, size_t flags, json_error_t *error);
json_t *proto_json_load_file(int file, size_t flags);
/* As json_dumps. */
char *proto_json_dump(const json_t *document, size_t flags);
/* As proto_json_load, for a text that this program has written itself; NULL stays NULL. */
json_t *proto_json_load_text(const char *text);

#endif
