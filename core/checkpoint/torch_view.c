/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/torch_view.h"

#include <stdlib.h>
#include <string.h>

enum { VIEW_MAGIC = 0x4b545657, ELEMENT_MAX = 8 };

struct view {
    struct ken_source source;
    unsigned magic;
    struct ken_source *file;
    char *header; /* [header_length] */
    uint64_t header_length;
    struct ken_torch_part *parts; /* [count] */
    size_t count;
    struct ken_arena arena;
};

static struct view *view_of(struct ken_source *source)
{
    struct view *view = (struct view *)source;
    KEN_ASSERT(view->magic == VIEW_MAGIC);
    return view;
}

/* The part that has that byte of the view. */
static size_t find(const struct view *view, uint64_t offset)
{
    size_t low = 0, high = view->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (view->parts[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    KEN_ASSERT(low < view->count && offset - view->parts[low].offset < view->parts[low].length);
    return low;
}

/* ---- waiting */

static int wait_for_part(const struct view *view, const struct ken_torch_part *part, uint64_t offset, uint64_t length,
                         struct ken_error *error)
{
    const struct ken_strided *elements = &part->elements;
    if (ken_strided_is_plain(elements)) return ken_source_wait(view->file, elements->begin + offset, length, error);
    return ken_source_wait(view->file, elements->begin, elements->span, error);
}

static int view_wait(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error)
{
    const struct view *view = view_of(source);
    uint64_t end = offset + length;
    if (offset < view->header_length) offset = view->header_length;
    int code = KEN_OK;
    for (size_t i = offset < end ? find(view, offset) : 0; !code && offset < end; i++) {
        const struct ken_torch_part *part = &view->parts[i];
        uint64_t behind = part->offset + part->length, to = end < behind ? end : behind;
        code = wait_for_part(view, part, offset - part->offset, to - offset, error);
        offset = to;
    }
    return code;
}

/* ---- reading */

/* Reads bytes of one part, which may begin or end within an element. */
static int read_part(const struct view *view, const struct ken_torch_part *part, uint64_t offset, unsigned char *out, size_t length,
                     struct ken_error *error)
{
    const struct ken_strided *elements = &part->elements;
    unsigned char one[ELEMENT_MAX];
    size_t size = elements->element;
    if (ken_strided_is_plain(elements)) return ken_source_read(view->file, elements->begin + offset, out, length, error);
    while (length) {
        size_t within = offset % size, count = length;
        bool broken = within || length < size;
        if (broken && count > size - within) count = size - within;
        if (!broken) count -= count % size;
        int code = ken_strided_read(elements, view->file, offset / size, broken ? 1 : count / size, broken ? one : out, error);
        if (code) return code;
        if (broken) memcpy(out, one + within, count);
        offset += count;
        out += count;
        length -= count;
    }
    return KEN_OK;
}

static int view_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct view *view = view_of(source);
    unsigned char *out = buffer;
    int code = KEN_OK;
    if (offset < view->header_length) {
        size_t count = length < view->header_length - offset ? length : (size_t)(view->header_length - offset);
        memcpy(out, view->header + offset, count);
        offset += count;
        out += count;
        length -= count;
    }
    for (size_t i = length ? find(view, offset) : 0; !code && length; i++) {
        const struct ken_torch_part *part = &view->parts[i];
        uint64_t left = part->offset + part->length - offset;
        size_t count = length < left ? length : (size_t)left;
        code = read_part(view, part, offset - part->offset, out, count, error);
        offset += count;
        out += count;
        length -= count;
    }
    return code;
}

/* ---- */

static int view_digest(struct ken_source *source, unsigned char sha256[32], struct ken_error *error)
{
    return ken_source_digest(view_of(source)->file, sha256, error);
}

static int view_check(struct ken_source *source, struct ken_error *error)
{
    return ken_source_check(view_of(source)->file, error);
}

static void view_close(struct ken_source *source)
{
    struct view *view = view_of(source);
    ken_source_close(&view->file);
    free(view->header);
    free(view->parts);
    ken_arena_free(&view->arena);
    view->magic = 0;
    free(view);
}

static const struct ken_source_ops view_ops = {
    .wait = view_wait,
    .read = view_read,
    .digest = view_digest,
    .check = view_check,
    .close = view_close,
};

int ken_torch_view_create(struct ken_source **view, struct ken_source *file, char *header, size_t header_length,
                          struct ken_torch_part *parts, size_t count, struct ken_arena *arena, struct ken_error *error)
{
    struct view *made = malloc(sizeof *made);
    if (!made) return ken_fail(error, KEN_ENOMEM, "out of memory for opening a checkpoint");
    *made = (struct view){
        .source = {.ops = &view_ops, .size = header_length, .tells_digest = file->tells_digest, .has_state = file->has_state},
        .magic = VIEW_MAGIC,
        .file = file,
        .header = header,
        .header_length = header_length,
        .parts = parts,
        .count = count,
        .arena = *arena,
    };
    memcpy(made->source.state, file->state, sizeof file->state);
    if (count) made->source.size = parts[count - 1].offset + parts[count - 1].length;
    *arena = (struct ken_arena){0};
    *view = &made->source;
    return KEN_OK;
}
