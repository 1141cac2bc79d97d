/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers over jansson that several parts need. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "json_writer.h"

#include <jansson.h>
#include <stdint.h>

/* A string of text that may hold bytes that are not UTF-8 (those as \xNN). New reference; NULL if out of memory. */
json_t *proto_json_text(const char *text);
/* The same, or null for NULL. */
json_t *proto_json_text_or_null(const char *text);
/* A time as RFC 3339, or null for 0. */
json_t *proto_json_time(int64_t ms);
/* 64 lower-case hexadecimal digits. */
json_t *proto_json_sha256(const unsigned char sha256[32]);

/*
 * Build documents without a ladder: each adds `value` (taken over) to a container that may be NULL already (out of memory), and gives the
 * container back, or NULL with its reference dropped.
 */
json_t *proto_json_set(json_t *object, const char *key, json_t *value);
json_t *proto_json_append(json_t *array, json_t *value);
json_t *proto_json_set_text(json_t *object, const char *key, const char *text);
json_t *proto_json_set_number(json_t *object, const char *key, uint64_t number);

/*
 * Writes a value with the fewest digits that read back as the same numbers: 0.1 stays 0.1, which jansson's own writer cannot do. Values
 * that come from outside are no deeper than jansson's parser allows.
 */
void proto_json_write(struct ken_json_writer *writer, const json_t *value);
/* A document as it is sent: malloc'ed, with a line's end. NULL if out of memory. */
char *proto_json_line(const json_t *document);

#endif
