/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/pickle.h"

#include "checkpoint/pickle_machine.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 160 };

/* The dict under that key of another, or NULL. */
static const struct pickle_dict *find_dict(const struct pickle_dict *dict, const char *key)
{
    for (size_t i = dict->count; i-- > 0;) {
        const struct pickle_pair *pair = &dict->pairs[i];
        bool is_key = pair->key.kind == PICKLE_STRING && pair->key.length == strlen(key) && memcmp(pair->key.text, key, strlen(key)) == 0;
        if (is_key) return pair->value.kind == PICKLE_DICT ? pair->value.dict : NULL;
    }
    return NULL;
}

/* Tensors are taken, plain values left out; what might hold tensors that would be lost is refused. */
static int add_item(const struct pickle_machine *machine, struct ken_pickle *pickle, const struct pickle_pair *pair, uint64_t max_items)
{
    char shown[SHOWN] = "";
    const struct pickle_value *key = &pair->key, *value = &pair->value;
    bool named = key->kind == PICKLE_STRING;
    if (named) ken_printable(shown, sizeof shown, key->text, key->length);
    switch ((enum pickle_kind)value->kind) {
    case PICKLE_TENSOR: break;
    case PICKLE_NONE:
    case PICKLE_BOOL:
    case PICKLE_INT:
    case PICKLE_FLOAT:
    case PICKLE_STRING:
    case PICKLE_BYTES: return KEN_OK;
    default:
        return ken_fail(machine->error, KEN_EUNSUPPORTED, "%s: torch file: the value of \"%s\" is %s, not a tensor" PICKLE_ADVICE,
                        machine->label, named ? shown : pickle_kind_name(key), pickle_kind_name(value));
    }
    if (!named)
        return ken_fail(machine->error, KEN_EUNSUPPORTED, "%s: torch file: the name of a tensor is %s, not a string", machine->label,
                        pickle_kind_name(key));
    if (ken_utf8_valid(key->text, key->length) < key->length)
        return ken_fail(machine->error, KEN_EBAD_CHECKPOINT, "%s: torch file: tensor \"%s\": its name is not valid UTF-8", machine->label,
                        shown);
    if (pickle->count == max_items)
        return ken_fail(machine->error, KEN_ETOO_LARGE, "%s: more than %" PRIu64 " tensors", machine->label, max_items);
    pickle->items[pickle->count++] = (struct ken_pickle_item){key->text, key->length, value->tensor};
    return KEN_OK;
}

static int take_state_dict(const struct pickle_machine *machine, struct ken_pickle *pickle, uint64_t max_items)
{
    static const char *const nests[] = {"state_dict", "model", "model_state_dict"};
    const struct pickle_value *value = pickle_top(machine);
    if (!value) return machine->error->code;
    if (value->kind != PICKLE_DICT)
        return ken_fail(machine->error, KEN_EUNSUPPORTED, "%s: torch file: it holds %s, not a state dict" PICKLE_ADVICE, machine->label,
                        pickle_kind_name(value));
    const struct pickle_dict *dict = value->dict, *nested = NULL;
    for (size_t i = 0; i < sizeof nests / sizeof *nests && !nested; i++) nested = find_dict(dict, nests[i]);
    if (nested) dict = nested;
    int code = pickle_check_room(machine, dict->count * sizeof *pickle->items);
    if (code) return code;
    pickle->items = calloc(dict->count + 1, sizeof *pickle->items);
    if (!pickle->items) return ken_fail_no_memory(machine->error, machine->label);
    for (size_t i = 0; i < dict->count && !code; i++) code = add_item(machine, pickle, &dict->pairs[i], max_items);
    if (!code && !pickle->count) return ken_fail(machine->error, KEN_EUNSUPPORTED, "%s: torch file: it holds no tensors", machine->label);
    return code;
}

int ken_pickle_read(struct ken_pickle *pickle, const unsigned char *bytes, size_t length, const char *label, uint64_t max_bytes,
                    uint64_t max_items, struct ken_error *error)
{
    struct ken_error own = {0};
    *pickle = (struct ken_pickle){0};
    struct pickle_machine machine = {
        .bytes = bytes, .length = length, .label = label, .max_bytes = max_bytes, .arena = &pickle->arena, .error = &own};
    int code = KEN_OK;
    while (!code && !machine.stopped) code = pickle_step(&machine);
    if (!code && machine.at < length) code = pickle_fail(&machine, KEN_EBAD_CHECKPOINT, "bytes follow the end of the pickle");
    if (!code) code = take_state_dict(&machine, pickle, max_items);
    for (const struct pickle_dict *dict = machine.dicts; dict; dict = dict->next) free(dict->pairs);
    free(machine.stack);
    free(machine.memo);
    if (code) {
        ken_pickle_free(pickle);
        if (error) *error = own;
    }
    return code;
}

void ken_pickle_free(struct ken_pickle *pickle)
{
    free(pickle->items);
    ken_arena_free(&pickle->arena);
    *pickle = (struct ken_pickle){0};
}
