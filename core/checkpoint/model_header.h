/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exact bytes of a safetensors header and of a sharded model's index: one piece of code for whoever writes a model (pruning, injecting)
 * or a delta, so that they cannot differ. DESIGN.md, "The pruned model".
 */
#ifndef KEN_MODEL_HEADER_H
#define KEN_MODEL_HEADER_H

#include "dtype.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEN_MODEL_FILE_NAME "model.safetensors"
#define KEN_MODEL_INDEX_NAME "model.safetensors.index.json"
enum { KEN_MODEL_NAME_SIZE = 64 };

/* One tensor as the header tells of it; borrowed. */
struct ken_header_tensor {
    const char *name;
    enum ken_dtype dtype;
    uint32_t rank;
    const uint64_t *shape; /* [rank] */
    uint64_t length;       /* bytes */
};

/*
 * Makes a whole header: 8 bytes of length, then compact JSON without needless escapes, padded with spaces to a multiple of 8.
 * metadata_json: an object in compact JSON, written first as __metadata__, or NULL. tensors [count] lie one behind the other in the order
 * given; the sum of their lengths must fit into 64 bits. *bytes [*length] is the caller's, to be freed. KEN_ENOMEM, or KEN_EINVALID for a
 * name that is not UTF-8.
 */
int ken_model_header_make(char **bytes, size_t *length, const char *metadata_json, const struct ken_header_tensor *tensors, size_t count,
                          struct ken_error *error);

/* Name of file `index` of `count` in sorted order: model.safetensors without an index, model-00001-of-00003.safetensors with one. */
void ken_model_file_name(char name[KEN_MODEL_NAME_SIZE], size_t index, size_t count, bool has_index);

/* A tensor and the number of the file that holds it, from 0. */
struct ken_index_entry {
    const char *name;
    size_t file;
};

/*
 * Makes the index of a sharded model: {"metadata": {"total_size": ...}, "weight_map": {...}}, keys sorted by their UTF-8 bytes, indented by
 * two spaces, a newline at the end. entries [count] are sorted in place. total_size: bytes of all tensors. *text [*length] is the caller's,
 * to be freed. Errors as ken_model_header_make.
 */
int ken_model_index_make(char **text, size_t *length, struct ken_index_entry *entries, size_t count, size_t file_count, uint64_t total_size,
                         struct ken_error *error);

#endif
