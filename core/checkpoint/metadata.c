/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/metadata.h"

#include "arena.h"
#include "array.h"
#include "json_writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 160 };

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *ken_find_twice(const char **names, size_t count)
{
    if (count) qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0) return names[i];
    return NULL;
}

/* Keys, to find those that appear twice. */
struct key_list {
    struct ken_arena arena;
    const char **keys;
    size_t count, capacity;
};

static int add_key(struct key_list *list, const struct ken_json_reader *json, uint64_t max_entries, struct ken_error *error)
{
    if (list->count == max_entries)
        return ken_fail(error, KEN_ETOO_LARGE, "%s: more than %" PRIu64 " entries in __metadata__", json->subject, max_entries);
    if (memchr(json->text, '\0', json->length)) return ken_json_fail(json, error, "a key of __metadata__ has a NUL character");
    const char **keys = ken_array_grow(list->keys, list->count, &list->capacity, sizeof *keys);
    if (!keys) return ken_fail_no_memory(error, json->subject);
    list->keys = keys;
    const char *key = ken_arena_copy(&list->arena, json->text, json->length);
    if (!key) return ken_fail_no_memory(error, json->subject);
    list->keys[list->count++] = key;
    return KEN_OK;
}

static int copy_entries(struct ken_json_reader *json, uint64_t max_entries, struct ken_json_writer *writer, struct key_list *list,
                        struct ken_error *error)
{
    int code;
    while (!(code = ken_json_next(json, error)) && json->token == KEN_JSON_KEY) {
        if ((code = add_key(list, json, max_entries, error))) return code;
        ken_json_key_bytes(writer, json->text, json->length);
        if ((code = ken_json_expect(json, KEN_JSON_STRING, "a string in __metadata__", error))) return code;
        ken_json_string_bytes(writer, json->text, json->length);
    }
    const char *twice = code ? NULL : ken_find_twice(list->keys, list->count);
    char shown[SHOWN];
    if (!twice) return code;
    return ken_fail(error, json->code, "%s: key \"%s\" appears twice in __metadata__", json->subject,
                    ken_printable(shown, sizeof shown, twice, strlen(twice)));
}

int ken_metadata_read(struct ken_json_reader *json, uint64_t max_entries, char **text, size_t *length, struct ken_error *error)
{
    struct key_list list = {0};
    struct ken_json_writer writer;
    *text = NULL;
    ken_json_writer_init(&writer);
    ken_json_begin_object(&writer);
    int code = copy_entries(json, max_entries, &writer, &list, error);
    if (code) goto free_all;
    ken_json_end_object(&writer);
    if (ken_json_writer_take(&writer, text, length)) code = ken_fail_no_memory(error, json->subject);
free_all:
    ken_json_writer_free(&writer);
    ken_arena_free(&list.arena);
    free(list.keys);
    return code;
}
