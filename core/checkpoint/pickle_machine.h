/* SPDX-License-Identifier: Apache-2.0 */
/* The values of the pickle interpreter, and what its parts share. Internal to it. */
#ifndef KEN_PICKLE_MACHINE_H
#define KEN_PICKLE_MACHINE_H

#include "checkpoint/pickle.h"

/* kind, what messages call it */
#define PICKLE_KIND_MAP(X)  \
    X(MARK, "a mark")       \
    X(NONE, "None")         \
    X(BOOL, "a bool")       \
    X(INT, "an integer")    \
    X(FLOAT, "a float")     \
    X(STRING, "a string")   \
    X(BYTES, "bytes")       \
    X(TUPLE, "a tuple")     \
    X(LIST, "a list")       \
    X(DICT, "a dict")       \
    X(GLOBAL, "a class")    \
    X(STORAGE, "a storage") \
    X(TENSOR, "a tensor")

/* What to do about a file that has more in it than a state dict. */
#define PICKLE_ADVICE ": save the state dict alone, as torch.save(model.state_dict(), FILE) does"

enum pickle_kind {
#define X(symbol, text) PICKLE_##symbol,
    PICKLE_KIND_MAP(X)
#undef X
};

struct pickle_dict;
struct pickle_global;

struct pickle_value {
    uint8_t kind;    /* enum pickle_kind */
    bool big;        /* an integer of more than 64 bits, whose value is not known */
    uint32_t length; /* of a string or a tuple */
    union {
        int64_t integer;
        const char *text;                 /* [length] */
        const struct pickle_value *items; /* [length] of a tuple; those of a list are forgotten */
        struct pickle_dict *dict;
        const struct pickle_global *global;
        const struct ken_pickle_storage *storage;
        const struct ken_pickle_tensor *tensor;
    };
};

struct pickle_pair {
    struct pickle_value key, value;
};

struct pickle_dict {
    struct pickle_pair *pairs; /* [count] */
    size_t count, capacity;
    struct pickle_dict *next; /* all there are, for freeing */
};

struct pickle_machine {
    const unsigned char *bytes; /* [length] */
    size_t length, at, opcode;  /* the next byte, and where the opcode at work is */
    const char *label;
    uint64_t max_bytes, used; /* bytes for stack, memo and dicts; those of the arena come on top */
    struct ken_arena *arena;
    struct pickle_value *stack; /* [depth] */
    size_t depth, stack_capacity;
    struct pickle_value *memo; /* [memo_count] */
    size_t memo_count, memo_capacity;
    struct pickle_dict *dicts;
    struct ken_error *error;
    bool stopped;
};

/* ---- pickle_machine.c */

const char *pickle_kind_name(const struct pickle_value *value);
/* Fails with "LABEL: torch file: data.pkl: byte N: reason" of the opcode at work. */
int pickle_fail(const struct pickle_machine *machine, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* KEN_ETOO_LARGE if there may not be so many bytes more of objects, stack, memo and dicts. */
int pickle_check_room(const struct pickle_machine *machine, uint64_t more);
/* Memory of the arena; NULL with the error told if there is none or the limit is reached. */
void *pickle_allocate(const struct pickle_machine *machine, size_t size);
/* Sees to room for one more element in the array [count] that *array points to, whose bytes count. */
int pickle_grow(struct pickle_machine *machine, void *array, size_t count, size_t *capacity, size_t size);
/* An empty dict, or NULL with the error told. */
struct pickle_dict *pickle_dict_create(struct pickle_machine *machine);
int pickle_push(struct pickle_machine *machine, struct pickle_value value);
int pickle_push_kind(struct pickle_machine *machine, enum pickle_kind kind);
/* The value on top, which is no mark, or NULL with the error told. */
struct pickle_value *pickle_top(const struct pickle_machine *machine);
/* Takes off the value on top; *value is all zero where there is none. */
int pickle_pop(struct pickle_machine *machine, struct pickle_value *value);
/* Takes off all down to the last mark; they stay readable at *values until the next push. */
int pickle_pop_to_mark(struct pickle_machine *machine, const struct pickle_value **values, size_t *count);
/* What follows an opcode: so many bytes, an unsigned number of `size` bytes, little-endian, or a line without its end. */
int pickle_take(struct pickle_machine *machine, uint64_t length, const unsigned char **bytes);
int pickle_take_number(struct pickle_machine *machine, size_t size, uint64_t *number);
int pickle_take_line(struct pickle_machine *machine, const char **line, size_t *length);

/* ---- pickle_opcodes.c */

/* Runs the next opcode. KEN_EUNSUPPORTED names one that a state dict does not need. */
int pickle_step(struct pickle_machine *machine);

/* ---- pickle_globals.c */

/* The global of that name; KEN_EUNSUPPORTED for any that a state dict does not need. */
int pickle_find_global(const struct pickle_machine *machine, const char *module, size_t module_length, const char *name, size_t name_length,
                       struct pickle_value *value);
/* What calling a global with a tuple would return. */
int pickle_call(struct pickle_machine *machine, const struct pickle_value *global, const struct pickle_value *arguments,
                struct pickle_value *result);
/* The storage that a persistent id stands for. */
int pickle_persistent(const struct pickle_machine *machine, const struct pickle_value *id, struct pickle_value *storage);

#endif
