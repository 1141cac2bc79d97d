/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 65536 - 64, ALIGNMENT = 8 };

struct ken_arena_block {
    struct ken_arena_block *next;
    size_t used, size;
    uint64_t bytes[]; /* [size / 8] */
};

static struct ken_arena_block *add_block(struct ken_arena *arena, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct ken_arena_block)) return NULL;
    struct ken_arena_block *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    *block = (struct ken_arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    return block;
}

void *ken_arena_allocate(struct ken_arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT) return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct ken_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) block = add_block(arena, size > BLOCK ? size : BLOCK);
    if (!block) return NULL;
    void *memory = (char *)block->bytes + block->used;
    block->used += size;
    arena->used += size;
    return memory;
}

char *ken_arena_copy(struct ken_arena *arena, const char *bytes, size_t length)
{
    char *copy = length < SIZE_MAX ? ken_arena_allocate(arena, length + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void ken_arena_free(struct ken_arena *arena)
{
    while (arena->blocks) {
        struct ken_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}
