/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint: one or more safetensors or torch files and what their headers say, wholly checked. */
#ifndef KEN_CHECKPOINT_H
#define KEN_CHECKPOINT_H

#include "dtype.h"
#include "error.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ken_tensor {
    const char *name; /* NUL-terminated UTF-8 without NUL inside; owned by the checkpoint */
    enum ken_dtype dtype;
    uint32_t file;         /* index into files */
    uint32_t rank;         /* number of dimensions; 0 for a scalar */
    const uint64_t *shape; /* [rank] */
    uint64_t rows, n;      /* rows of n elements as KEN.md defines them; rows * n = elements; a tensor without elements has rows or n = 0 */
    uint64_t offset, length; /* bytes in the file's source, counted from its beginning */
};

/* Another name of a tensor: in a torch file, two names may stand for the same elements of the same storage. */
struct ken_tie {
    const char *name, *of; /* of: the tensor's name */
    uint32_t file;
};

struct ken_checkpoint_file {
    const char *name;          /* relative to the checkpoint; "model.safetensors" for a single file, whatever it was called */
    const char *label;         /* what people call it, printable: by the opener's label where it is a single file, else its name */
    struct ken_source *source; /* owned; of a torch file, a view that has the tensors' bytes as a safetensors file would */
    struct ken_source *stored; /* the file as it is stored, which size and digest are of: source, or what the view reads (owned by it) */
    uint64_t data_offset;      /* where the tensors' bytes begin */
    size_t metadata_length;    /* bytes of metadata_json */
    const char *metadata_json; /* __metadata__ of the header as a compact JSON object, keys in the file's order; NULL if there was none */
    size_t first, count;       /* its tensors: tensors[first .. first + count), in ascending offset */
};

struct ken_checkpoint {
    struct ken_checkpoint_file *files; /* [file_count], sorted by name */
    size_t file_count;
    struct ken_tensor
        *tensors; /* [tensor_count], grouped by file, ascending offset within (an empty tensor before the one that begins where it does) */
    size_t tensor_count;
    const struct ken_tie *ties; /* [tie_count], by file, in the order of each one's state dict */
    size_t tie_count;
    bool has_index; /* it came with an index, hence is written back with one */
    void *internal; /* lookup table and arenas */
};

struct ken_checkpoint_limits {
    uint64_t
        max_header_bytes;    /* per header or index, and for names, shapes and metadata of all headers in memory; more is KEN_ETOO_LARGE */
    uint64_t max_tensors;    /* in all; more is KEN_ETOO_LARGE */
    uint64_t max_name_bytes; /* of a tensor's name; more is KEN_EBAD_CHECKPOINT. 0: KEN_TENSOR_NAME_MAX */
};
enum { KEN_TENSOR_NAME_MAX = 4096 };
#define KEN_DEFAULT_MAX_HEADER_BYTES UINT64_C(25000000)
#define KEN_DEFAULT_MAX_TENSORS UINT64_C(100000)

/*
 * Opens what the opener finds and reads the headers only, as streams. What a file is, is told from its content: a safetensors file, a
 * JSON index, a torch file (zip; the older formats are KEN_EUNSUPPORTED, by name). A folder is probed for model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json, in that order. limits: NULL for the defaults. *checkpoint
 * is owned by the caller, the opener may go. KEN_EBAD_CHECKPOINT names the file, the tensor or byte, and the reason.
 */
int ken_checkpoint_open(struct ken_checkpoint **checkpoint, struct ken_opener *opener, const struct ken_checkpoint_limits *limits,
                        struct ken_error *error);
/* Opens a path: a file, an index, or a folder. Names are vetted; symbolic links are followed (the path is the user's own). */
int ken_checkpoint_open_path(struct ken_checkpoint **checkpoint, const char *path, const struct ken_checkpoint_limits *limits,
                             struct ken_error *error);
/* Closes the sources too; *checkpoint becomes NULL; nothing if it is. */
void ken_checkpoint_close(struct ken_checkpoint **checkpoint);
/* The tensor of that name, or NULL. */
const struct ken_tensor *ken_checkpoint_find(const struct ken_checkpoint *checkpoint, const char *name);
/* Elements of a tensor: rows * n. */
uint64_t ken_tensor_elements(const struct ken_tensor *tensor);
/* Whether two tensors have the same shape. */
bool ken_tensor_same_shape(const struct ken_tensor *a, const struct ken_tensor *b);

#endif
