/* SPDX-License-Identifier: Apache-2.0 */
/* Opcodes are those of Python's Lib/pickletools.py. */
#include "checkpoint/pickle_machine.h"

#include <inttypes.h>
#include <string.h>

/* ---- opcodes: constants */

static int on_proto(struct pickle_machine *machine)
{
    uint64_t protocol;
    int code = pickle_take_number(machine, 1, &protocol);
    if (code || (protocol >= 2 && protocol <= 5)) return code;
    return pickle_fail(machine, KEN_EUNSUPPORTED, "protocol %" PRIu64 " of pickle, not 2 to 5", protocol);
}

static int on_frame(struct pickle_machine *machine)
{
    uint64_t length;
    int code = pickle_take_number(machine, 8, &length);
    if (code || length <= machine->length - machine->at) return code;
    return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "the pickle is cut short");
}

static int on_stop(struct pickle_machine *machine)
{
    machine->stopped = true;
    return KEN_OK;
}

static int on_none(struct pickle_machine *machine)
{
    return pickle_push_kind(machine, PICKLE_NONE);
}

static int on_bool(struct pickle_machine *machine)
{
    return pickle_push_kind(machine, PICKLE_BOOL);
}

static int push_integer(struct pickle_machine *machine, int64_t integer)
{
    return pickle_push(machine, (struct pickle_value){.kind = PICKLE_INT, .integer = integer});
}

static int on_int(struct pickle_machine *machine)
{
    uint64_t number;
    int code = pickle_take_number(machine, 4, &number);
    return code ? code : push_integer(machine, (int32_t)(uint32_t)number);
}

static int on_int1(struct pickle_machine *machine)
{
    uint64_t number;
    int code = pickle_take_number(machine, 1, &number);
    return code ? code : push_integer(machine, (int64_t)number);
}

static int on_int2(struct pickle_machine *machine)
{
    uint64_t number;
    int code = pickle_take_number(machine, 2, &number);
    return code ? code : push_integer(machine, (int64_t)number);
}

/* Two's complement of any length; more than 8 bytes are an integer that nothing here can use. */
static int push_long(struct pickle_machine *machine, uint64_t length)
{
    const unsigned char *bytes;
    int code = pickle_take(machine, length, &bytes);
    uint64_t number = 0;
    if (code) return code;
    if (length > 8) return pickle_push(machine, (struct pickle_value){.kind = PICKLE_INT, .big = true});
    for (size_t i = 0; i < length; i++) number |= (uint64_t)bytes[i] << (8 * i);
    if (length && length < 8 && bytes[length - 1] & 0x80) number |= UINT64_MAX << (8 * length);
    return push_integer(machine, (int64_t)number);
}

static int on_long1(struct pickle_machine *machine)
{
    uint64_t length;
    int code = pickle_take_number(machine, 1, &length);
    return code ? code : push_long(machine, length);
}

static int on_long4(struct pickle_machine *machine)
{
    uint64_t length;
    int code = pickle_take_number(machine, 4, &length);
    return code ? code : push_long(machine, length);
}

static int on_float(struct pickle_machine *machine)
{
    const unsigned char *bytes;
    int code = pickle_take(machine, 8, &bytes);
    return code ? code : pickle_push_kind(machine, PICKLE_FLOAT);
}

/* Text or bytes behind a length of `size` bytes. */
static int push_text(struct pickle_machine *machine, size_t size, enum pickle_kind kind)
{
    uint64_t length;
    const unsigned char *bytes;
    int code = pickle_take_number(machine, size, &length);
    if (!code) code = pickle_take(machine, length, &bytes);
    if (code) return code;
    if (length > UINT32_MAX) return pickle_fail(machine, KEN_ETOO_LARGE, "a string of %" PRIu64 " bytes", length);
    return pickle_push(machine, (struct pickle_value){.kind = (uint8_t)kind, .length = (uint32_t)length, .text = (const char *)bytes});
}

static int on_unicode1(struct pickle_machine *machine)
{
    return push_text(machine, 1, PICKLE_STRING);
}

static int on_unicode4(struct pickle_machine *machine)
{
    return push_text(machine, 4, PICKLE_STRING);
}

static int on_unicode8(struct pickle_machine *machine)
{
    return push_text(machine, 8, PICKLE_STRING);
}

static int on_bytes1(struct pickle_machine *machine)
{
    return push_text(machine, 1, PICKLE_BYTES);
}

static int on_bytes4(struct pickle_machine *machine)
{
    return push_text(machine, 4, PICKLE_BYTES);
}

static int on_bytes8(struct pickle_machine *machine)
{
    return push_text(machine, 8, PICKLE_BYTES);
}

/* ---- opcodes: the stack and the memo */

static int on_mark(struct pickle_machine *machine)
{
    return pickle_push_kind(machine, PICKLE_MARK);
}

static int on_pop(struct pickle_machine *machine)
{
    if (!machine->depth) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a value is missing");
    machine->depth--;
    return KEN_OK;
}

static int on_pop_mark(struct pickle_machine *machine)
{
    const struct pickle_value *values;
    size_t count;
    return pickle_pop_to_mark(machine, &values, &count);
}

/* Picklers number the memo from 0 on without gaps. */
static int memoize(struct pickle_machine *machine, uint64_t number)
{
    const struct pickle_value *value = pickle_top(machine);
    void *memo = machine->memo;
    if (!value) return machine->error->code;
    if (number > machine->memo_count)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "number %" PRIu64 " of the memo is left out", machine->memo_count);
    int code = pickle_grow(machine, &memo, number, &machine->memo_capacity, sizeof *machine->memo);
    machine->memo = memo;
    if (code) return code;
    machine->memo[number] = *value;
    if (number == machine->memo_count) machine->memo_count++;
    return KEN_OK;
}

static int on_put1(struct pickle_machine *machine)
{
    uint64_t number;
    int code = pickle_take_number(machine, 1, &number);
    return code ? code : memoize(machine, number);
}

static int on_put4(struct pickle_machine *machine)
{
    uint64_t number;
    int code = pickle_take_number(machine, 4, &number);
    return code ? code : memoize(machine, number);
}

static int on_memoize(struct pickle_machine *machine)
{
    return memoize(machine, machine->memo_count);
}

static int recall(struct pickle_machine *machine, size_t size)
{
    uint64_t number;
    int code = pickle_take_number(machine, size, &number);
    if (code) return code;
    if (number >= machine->memo_count) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "the memo has no number %" PRIu64, number);
    return pickle_push(machine, machine->memo[number]);
}

static int on_get1(struct pickle_machine *machine)
{
    return recall(machine, 1);
}

static int on_get4(struct pickle_machine *machine)
{
    return recall(machine, 4);
}

/* ---- opcodes: tuples, lists, dicts */

static int push_tuple(struct pickle_machine *machine, const struct pickle_value *values, size_t count)
{
    if (count > UINT32_MAX) return pickle_fail(machine, KEN_ETOO_LARGE, "a tuple of %zu values", count);
    struct pickle_value *items = pickle_allocate(machine, count * sizeof *items);
    if (!items) return machine->error->code;
    if (count) memcpy(items, values, count * sizeof *items);
    return pickle_push(machine, (struct pickle_value){.kind = PICKLE_TUPLE, .length = (uint32_t)count, .items = items});
}

static int on_tuple(struct pickle_machine *machine)
{
    const struct pickle_value *values;
    size_t count;
    int code = pickle_pop_to_mark(machine, &values, &count);
    return code ? code : push_tuple(machine, values, count);
}

/* A tuple of the `count` values on top. */
static int tuple_of(struct pickle_machine *machine, size_t count)
{
    struct pickle_value values[3];
    for (size_t i = count; i-- > 0;) {
        int code = pickle_pop(machine, &values[i]);
        if (code) return code;
    }
    return push_tuple(machine, values, count);
}

static int on_empty_tuple(struct pickle_machine *machine)
{
    return push_tuple(machine, NULL, 0);
}

static int on_tuple1(struct pickle_machine *machine)
{
    return tuple_of(machine, 1);
}

static int on_tuple2(struct pickle_machine *machine)
{
    return tuple_of(machine, 2);
}

static int on_tuple3(struct pickle_machine *machine)
{
    return tuple_of(machine, 3);
}

static int on_empty_list(struct pickle_machine *machine)
{
    return pickle_push_kind(machine, PICKLE_LIST);
}

/* The value on top, which must be of that kind. */
static struct pickle_value *top_of_kind(const struct pickle_machine *machine, enum pickle_kind kind, const char *what)
{
    struct pickle_value *value = pickle_top(machine);
    if (!value || value->kind == kind) return value;
    pickle_fail(machine, KEN_EBAD_CHECKPOINT, "%s of %s", what, pickle_kind_name(value));
    return NULL;
}

static int on_append(struct pickle_machine *machine)
{
    struct pickle_value forgotten;
    int code = pickle_pop(machine, &forgotten);
    if (code) return code;
    return top_of_kind(machine, PICKLE_LIST, "an item") ? KEN_OK : machine->error->code;
}

static int on_appends(struct pickle_machine *machine)
{
    const struct pickle_value *forgotten;
    size_t count;
    int code = pickle_pop_to_mark(machine, &forgotten, &count);
    if (code) return code;
    return top_of_kind(machine, PICKLE_LIST, "an item") ? KEN_OK : machine->error->code;
}

static int on_empty_dict(struct pickle_machine *machine)
{
    struct pickle_dict *dict = pickle_dict_create(machine);
    return dict ? pickle_push(machine, (struct pickle_value){.kind = PICKLE_DICT, .dict = dict}) : machine->error->code;
}

static int add_pair(struct pickle_machine *machine, struct pickle_dict *dict, const struct pickle_value *key,
                    const struct pickle_value *value)
{
    void *pairs = dict->pairs;
    int code = pickle_grow(machine, &pairs, dict->count, &dict->capacity, sizeof *dict->pairs);
    dict->pairs = pairs;
    if (!code) dict->pairs[dict->count++] = (struct pickle_pair){*key, *value};
    return code;
}

static int on_setitem(struct pickle_machine *machine)
{
    struct pickle_value key = {0}, value;
    int code = pickle_pop(machine, &value);
    if (!code) code = pickle_pop(machine, &key);
    if (code) return code;
    struct pickle_value *dict = top_of_kind(machine, PICKLE_DICT, "an item");
    return dict ? add_pair(machine, dict->dict, &key, &value) : machine->error->code;
}

static int on_setitems(struct pickle_machine *machine)
{
    const struct pickle_value *values;
    size_t count;
    int code = pickle_pop_to_mark(machine, &values, &count);
    if (code) return code;
    if (count % 2) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a key without a value");
    struct pickle_value *dict = top_of_kind(machine, PICKLE_DICT, "an item");
    if (!dict) return machine->error->code;
    for (size_t i = 0; i < count && !code; i += 2) code = add_pair(machine, dict->dict, &values[i], &values[i + 1]);
    return code;
}

/* ---- opcodes: objects */

static int on_global(struct pickle_machine *machine)
{
    const char *module, *name;
    size_t module_length = 0, name_length = 0;
    struct pickle_value value;
    int code = pickle_take_line(machine, &module, &module_length);
    if (!code) code = pickle_take_line(machine, &name, &name_length);
    if (!code) code = pickle_find_global(machine, module, module_length, name, name_length, &value);
    return code ? code : pickle_push(machine, value);
}

static int on_stack_global(struct pickle_machine *machine)
{
    struct pickle_value module = {0}, name, value;
    int code = pickle_pop(machine, &name);
    if (!code) code = pickle_pop(machine, &module);
    if (code) return code;
    if (module.kind != PICKLE_STRING || name.kind != PICKLE_STRING)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "the name of a global is no string");
    code = pickle_find_global(machine, module.text, module.length, name.text, name.length, &value);
    return code ? code : pickle_push(machine, value);
}

static int on_reduce(struct pickle_machine *machine)
{
    struct pickle_value global = {0}, arguments, result;
    int code = pickle_pop(machine, &arguments);
    if (!code) code = pickle_pop(machine, &global);
    if (!code) code = pickle_call(machine, &global, &arguments, &result);
    return code ? code : pickle_push(machine, result);
}

static int on_persistent(struct pickle_machine *machine)
{
    struct pickle_value id, storage;
    int code = pickle_pop(machine, &id);
    if (!code) code = pickle_persistent(machine, &id, &storage);
    return code ? code : pickle_push(machine, storage);
}

/* The state of an OrderedDict: attributes, such as _metadata with the versions of modules. They hold no tensors and are left out. */
static int on_build(struct pickle_machine *machine)
{
    struct pickle_value state;
    int code = pickle_pop(machine, &state);
    if (code) return code;
    if (state.kind != PICKLE_DICT) return pickle_fail(machine, KEN_EUNSUPPORTED, "a state that is %s", pickle_kind_name(&state));
    return top_of_kind(machine, PICKLE_DICT, "a state") ? KEN_OK : machine->error->code;
}

/* ---- the machine */

/* Those without a function are known by name alone. */
static const struct {
    const char *name;
    int (*run)(struct pickle_machine *machine);
} opcodes[256] = {
    [0x80] = {"PROTO", on_proto},
    [0x95] = {"FRAME", on_frame},
    ['.'] = {"STOP", on_stop},
    ['N'] = {"NONE", on_none},
    [0x88] = {"NEWTRUE", on_bool},
    [0x89] = {"NEWFALSE", on_bool},
    ['J'] = {"BININT", on_int},
    ['K'] = {"BININT1", on_int1},
    ['M'] = {"BININT2", on_int2},
    [0x8a] = {"LONG1", on_long1},
    [0x8b] = {"LONG4", on_long4},
    ['G'] = {"BINFLOAT", on_float},
    [0x8c] = {"SHORT_BINUNICODE", on_unicode1},
    ['X'] = {"BINUNICODE", on_unicode4},
    [0x8d] = {"BINUNICODE8", on_unicode8},
    ['C'] = {"SHORT_BINBYTES", on_bytes1},
    ['B'] = {"BINBYTES", on_bytes4},
    [0x8e] = {"BINBYTES8", on_bytes8},
    ['('] = {"MARK", on_mark},
    ['0'] = {"POP", on_pop},
    ['1'] = {"POP_MARK", on_pop_mark},
    ['q'] = {"BINPUT", on_put1},
    ['r'] = {"LONG_BINPUT", on_put4},
    [0x94] = {"MEMOIZE", on_memoize},
    ['h'] = {"BINGET", on_get1},
    ['j'] = {"LONG_BINGET", on_get4},
    [')'] = {"EMPTY_TUPLE", on_empty_tuple},
    ['t'] = {"TUPLE", on_tuple},
    [0x85] = {"TUPLE1", on_tuple1},
    [0x86] = {"TUPLE2", on_tuple2},
    [0x87] = {"TUPLE3", on_tuple3},
    [']'] = {"EMPTY_LIST", on_empty_list},
    ['a'] = {"APPEND", on_append},
    ['e'] = {"APPENDS", on_appends},
    ['}'] = {"EMPTY_DICT", on_empty_dict},
    ['s'] = {"SETITEM", on_setitem},
    ['u'] = {"SETITEMS", on_setitems},
    ['c'] = {"GLOBAL", on_global},
    [0x93] = {"STACK_GLOBAL", on_stack_global},
    ['R'] = {"REDUCE", on_reduce},
    ['Q'] = {"BINPERSID", on_persistent},
    ['b'] = {"BUILD", on_build},

    ['2'] = {"DUP", NULL},
    ['F'] = {"FLOAT", NULL},
    ['I'] = {"INT", NULL},
    ['L'] = {"LONG", NULL},
    ['P'] = {"PERSID", NULL},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", NULL},
    ['U'] = {"SHORT_BINSTRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['d'] = {"DICT", NULL},
    ['g'] = {"GET", NULL},
    ['i'] = {"INST", NULL},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    [0x81] = {"NEWOBJ", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

int pickle_step(struct pickle_machine *machine)
{
    const unsigned char *byte;
    machine->opcode = machine->at;
    int code = pickle_take(machine, 1, &byte);
    if (code) return code;
    if (opcodes[*byte].run) return opcodes[*byte].run(machine);
    if (opcodes[*byte].name)
        return pickle_fail(machine, KEN_EUNSUPPORTED, "the opcode %s is none that a state dict needs", opcodes[*byte].name);
    return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "0x%02x is no opcode", *byte);
}
