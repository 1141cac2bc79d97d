/* SPDX-License-Identifier: Apache-2.0 */
/* The index of a sharded checkpoint, *.safetensors.index.json: which file holds which tensor. */
#ifndef KEN_INDEX_H
#define KEN_INDEX_H

#include "arena.h"
#include "checkpoint/checkpoint.h"
#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEN_SHARDS_MAX = 4096, KEN_FILE_NAME_MAX = 1024 };

struct ken_index_tensor {
    const char *name;
    uint32_t file;
};

/* Zeroed: empty. Names are the arena's. */
struct ken_index {
    struct ken_arena arena;
    const char **files; /* [file_count], sorted, distinct */
    size_t file_count;
    struct ken_index_tensor *tensors; /* [tensor_count], sorted by name, distinct */
    size_t tensor_count;
};

/*
 * Whether a file name from an index may be opened beside it: relative, of plain components (no empty one, no "." or ".."), without
 * backslash, control character, or anything that means something else in a URL than in a path (':', '?', '#', '%').
 */
bool ken_file_name_is_safe(const char *name, size_t length);

/* Reads the whole source as an index. label: its name in messages. KEN_EBAD_CHECKPOINT, KEN_ETOO_LARGE; the index is to be freed all the
 * same. */
int ken_index_read(struct ken_index *index, struct ken_source *source, const char *label, const struct ken_checkpoint_limits *limits,
                   struct ken_error *error);
void ken_index_free(struct ken_index *index);

#endif
