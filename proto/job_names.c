/* SPDX-License-Identifier: Apache-2.0 */
#include "job_names.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>

void proto_read_glob(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return;
    size_t length = json_string_length(value);
    if (!length || length > KEN_MAX_GLOB)
        proto_reader_fault(reader, place, NULL, "must have 1 to %d bytes", KEN_MAX_GLOB);
    else if (proto_has_control_characters(json_string_value(value)))
        proto_reader_fault(reader, place, NULL, "must not hold control characters");
    else
        memcpy(field, json_string_value(value), length + 1);
}

static const struct proto_field renaming_fields[] = {{"match", proto_read_glob, offsetof(struct ken_renaming, match)},
                                                     {"base", proto_read_glob, offsetof(struct ken_renaming, base)}};

static void check_wildcards(struct proto_reader *reader, const struct proto_place *place, const struct ken_renaming *renaming)
{
    static const char wildcards[] = "*?";
    for (const char *wildcard = wildcards; *wildcard; wildcard++) {
        size_t there = ken_glob_count(renaming->match, *wildcard), wanted = ken_glob_count(renaming->base, *wildcard);
        if (wanted > there)
            proto_reader_fault(reader, place, "base", "has %zu \"%c\", but what each stands for comes from \"match\", which has %zu",
                               wanted, *wildcard, there);
    }
}

static void read_renaming(struct proto_reader *reader, const struct proto_place *place, const json_t *value, struct ken_renaming *renaming)
{
    if (!proto_reader_expect(reader, place, value, JSON_OBJECT, "an object")) return;
    proto_read_fields(reader, place, value, renaming_fields, sizeof renaming_fields / sizeof *renaming_fields, renaming);
    if (!json_object_get(value, "match")) proto_reader_fault(reader, place, "match", "is required");
    if (!json_object_get(value, "base")) proto_reader_fault(reader, place, "base", "is required");
    if (*renaming->match) check_wildcards(reader, place, renaming);
}

void proto_read_names(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct ken_options *options = field;
    if (!proto_reader_expect(reader, place, value, JSON_ARRAY, "an array")) return;
    size_t count = json_array_size(value);
    if (count > KEN_MAX_RULES) {
        proto_reader_fault(reader, place, NULL, "must have at most %d items", KEN_MAX_RULES);
        return;
    }
    options->names = calloc(count + 1, sizeof *options->names);
    if (!options->names) {
        reader->no_memory = true;
        return;
    }
    for (options->name_count = 0; options->name_count < count; options->name_count++) {
        struct proto_place at = {.parent = place, .index = options->name_count};
        read_renaming(reader, &at, json_array_get(value, at.index), &options->names[at.index]);
    }
}

json_t *proto_names_to_json(const struct ken_options *options)
{
    json_t *array = json_array();
    for (size_t i = 0; i < options->name_count; i++) {
        json_t *object = proto_json_set_text(json_object(), "match", options->names[i].match);
        array = proto_json_append(array, proto_json_set_text(object, "base", options->names[i].base));
    }
    return array;
}
