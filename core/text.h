/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows at its end, for headers and JSON. Its failure (out of memory) is kept, so that only the end has to ask. */
#ifndef KEN_TEXT_H
#define KEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed struct is the empty text. data is NUL-terminated once something was added, NULL before. */
struct ken_text {
    char *data;
    size_t length;
    size_t capacity;
    bool failed; /* out of memory: what was added since is missing */
};

void ken_text_free(struct ken_text *text);
/* Appends bytes [length]. */
void ken_text_add(struct ken_text *text, const void *bytes, size_t length);
/* Appends a NUL-terminated string. */
void ken_text_add_string(struct ken_text *text, const char *string);
void ken_text_add_number(struct ken_text *text, uint64_t number);
/*
 * Appends UTF-8 [length] as a JSON string, in quotes, without needless escapes: only '"', '\' and what is below U+0020 is escaped, as
 * \b \f \n \r \t where there is such a form, else as \u00xx in lower case.
 */
void ken_text_add_json(struct ken_text *text, const char *utf8, size_t length);
/* Hands over the buffer, to be freed by the caller, and leaves the text empty; NULL if it has failed (then it is freed). */
char *ken_text_take(struct ken_text *text, size_t *length);

#endif
