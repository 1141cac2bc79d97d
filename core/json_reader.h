/* SPDX-License-Identifier: Apache-2.0 */
/* A pull tokenizer for JSON as RFC 8259 defines it, strict, over a source or memory; holds a piece of the text and one token at a time. */
#ifndef KEN_JSON_READER_H
#define KEN_JSON_READER_H

#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEN_JSON_DEPTH_MAX = 64 };

/* token, what messages call it */
#define KEN_JSON_TOKEN_MAP(X)                      \
    X(KEN_JSON_END, "the end")                     \
    X(KEN_JSON_OBJECT, "an object")                \
    X(KEN_JSON_OBJECT_END, "the end of an object") \
    X(KEN_JSON_ARRAY, "an array")                  \
    X(KEN_JSON_ARRAY_END, "the end of an array")   \
    X(KEN_JSON_KEY, "a key")                       \
    X(KEN_JSON_STRING, "a string")                 \
    X(KEN_JSON_NUMBER, "a number")                 \
    X(KEN_JSON_TRUE, "true")                       \
    X(KEN_JSON_FALSE, "false")                     \
    X(KEN_JSON_NULL, "null")

enum ken_json_token {
#define X(token, text) token,
    KEN_JSON_TOKEN_MAP(X)
#undef X
};

struct ken_json_reader {
    enum ken_json_token token; /* the last one read; the caller may look at this and the next three */
    const char *text; /* [length] of a key or string, decoded, or of a number as it stands; NUL-terminated; valid until the next token */
    size_t length;
    uint64_t position; /* where the token begins, from the beginning of the source or the memory */

    /* The reader's own. */
    const char *subject;
    int code;
    struct ken_source *source;
    uint64_t base, total, loaded; /* the text in the source; bytes of it that were read */
    const char *window;           /* [window_length] the piece at hand */
    size_t window_length, at;
    char *piece, *buffer;
    size_t capacity;
    int state;
    unsigned depth;
    uint64_t objects; /* bit i: level i is an object */
    struct ken_error *error;
};

/*
 * Reads bytes [offset, offset + length) of the source, which must be within its size, waiting for all of them at once. Malformed text fails
 * with `code` and the message "SUBJECT: byte N: reason". The subject (printable) and the source are borrowed. KEN_ENOMEM or the source's
 * error; the reader must be freed all the same.
 */
int ken_json_reader_open(struct ken_json_reader *reader, struct ken_source *source, uint64_t offset, uint64_t length, const char *subject,
                         int code, struct ken_error *error);
/* Reads text [length] in memory, which is borrowed. */
void ken_json_reader_open_memory(struct ken_json_reader *reader, const char *text, size_t length, const char *subject, int code);
void ken_json_reader_free(struct ken_json_reader *reader);

/* Reads the next token; KEN_JSON_END only where nothing but white space follows the value. Not to be called after END or an error. */
int ken_json_next(struct ken_json_reader *reader, struct ken_error *error);
/* Reads the next token and fails unless it is this one: "expected WHAT". */
int ken_json_expect(struct ken_json_reader *reader, enum ken_json_token token, const char *what, struct ken_error *error);
/* Having read the first token of a value, reads the rest of it and forgets it. */
int ken_json_skip(struct ken_json_reader *reader, struct ken_error *error);
/* Fails with the reader's code and the position of the last token: "SUBJECT: byte N: reason". */
int ken_json_fail(const struct ken_json_reader *reader, struct ken_error *error, const char *reason);
/* Whether the last token is a string or key of exactly this text. */
bool ken_json_text_is(const struct ken_json_reader *reader, const char *text);
/* The last token, a number, as an integer: false if it has a sign, fraction or exponent, or does not fit into 64 bits. */
bool ken_json_uint64(const struct ken_json_reader *reader, uint64_t *value);

#endif
