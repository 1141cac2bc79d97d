/* SPDX-License-Identifier: Apache-2.0 */
/* Writes compact JSON, value by value, into memory or through a sink, in UTF-8 with no escape that JSON does not demand. */
#ifndef KEN_JSON_WRITER_H
#define KEN_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Put commas and colons by itself; the caller sees to it that keys and values alternate in objects and that what begins ends. The first
 * error stays, later calls do nothing, and finish returns it. Fields are the writer's own.
 */
struct ken_json_writer {
    int (*write)(void *opaque, const void *bytes, size_t length); /* NULL: into memory */
    void *opaque;
    char *text;
    size_t length, capacity;
    unsigned depth;
    bool comma; /* one is due before the next key or value */
    int code;
};

/* Begins a text in memory. */
void ken_json_writer_init(struct ken_json_writer *writer);
/* Begins a text that goes in pieces to `write`, which returns 0 or an error code; not all of it has gone before finish. */
void ken_json_writer_init_sink(struct ken_json_writer *writer, int (*write)(void *opaque, const void *bytes, size_t length), void *opaque);
/* Ends the text: 0, or the first error (KEN_ENOMEM, KEN_EINVALID for a string that is not UTF-8, the sink's). In memory, *text [*length] is
 * the writer's until free, and NUL-terminated; with a sink both must be NULL. */
int ken_json_writer_finish(struct ken_json_writer *writer, const char **text, size_t *length);
/* As finish, but the text becomes the caller's, to be freed by free(); *text is NULL on failure. The writer need not be freed after it. */
int ken_json_writer_take(struct ken_json_writer *writer, char **text, size_t *length);
void ken_json_writer_free(struct ken_json_writer *writer);

void ken_json_begin_object(struct ken_json_writer *writer);
void ken_json_end_object(struct ken_json_writer *writer);
void ken_json_begin_array(struct ken_json_writer *writer);
void ken_json_end_array(struct ken_json_writer *writer);
void ken_json_key(struct ken_json_writer *writer, const char *key);
void ken_json_key_bytes(struct ken_json_writer *writer, const char *key, size_t length);
void ken_json_string(struct ken_json_writer *writer, const char *text);
/* May hold NUL bytes. */
void ken_json_string_bytes(struct ken_json_writer *writer, const char *text, size_t length);
void ken_json_uint(struct ken_json_writer *writer, uint64_t value);
/* An array of them, a shape for example. */
void ken_json_uints(struct ken_json_writer *writer, const uint64_t *values, size_t count);
void ken_json_int(struct ken_json_writer *writer, int64_t value);
void ken_json_bool(struct ken_json_writer *writer, bool value);
void ken_json_null(struct ken_json_writer *writer);
/*
 * The fewest digits that read back as the same value, laid out as ECMAScript does (RFC 8785, 3.2.2.3): 1, 0.5, 100000000000000000000,
 * 1e+21, 0.000001, 1e-7, and 0 for -0. The same on every machine and in every locale. NaN and infinities, which JSON cannot say, become
 * null.
 */
void ken_json_double(struct ken_json_writer *writer, double value);
/* One value that already is compact JSON. */
void ken_json_raw(struct ken_json_writer *writer, const char *json, size_t length);
/* Bytes outside the grammar, a line break after a value for example; the next value gets no comma. */
void ken_json_filler(struct ken_json_writer *writer, const char *bytes, size_t length);

#endif
