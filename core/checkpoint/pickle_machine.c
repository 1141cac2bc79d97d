/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/pickle_machine.h"

#include "array.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1000 };

const char *pickle_kind_name(const struct pickle_value *value)
{
    static const char *const names[] = {
#define X(symbol, text) text,
        PICKLE_KIND_MAP(X)
#undef X
    };
    return names[value->kind];
}

int pickle_fail(const struct pickle_machine *machine, int code, const char *format, ...)
{
    char reason[KEN_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return ken_fail(machine->error, code, "%s: torch file: data.pkl: byte %zu: %s", machine->label, machine->opcode, reason);
}

/* ---- memory */

int pickle_check_room(const struct pickle_machine *machine, uint64_t more)
{
    uint64_t used = machine->used + machine->arena->used;
    if (used <= machine->max_bytes && more <= machine->max_bytes - used) return KEN_OK;
    return pickle_fail(machine, KEN_ETOO_LARGE, "its objects take more than the limit of %" PRIu64 " bytes", machine->max_bytes);
}

void *pickle_allocate(const struct pickle_machine *machine, size_t size)
{
    if (pickle_check_room(machine, size)) return NULL;
    void *memory = ken_arena_allocate(machine->arena, size);
    if (!memory) ken_fail_no_memory(machine->error, machine->label);
    return memory;
}

int pickle_grow(struct pickle_machine *machine, void *array, size_t count, size_t *capacity, size_t size)
{
    void **moved = array;
    size_t before = *capacity;
    if (count < before) return KEN_OK;
    int code = pickle_check_room(machine, (before ? before : 16) * size);
    if (code) return code;
    void *grown = ken_array_grow(*moved, count, capacity, size);
    if (!grown) return ken_fail_no_memory(machine->error, machine->label);
    *moved = grown;
    machine->used += (*capacity - before) * size;
    return KEN_OK;
}

struct pickle_dict *pickle_dict_create(struct pickle_machine *machine)
{
    struct pickle_dict *dict = pickle_allocate(machine, sizeof *dict);
    if (!dict) return NULL;
    *dict = (struct pickle_dict){.next = machine->dicts};
    machine->dicts = dict;
    return dict;
}

/* ---- the stack */

int pickle_push(struct pickle_machine *machine, struct pickle_value value)
{
    void *stack = machine->stack;
    int code = pickle_grow(machine, &stack, machine->depth, &machine->stack_capacity, sizeof *machine->stack);
    machine->stack = stack;
    if (!code) machine->stack[machine->depth++] = value;
    return code;
}

int pickle_push_kind(struct pickle_machine *machine, enum pickle_kind kind)
{
    return pickle_push(machine, (struct pickle_value){.kind = (uint8_t)kind});
}

struct pickle_value *pickle_top(const struct pickle_machine *machine)
{
    if (machine->depth && machine->stack[machine->depth - 1].kind != PICKLE_MARK) return &machine->stack[machine->depth - 1];
    pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a value is missing");
    return NULL;
}

int pickle_pop(struct pickle_machine *machine, struct pickle_value *value)
{
    const struct pickle_value *found = pickle_top(machine);
    *value = found ? *found : (struct pickle_value){0};
    if (!found) return machine->error->code;
    machine->depth--;
    return KEN_OK;
}

int pickle_pop_to_mark(struct pickle_machine *machine, const struct pickle_value **values, size_t *count)
{
    size_t at = machine->depth;
    while (at && machine->stack[at - 1].kind != PICKLE_MARK) at--;
    *values = at ? machine->stack + at : NULL;
    *count = machine->depth - at;
    if (!at) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a mark is missing");
    machine->depth = at - 1;
    return KEN_OK;
}

/* ---- what follows an opcode */

int pickle_take(struct pickle_machine *machine, uint64_t length, const unsigned char **bytes)
{
    *bytes = machine->bytes + machine->at;
    if (length > machine->length - machine->at) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "the pickle is cut short");
    machine->at += length;
    return KEN_OK;
}

int pickle_take_number(struct pickle_machine *machine, size_t size, uint64_t *number)
{
    const unsigned char *bytes;
    int code = pickle_take(machine, size, &bytes);
    *number = 0;
    for (size_t i = 0; i < size && !code; i++) *number |= (uint64_t)bytes[i] << (8 * i);
    return code;
}

int pickle_take_line(struct pickle_machine *machine, const char **line, size_t *length)
{
    size_t left = machine->length - machine->at, most = left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES;
    *line = (const char *)machine->bytes + machine->at;
    const char *end = most ? memchr(*line, '\n', most) : NULL;
    if (!end) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a name does not end");
    *length = (size_t)(end - *line);
    machine->at += *length + 1;
    return KEN_OK;
}
