/* SPDX-License-Identifier: Apache-2.0 */
/* The job document, read: one table of fields for each of its objects. */
#include "error.h"
#include "input.h"
#include "job.h"
#include "job_names.h"
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- words */

/* Defines read_NAME, which reads one of a table's words into an enum. */
#define WORD_READER(name, map, word_type)                                                                                   \
    static void read_##name(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field) \
    {                                                                                                                       \
        static const char *const words[] = {map(WORD)};                                                                     \
        int index = proto_read_word(reader, place, value, words, COUNT(words));                                             \
        if (index >= 0) *(word_type *)field = (word_type)index;                                                             \
    }
#define WORD(symbol, name) name,
WORD_READER(kind, PROTO_KIND_MAP, enum proto_kind)
WORD_READER(method, KEN_METHOD_MAP, enum ken_method)
WORD_READER(rescale, KEN_RESCALE_MAP, enum ken_rescale)
WORD_READER(duplicates, KEN_DUPLICATES_MAP, enum ken_duplicates)
WORD_READER(non_finite, KEN_NON_FINITE_MAP, enum ken_non_finite)
WORD_READER(unmatched, KEN_UNMATCHED_MAP, enum ken_unmatched)
WORD_READER(action, KEN_ACTION_MAP, enum ken_action)
WORD_READER(delta_encoding, KEN_ENCODING_MAP, enum ken_encoding)
#undef WORD
#undef WORD_READER

#define X(symbol, name, bit) | symbol
enum { ALL_OUTPUTS = 0 KEN_OUTPUT_MAP(X) };
#undef X

static void read_outputs(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    static const struct {
        const char *name;
        unsigned bit;
    } outputs[] = {
#define X(symbol, text, flag) {.name = text, .bit = flag},
        KEN_OUTPUT_MAP(X)
#undef X
    };
    const char *words[COUNT(outputs)];
    for (size_t i = 0; i < COUNT(outputs); i++) words[i] = outputs[i].name;
    if (!proto_reader_expect(reader, place, value, JSON_ARRAY, "an array")) return;
    if (!json_array_size(value)) proto_reader_fault(reader, place, NULL, "must have at least one item");
    unsigned bits = 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct proto_place at = {.parent = place, .index = i};
        int index = proto_read_word(reader, &at, json_array_get(value, i), words, COUNT(words));
        if (index < 0) continue;
        if (bits & outputs[index].bit) proto_reader_fault(reader, &at, NULL, "\"%s\" is there twice", words[index]);
        bits |= outputs[index].bit;
    }
    *(unsigned *)field = bits;
}

static void read_model_output(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    const size_t before = reader->faults->count;
    read_outputs(reader, place, value, field);
    if (reader->faults->count == before && *(unsigned *)field != KEN_OUTPUT_MODEL)
        proto_reader_fault(reader, place, NULL, "can be [\"model\"] alone where a delta is injected");
}

/* ---- numbers */

static void read_k(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    proto_read_integer(reader, place, value, 1, INT64_MAX, field);
}

static void read_keep(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    double keep = json_number_value(value);
    if (!json_is_number(value))
        proto_reader_expect(reader, place, value, JSON_REAL, "a number");
    else if (!(keep > 0 && keep < 1))
        proto_reader_fault(reader, place, NULL, "must be greater than 0 and less than 1");
    else
        *(double *)field = keep;
}

static void read_seed(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    proto_read_integer(reader, place, value, 0, PROTO_MAX_SEED, field);
}

static void read_timeout(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    proto_read_integer(reader, place, value, 0, PROTO_MAX_TIMEOUT_SECONDS, field);
}

static bool has_amount(const json_t *object)
{
    return json_object_get(object, "k") || json_object_get(object, "keep");
}

static void check_one_amount(struct proto_reader *reader, const struct proto_place *place, const json_t *object)
{
    if (json_object_get(object, "k") && json_object_get(object, "keep"))
        proto_reader_fault(reader, place, "keep", "k and keep exclude each other");
}

/* ---- names and metadata */

static void read_name(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    const char *name = proto_read_name(reader, place, value, PROTO_MAX_NAME);
    if (name) proto_reader_set_text(reader, field, name);
}

static void read_metadata_value(struct proto_reader *reader, const struct proto_place *place, const char *key, const json_t *value)
{
    struct proto_place at = {.parent = place, .key = key};
    size_t characters = proto_count_characters(key);
    if (!characters || characters > PROTO_MAX_METADATA_KEY)
        proto_reader_fault(reader, &at, NULL, "a key must have 1 to %d characters", PROTO_MAX_METADATA_KEY);
    if (proto_has_control_characters(key)) proto_reader_fault(reader, &at, NULL, "a key must not hold control characters");
    if (!proto_reader_expect(reader, &at, value, JSON_STRING, "a string")) return;
    if (proto_count_characters(json_string_value(value)) > PROTO_MAX_METADATA_VALUE)
        proto_reader_fault(reader, &at, NULL, "must have at most %d characters", PROTO_MAX_METADATA_VALUE);
}

static int compare_metadata(const void *left, const void *right)
{
    const struct proto_metadata *a = left, *b = right;
    return strcmp(a->key, b->key);
}

static void read_metadata(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct proto_job *job = field;
    const char *key;
    json_t *item;
    if (!proto_reader_expect(reader, place, value, JSON_OBJECT, "an object")) return;
    size_t count = json_object_size(value);
    if (count > PROTO_MAX_METADATA) {
        proto_reader_fault(reader, place, NULL, "must have at most %d keys", PROTO_MAX_METADATA);
        return;
    }
    job->metadata = calloc(count + 1, sizeof *job->metadata);
    if (!job->metadata) {
        reader->no_memory = true;
        return;
    }
    json_object_foreach((json_t *)value, key, item)
    {
        struct proto_metadata *pair = &job->metadata[job->metadata_count++];
        read_metadata_value(reader, place, key, item);
        proto_reader_set_text(reader, &pair->key, key);
        proto_reader_set_text(reader, &pair->value, json_is_string(item) ? json_string_value(item) : "");
    }
    if (!reader->no_memory) qsort(job->metadata, count, sizeof *job->metadata, compare_metadata);
}

/* ---- rules */

static const struct proto_field rule_fields[] = {{"match", proto_read_glob, offsetof(struct ken_rule, match)},
                                                 {"action", read_action, offsetof(struct ken_rule, action)},
                                                 {"k", read_k, offsetof(struct ken_rule, amount.k)},
                                                 {"keep", read_keep, offsetof(struct ken_rule, amount.keep)}};

static void read_rule(struct proto_reader *reader, const struct proto_place *place, const json_t *value, struct ken_rule *rule)
{
    if (!proto_reader_expect(reader, place, value, JSON_OBJECT, "an object")) return;
    proto_read_fields(reader, place, value, rule_fields, COUNT(rule_fields), rule);
    check_one_amount(reader, place, value);
    if (!json_object_get(value, "match")) proto_reader_fault(reader, place, "match", "is required");
    if (!json_object_get(value, "action")) proto_reader_fault(reader, place, "action", "is required");
    if (rule->action == KEN_ACTION_PRUNE) return;
    const char *amount = json_object_get(value, "k") ? "k" : json_object_get(value, "keep") ? "keep" : NULL;
    if (amount) proto_reader_fault(reader, place, amount, "is for the action \"prune\" alone");
}

static void read_rules(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct ken_options *options = field;
    if (json_is_string(value)) {
        static const char *const presets[] = {"layers"};
        options->rules_layers = proto_read_word(reader, place, value, presets, COUNT(presets)) >= 0;
        return;
    }
    if (!proto_reader_expect(reader, place, value, JSON_ARRAY, "an array or \"layers\"")) return;
    size_t count = json_array_size(value);
    if (count > KEN_MAX_RULES) {
        proto_reader_fault(reader, place, NULL, "must have at most %d items", KEN_MAX_RULES);
        return;
    }
    options->rules = calloc(count + 1, sizeof *options->rules);
    if (!options->rules) {
        reader->no_memory = true;
        return;
    }
    for (options->rule_count = 0; options->rule_count < count; options->rule_count++) {
        struct proto_place at = {.parent = place, .index = options->rule_count};
        read_rule(reader, &at, json_array_get(value, at.index), &options->rules[at.index]);
    }
}

/* ---- variants */

/* [a-z0-9][a-z0-9._-]{0,63} */
static bool is_variant_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789", all[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strspn(name, all);
    return strspn(name, first) && !name[length] && length <= KEN_MAX_VARIANT_NAME;
}

static void read_variant_name(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return;
    if (is_variant_name(json_string_value(value)))
        memcpy(field, json_string_value(value), json_string_length(value) + 1);
    else
        proto_reader_fault(reader, place, NULL, "must match [a-z0-9][a-z0-9._-]{0,63}");
}

static const struct proto_field variant_fields[] = {{"name", read_variant_name, offsetof(struct ken_variant, name)},
                                                    {"k", read_k, offsetof(struct ken_variant, amount.k)},
                                                    {"keep", read_keep, offsetof(struct ken_variant, amount.keep)},
                                                    {"method", read_method, offsetof(struct ken_variant, method)},
                                                    {"rescale", read_rescale, offsetof(struct ken_variant, rescale)},
                                                    {"duplicates", read_duplicates, offsetof(struct ken_variant, duplicates)},
                                                    {"seed", read_seed, offsetof(struct ken_variant, seed)}};

static void read_variant(struct proto_reader *reader, const struct proto_place *place, const json_t *value, struct ken_variant *variant)
{
    if (!proto_reader_expect(reader, place, value, JSON_OBJECT, "an object")) return;
    proto_read_fields(reader, place, value, variant_fields, COUNT(variant_fields), variant);
    if (!json_object_get(value, "name")) proto_reader_fault(reader, place, "name", "is required");
    check_one_amount(reader, place, value);
    bool above = has_amount(reader->root);
    if (!above && !has_amount(value)) proto_reader_fault(reader, place, "k", "one of k and keep is required, here or for the whole job");
    if (above && has_amount(value))
        proto_reader_fault(reader, place, json_object_get(value, "k") ? "k" : "keep",
                           "k or keep is given for the whole job: give it there or in every variant");
}

static void check_variant_names(struct proto_reader *reader, const struct proto_place *place, const struct ken_options *options)
{
    for (size_t i = 0; i < options->variant_count; i++) {
        struct proto_place at = {.parent = place, .index = i};
        size_t j = 0;
        while (j < i && strcmp(options->variants[j].name, options->variants[i].name) != 0) j++;
        if (j < i && *options->variants[i].name) proto_reader_fault(reader, &at, "name", "is the name of /variants/%zu already", j);
    }
}

/* Comes after everything that a variant inherits, which is in variants[0]. */
static void read_variants(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct ken_options *options = field;
    const struct ken_variant common = options->variants[0];
    if (!proto_reader_expect(reader, place, value, JSON_ARRAY, "an array")) return;
    size_t count = json_array_size(value);
    if (!count || count > KEN_MAX_VARIANTS) {
        proto_reader_fault(reader, place, NULL, "must have 1 to %d items", KEN_MAX_VARIANTS);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct proto_place at = {.parent = place, .index = i};
        options->variants[i] = common;
        read_variant(reader, &at, json_array_get(value, i), &options->variants[i]);
    }
    options->variant_count = count;
    check_variant_names(reader, place, options);
}

/* ---- the document */

#define COMMON(field) offsetof(struct proto_job, options.variants[0].field)
#define OPTION(field) offsetof(struct proto_job, options.field)
#define LATER_FIELD(name) {name, proto_read_later, 0},
#define OTHER_FIELD(name) {name, proto_read_other_kind, 0},
static const struct proto_field prune_fields[] = {{"kind", read_kind, offsetof(struct proto_job, kind)},
                                                  {"name", read_name, offsetof(struct proto_job, name)},
                                                  {"model", proto_read_input, offsetof(struct proto_job, model)},
                                                  {"base", proto_read_input, offsetof(struct proto_job, base)},
                                                  {"method", read_method, COMMON(method)},
                                                  {"k", read_k, COMMON(amount.k)},
                                                  {"keep", read_keep, COMMON(amount.keep)},
                                                  {"rescale", read_rescale, COMMON(rescale)},
                                                  {"duplicates", read_duplicates, COMMON(duplicates)},
                                                  {"non_finite", read_non_finite, OPTION(non_finite)},
                                                  {"seed", read_seed, COMMON(seed)},
                                                  {"rules", read_rules, offsetof(struct proto_job, options)},
                                                  {"names", proto_read_names, offsetof(struct proto_job, options)},
                                                  {"unmatched", read_unmatched, OPTION(unmatched)},
                                                  {"variants", read_variants, offsetof(struct proto_job, options)},
                                                  {"outputs", read_outputs, OPTION(outputs)},
                                                  {"delta_encoding", read_delta_encoding, OPTION(encoding)},
                                                  {"metadata", read_metadata, 0},
                                                  {"timeout_seconds", read_timeout, offsetof(struct proto_job, timeout_seconds)},
                                                  PROTO_INJECT_FIELD_MAP(OTHER_FIELD) PROTO_LATER_FIELD_MAP(LATER_FIELD)};
static const struct proto_field inject_fields[] = {{"kind", read_kind, offsetof(struct proto_job, kind)},
                                                   {"name", read_name, offsetof(struct proto_job, name)},
                                                   {"base", proto_read_input, offsetof(struct proto_job, base)},
                                                   {"delta", proto_read_input, offsetof(struct proto_job, delta)},
                                                   {"outputs", read_model_output, OPTION(outputs)},
                                                   {"metadata", read_metadata, 0},
                                                   {"timeout_seconds", read_timeout, offsetof(struct proto_job, timeout_seconds)},
                                                   PROTO_PRUNE_FIELD_MAP(OTHER_FIELD) PROTO_LATER_FIELD_MAP(LATER_FIELD)};
#undef OTHER_FIELD
#undef LATER_FIELD

static void check_prune(struct proto_reader *reader, const struct proto_place *place)
{
    const json_t *root = reader->root;
    check_one_amount(reader, place, root);
    if (!json_object_get(root, "model")) proto_reader_fault(reader, place, "model", "is required");
    if (!json_object_get(root, "base")) proto_reader_fault(reader, place, "base", "is required");
    if (!has_amount(root) && !json_object_get(root, "variants"))
        proto_reader_fault(reader, place, "k", "one of k and keep is required, here or in every variant");
}

static void check_inject(struct proto_reader *reader, const struct proto_place *place)
{
    if (!json_object_get(reader->root, "base")) proto_reader_fault(reader, place, "base", "is required");
    if (!json_object_get(reader->root, "delta")) proto_reader_fault(reader, place, "delta", "is required");
}

/* What the document's kind is read as; one that is none is a prune job, with a fault. */
static enum proto_kind find_kind(const json_t *document)
{
    const char *kind = json_string_value(json_object_get(document, "kind"));
    return kind && strcmp(kind, proto_kind_name(PROTO_KIND_INJECT)) == 0 ? PROTO_KIND_INJECT : PROTO_KIND_PRUNE;
}

static void read_job(struct proto_reader *reader, struct proto_job *job)
{
    static const struct {
        const struct proto_field *fields;
        size_t count;
        void (*check)(struct proto_reader *reader, const struct proto_place *place); /* what the kind needs */
    } kinds[] = {
        [PROTO_KIND_PRUNE] = {prune_fields, COUNT(prune_fields), check_prune},
        [PROTO_KIND_INJECT] = {inject_fields, COUNT(inject_fields), check_inject},
    };
    static const struct proto_place root = {.parent = NULL};
    if (!proto_reader_expect(reader, &root, reader->root, JSON_OBJECT, "an object")) return;
    job->options.outputs = reader->kind == PROTO_KIND_INJECT ? KEN_OUTPUT_MODEL : ALL_OUTPUTS;
    proto_read_fields(reader, &root, reader->root, kinds[reader->kind].fields, kinds[reader->kind].count, job);
    kinds[reader->kind].check(reader, &root);
}

int proto_job_parse(struct proto_job **job, const json_t *document, const struct proto_policy *policy, struct proto_faults *faults)
{
    struct proto_reader reader = {.faults = faults, .policy = policy, .root = document, .kind = find_kind(document)};
    const size_t before = faults->count;
    *job = NULL;
    struct proto_job *made = calloc(1, sizeof *made);
    if (!made) return -1;
    made->options.variant_count = 1;
    read_job(&reader, made);
    if (reader.no_memory) proto_faults_clear(faults);
    if (reader.no_memory || faults->count > before) {
        proto_job_free(&made);
        return -1;
    }
    *job = made;
    return 0;
}
