/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is handed out in small pieces and given back all at once. */
#ifndef KEN_ARENA_H
#define KEN_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct ken_arena_block;

/* Zeroed: empty. */
struct ken_arena {
    struct ken_arena_block *blocks;
    uint64_t used; /* bytes asked for */
};

/* Memory of that size, aligned to 8 bytes, until the arena is freed; NULL if out of memory. */
void *ken_arena_allocate(struct ken_arena *arena, size_t size);
/* A copy of bytes [length] with a NUL behind. */
char *ken_arena_copy(struct ken_arena *arena, const char *bytes, size_t length);
void ken_arena_free(struct ken_arena *arena);

#endif
