/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_source.h"

#include <stdlib.h>
#include <string.h>

struct memory_source {
    struct ken_source source;
    struct memory_opener *opener;
    const unsigned char *bytes;
};

static int memory_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct memory_source *memory = (struct memory_source *)source;
    if (++memory->opener->reads == memory->opener->fail_read_at) return ken_fail(error, KEN_EIO, "a read failed on purpose");
    memcpy(buffer, memory->bytes + offset, length);
    return KEN_OK;
}

static void memory_close(struct ken_source *source)
{
    struct memory_source *memory = (struct memory_source *)source;
    memory->opener->open_sources--;
    free((void *)memory->bytes);
    free(memory);
}

static const struct ken_source_ops memory_ops = {.read = memory_read, .close = memory_close};

static int memory_open(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    struct memory_opener *memory = (struct memory_opener *)opener;
    const struct memory_file *file = NULL;
    if (memory->fail_open) return ken_fail(error, memory->fail_open, "opening failed on purpose");
    for (size_t i = 0; i < memory->count && !file; i++)
        if (!name || strcmp(memory->files[i].name, name) == 0) file = &memory->files[i];
    if (!file) return ken_fail(error, KEN_ENOT_FOUND, "%s is not there", name ? name : "the location");
    struct memory_source *made = malloc(sizeof *made);
    unsigned char *copy = malloc(file->length); /* of just this size: a read beyond it is seen by sanitizers */
    KEN_ASSERT(made && (copy || !file->length));
    if (file->length) memcpy(copy, file->bytes, file->length);
    *made = (struct memory_source){.source = {.ops = &memory_ops, .size = file->length}, .opener = memory, .bytes = copy};
    memory->open_sources++;
    *source = &made->source;
    return KEN_OK;
}

struct memory_opener make_opener(const struct memory_file *files, size_t count, bool is_folder)
{
    return (struct memory_opener){.opener = {.open = memory_open, .is_folder = is_folder}, .files = files, .count = count};
}

int open_memory(struct ken_checkpoint **checkpoint, const void *bytes, size_t length, const struct ken_checkpoint_limits *limits,
                struct ken_error *error)
{
    static struct memory_opener opener; /* outlives the call: its sources count themselves in it */
    const struct memory_file file = {.name = "model.safetensors", .bytes = bytes, .length = length};
    opener = make_opener(&file, 1, false);
    int code = ken_checkpoint_open(checkpoint, &opener.opener, limits, error);
    if (code) KEN_ASSERT(!opener.open_sources);
    opener.files = NULL;
    opener.count = 0;
    return code;
}
