/* SPDX-License-Identifier: Apache-2.0 */
#include "json_load.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool short_of_memory;

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    short_of_memory |= !memory;
    return memory;
}

void proto_json_watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

/* The document, unless something is missing in it. */
static json_t *whole(json_t *document, json_error_t *error)
{
    if (!short_of_memory) return document;
    json_decref(document);
    *error->text = '\0';
    return NULL;
}

json_t *proto_json_load(const char *text, size_t length, size_t flags, json_error_t *error)
{
    json_error_t unseen;
    if (!error) error = &unseen;
    short_of_memory = false;
    return whole(json_loadb(text, length, flags, error), error);
}

json_t *proto_json_load_file(int file, size_t flags)
{
    json_error_t error;
    short_of_memory = false;
    return whole(json_loadfd(file, flags, &error), &error);
}

char *proto_json_dump(const json_t *document, size_t flags)
{
    short_of_memory = false;
    char *text = json_dumps(document, flags);
    if (!short_of_memory) return text;
    free(text);
    return NULL;
}

json_t *proto_json_load_text(const char *text)
{
    return text ? proto_json_load(text, strlen(text), 0, NULL) : NULL;
}
