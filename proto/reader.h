/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a JSON document against tables of fields and gathers all faults, each with its JSON pointer. */
#ifndef PROTO_READER_H
#define PROTO_READER_H

#include "job.h"
#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_reader {
    struct proto_faults *faults;
    const struct proto_policy *policy;
    const json_t *root;   /* the whole document */
    enum proto_kind kind; /* of its job */
    bool no_memory;       /* reading went on, but its result is void */
};

/* Where in the document a value is; chained over the stack of the functions that walk it. The root has no parent. */
struct proto_place {
    const struct proto_place *parent;
    const char *key; /* or NULL: an index */
    size_t index;
};

/* Reads a value into *field; adds a fault and leaves *field alone where it is not allowed. */
typedef void proto_read(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);

struct proto_field {
    const char *name;
    proto_read *read;
    size_t offset; /* of what `read` fills, in the target */
};

/* Adds a fault at a place, or at one of its keys (key may be NULL). */
void proto_reader_fault(struct proto_reader *reader, const struct proto_place *place, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a feature that is known but not there yet. */
void proto_reader_later(struct proto_reader *reader, const struct proto_place *place, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A proto_read for a field whose feature is not there yet. No misspelled field is told to be meant as one. */
void proto_read_later(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);
/* The same for a field of jobs of another kind. */
void proto_read_other_kind(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field);
/* Whether the value has the type; a fault "must be WANTED, not a number" if not. */
bool proto_reader_expect(struct proto_reader *reader, const struct proto_place *place, const json_t *value, json_type type,
                         const char *wanted);

/* Reads the object's fields, in the table's order; every key that is not in the table is a fault that names the nearest one that is. */
void proto_read_fields(struct proto_reader *reader, const struct proto_place *place, const json_t *object, const struct proto_field *fields,
                       size_t count, void *target);
/* Index of the word in words [count], or -1 with a fault that lists them. */
int proto_read_word(struct proto_reader *reader, const struct proto_place *place, const json_t *value, const char *const *words,
                    size_t count);
/* An integer (1.0 is none) from least to most. */
bool proto_read_integer(struct proto_reader *reader, const struct proto_place *place, const json_t *value, uint64_t least, uint64_t most,
                        uint64_t *number);
/* A string of 1 to `most` characters without control characters; borrowed from the value, NULL with a fault. */
const char *proto_read_name(struct proto_reader *reader, const struct proto_place *place, const json_t *value, size_t most);
/* Copies text into *field, which is NULL. */
void proto_reader_set_text(struct proto_reader *reader, char **field, const char *text);
/* Characters (code points) of valid UTF-8. */
size_t proto_count_characters(const char *text);
bool proto_has_control_characters(const char *text);

#endif
