/* SPDX-License-Identifier: Apache-2.0 */
/* The globals of a state dict, and what they stand for: torch/_utils.py and torch/serialization.py of PyTorch. */
#include "checkpoint/pickle_machine.h"
#include "checkpoint/shape.h"

#include <inttypes.h>
#include <string.h>

enum { SHOWN = 160 };

enum what { ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_DTYPE, REBUILD_PARAMETER, STORAGE_TYPE, UNTYPED_STORAGE, DTYPE };

struct pickle_global {
    const char *module, *name;
    enum what what;
    enum ken_dtype dtype; /* of STORAGE_TYPE and DTYPE */
};

static const struct pickle_global globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v3", REBUILD_TENSOR_DTYPE, 0},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
    {"torch", "DoubleStorage", STORAGE_TYPE, KEN_F64},
    {"torch", "FloatStorage", STORAGE_TYPE, KEN_F32},
    {"torch", "HalfStorage", STORAGE_TYPE, KEN_F16},
    {"torch", "BFloat16Storage", STORAGE_TYPE, KEN_BF16},
    {"torch", "ComplexFloatStorage", STORAGE_TYPE, KEN_C64},
    {"torch", "LongStorage", STORAGE_TYPE, KEN_I64},
    {"torch", "IntStorage", STORAGE_TYPE, KEN_I32},
    {"torch", "ShortStorage", STORAGE_TYPE, KEN_I16},
    {"torch", "CharStorage", STORAGE_TYPE, KEN_I8},
    {"torch", "ByteStorage", STORAGE_TYPE, KEN_U8},
    {"torch", "BoolStorage", STORAGE_TYPE, KEN_BOOL},
    {"torch", "UntypedStorage", UNTYPED_STORAGE, 0},
    {"torch.storage", "UntypedStorage", UNTYPED_STORAGE, 0},
    /* dtypes that have no class of storage of their own come with _rebuild_tensor_v3 */
    {"torch", "float64", DTYPE, KEN_F64},
    {"torch", "float32", DTYPE, KEN_F32},
    {"torch", "float16", DTYPE, KEN_F16},
    {"torch", "bfloat16", DTYPE, KEN_BF16},
    {"torch", "complex64", DTYPE, KEN_C64},
    {"torch", "int64", DTYPE, KEN_I64},
    {"torch", "uint64", DTYPE, KEN_U64},
    {"torch", "int32", DTYPE, KEN_I32},
    {"torch", "uint32", DTYPE, KEN_U32},
    {"torch", "int16", DTYPE, KEN_I16},
    {"torch", "uint16", DTYPE, KEN_U16},
    {"torch", "int8", DTYPE, KEN_I8},
    {"torch", "uint8", DTYPE, KEN_U8},
    {"torch", "bool", DTYPE, KEN_BOOL},
    {"torch", "float8_e5m2", DTYPE, KEN_F8_E5M2},
    {"torch", "float8_e4m3fn", DTYPE, KEN_F8_E4M3},
    {"torch", "float8_e8m0fnu", DTYPE, KEN_F8_E8M0},
};

static bool is(const char *text, const char *other, size_t length)
{
    return strlen(text) == length && memcmp(text, other, length) == 0;
}

int pickle_find_global(const struct pickle_machine *machine, const char *module, size_t module_length, const char *name, size_t name_length,
                       struct pickle_value *value)
{
    char shown_module[SHOWN], shown[SHOWN];
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (!is(globals[i].module, module, module_length) || !is(globals[i].name, name, name_length)) continue;
        *value = (struct pickle_value){.kind = PICKLE_GLOBAL, .global = &globals[i]};
        return KEN_OK;
    }
    /* What rebuilds another kind of tensor stands in a state dict, too. */
    const char *advice = is("torch._utils", module, module_length) ? "" : PICKLE_ADVICE;
    return pickle_fail(machine, KEN_EUNSUPPORTED, "the global \"%s.%s\" is none that a state dict needs%s; nothing of a pickle is executed",
                       ken_printable(shown_module, sizeof shown_module, module, module_length),
                       ken_printable(shown, sizeof shown, name, name_length), advice);
}

/* ---- tensors */

static bool take_size(const struct pickle_value *value, uint64_t *size)
{
    if (value->kind != PICKLE_INT || value->big || value->integer < 0) return false;
    *size = (uint64_t)value->integer;
    return true;
}

/* A tuple of sizes to an array [*rank]. */
static int take_sizes(const struct pickle_machine *machine, const struct pickle_value *tuple, const char *what, const uint64_t **sizes,
                      uint32_t *rank)
{
    if (tuple->kind != PICKLE_TUPLE) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor's %s is %s", what, pickle_kind_name(tuple));
    if (tuple->length > KEN_RANK_MAX) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor of more than %d dimensions", KEN_RANK_MAX);
    uint64_t *taken = pickle_allocate(machine, tuple->length * sizeof *taken);
    if (!taken) return machine->error->code;
    for (uint32_t i = 0; i < tuple->length; i++)
        if (!take_size(&tuple->items[i], &taken[i]))
            return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor's %s has what is no integer from 0 to 2^63-1", what);
    *sizes = taken;
    *rank = tuple->length;
    return KEN_OK;
}

/* Metadata, such as {"neg": True} of a view that is negated when it is read, change what the values mean: there may be none. */
static int check_metadata(const struct pickle_machine *machine, const struct pickle_value *metadata)
{
    char shown[SHOWN];
    if (metadata->kind == PICKLE_NONE || (metadata->kind == PICKLE_DICT && !metadata->dict->count)) return KEN_OK;
    if (metadata->kind != PICKLE_DICT)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor's metadata are %s", pickle_kind_name(metadata));
    const struct pickle_value *key = &metadata->dict->pairs[0].key;
    if (key->kind != PICKLE_STRING)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a key of a tensor's metadata is %s", pickle_kind_name(key));
    return pickle_fail(machine, KEN_EUNSUPPORTED, "a tensor with the metadata \"%s\": its values would have to be computed",
                       ken_printable(shown, sizeof shown, key->text, key->length));
}

/* (storage, offset, shape, strides, requires_grad, hooks[, metadata]), with a dtype before the metadata in the other version. */
static int rebuild_tensor(const struct pickle_machine *machine, bool has_dtype, const struct pickle_value *arguments,
                          struct pickle_value *result)
{
    const struct pickle_value *items = arguments->items;
    uint32_t rank = 0;
    if (arguments->length < 6U + has_dtype || arguments->length > 7U + has_dtype || items[0].kind != PICKLE_STORAGE)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor is made of other arguments than PyTorch's");
    if (has_dtype && (items[6].kind != PICKLE_GLOBAL || items[6].global->what != DTYPE))
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor's dtype is %s", pickle_kind_name(&items[6]));
    if (!has_dtype && !items[0].storage->typed) return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor has no dtype");
    int code = arguments->length == 7U + has_dtype ? check_metadata(machine, &items[6U + has_dtype]) : KEN_OK;
    if (code) return code;
    struct ken_pickle_tensor *tensor = pickle_allocate(machine, sizeof *tensor);
    if (!tensor) return machine->error->code;
    *tensor = (struct ken_pickle_tensor){
        .storage = items[0].storage,
        .dtype = has_dtype ? items[6].global->dtype : items[0].storage->dtype,
    };
    if (!take_size(&items[1], &tensor->offset))
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor's offset is no integer from 0 to 2^63-1");
    code = take_sizes(machine, &items[2], "shape", &tensor->shape, &tensor->rank);
    if (!code) code = take_sizes(machine, &items[3], "strides", &tensor->strides, &rank);
    if (code) return code;
    if (rank != tensor->rank)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a tensor has %u dimensions, but %u strides", tensor->rank, rank);
    *result = (struct pickle_value){.kind = PICKLE_TENSOR, .tensor = tensor};
    return KEN_OK;
}

int pickle_call(struct pickle_machine *machine, const struct pickle_value *global, const struct pickle_value *arguments,
                struct pickle_value *result)
{
    if (global->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "%s is called with %s", pickle_kind_name(global), pickle_kind_name(arguments));
    switch (global->global->what) {
    case ORDERED_DICT:
        if (arguments->length) return pickle_fail(machine, KEN_EUNSUPPORTED, "an OrderedDict that is made of arguments");
        *result = (struct pickle_value){.kind = PICKLE_DICT, .dict = pickle_dict_create(machine)};
        return result->dict ? KEN_OK : machine->error->code;
    case REBUILD_TENSOR:
    case REBUILD_TENSOR_DTYPE: return rebuild_tensor(machine, global->global->what == REBUILD_TENSOR_DTYPE, arguments, result);
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (arguments->length != 3 || arguments->items[0].kind != PICKLE_TENSOR)
            return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a parameter is made of other arguments than PyTorch's");
        *result = arguments->items[0];
        return KEN_OK;
    case STORAGE_TYPE:
    case UNTYPED_STORAGE:
    case DTYPE: break;
    }
    return pickle_fail(machine, KEN_EUNSUPPORTED, "a call of \"%s.%s\"", global->global->module, global->global->name);
}

/* ---- storages */

/* ("storage", class, key, location, elements); of an untyped storage, elements are bytes. */
int pickle_persistent(const struct pickle_machine *machine, const struct pickle_value *id, struct pickle_value *storage)
{
    const struct pickle_value *items = id->items;
    uint64_t count, bytes;
    if (id->kind != PICKLE_TUPLE || id->length != 5 || items[0].kind != PICKLE_STRING || !is("storage", items[0].text, items[0].length) ||
        items[1].kind != PICKLE_GLOBAL || items[2].kind != PICKLE_STRING || items[3].kind != PICKLE_STRING || !take_size(&items[4], &count))
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a persistent id is not that of a storage");
    const struct pickle_global *type = items[1].global;
    if (type->what != STORAGE_TYPE && type->what != UNTYPED_STORAGE)
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a storage's class is \"%s.%s\"", type->module, type->name);
    bool typed = type->what == STORAGE_TYPE;
    if (__builtin_mul_overflow(count, typed ? ken_dtype_size(type->dtype) : 1, &bytes))
        return pickle_fail(machine, KEN_EBAD_CHECKPOINT, "a storage of %" PRIu64 " elements is too large", count);
    struct ken_pickle_storage *made = pickle_allocate(machine, sizeof *made);
    if (!made) return machine->error->code;
    *made = (struct ken_pickle_storage){
        .key = items[2].text, .key_length = items[2].length, .typed = typed, .dtype = type->dtype, .bytes = bytes};
    *storage = (struct pickle_value){.kind = PICKLE_STORAGE, .storage = made};
    return KEN_OK;
}
