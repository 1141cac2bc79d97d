/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts that read deltas share. */
#ifndef KEN_DELTA_INTERNAL_H
#define KEN_DELTA_INTERNAL_H

#include "arena.h"
#include "delta/delta.h"
#include "delta/packed.h"
#include "digest.h"
#include "options.h"

#include <stddef.h>
#include <stdint.h>

enum { KEN_DELTA_LABEL_SIZE = 160 };

/* Where the stored values of a tensor are. */
struct ken_delta_entries {
    const struct ken_tensor *values; /* T.whole, T.values or T.packed; NULL for form `same` */
    const struct ken_tensor *places; /* T.mask or T.gaps; NULL for the other forms and in encoding packed */
    uint64_t elements, rows, length; /* of the tensor: elements, rows, bytes */
    size_t size, base_size;          /* bytes of an element, in the model and in the base; 1 where elements have not whole bytes: */
    uint64_t count;                  /* elements of that size */
    bool described;                  /* there is a member for it in `tensors` */
};

/* One file of the model. */
struct ken_delta_file {
    const char *name;
    const char *metadata_json; /* or NULL */
    size_t first, count;       /* its tensors */
};

struct ken_delta {
    struct ken_checkpoint *checkpoint; /* the delta's own entries */
    struct ken_arena arena;            /* names, shapes, metadata */
    enum ken_encoding encoding;
    struct ken_delta_file *files; /* [file_count] */
    size_t file_count;
    bool has_index;
    struct ken_delta_tensor *tensors;  /* [tensor_count], model order */
    struct ken_delta_entries *entries; /* [tensor_count] */
    size_t tensor_count;
    size_t *by_name; /* [tensor_count], sorted by name */
};

/* Fails with KEN_EBAD_DELTA and 'tensor "NAME": reason'. */
int ken_delta_fail(struct ken_error *error, const char *tensor, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Read the texts `model` and `tensors` of the metadata, in that order, into files and tensors. KEN_EBAD_DELTA with the byte of the text. */
int ken_delta_parse_model(struct ken_delta *delta, const char *text, size_t length, struct ken_error *error);
int ken_delta_parse_tensors(struct ken_delta *delta, const char *text, size_t length, struct ken_error *error);

/* The number of the tensor of that name, or tensor_count. */
size_t ken_delta_find(const struct ken_delta *delta, const char *name);

/* Between two pieces of work: tells how far it is, and whether to go on (else KEN_ECANCELLED). options may be NULL. */
static inline int ken_delta_go_on(const struct ken_inject_options *options, uint64_t done, uint64_t total, struct ken_error *error)
{
    if (options && options->cancelled && options->cancelled(options->opaque)) return ken_fail(error, KEN_ECANCELLED, "cancelled");
    if (options && options->progress) options->progress(options->opaque, done, total);
    return KEN_OK;
}

/* A walk over the bytes of the model that a delta and its base make. Returns 0 or an error code, which ends the walk. Each is called from
 * one thread at a time, but not always from the same. */
struct ken_delta_sink {
    /* A file begins: its header is [length]. */
    int (*begin)(void *opaque, size_t file, const char *header, size_t length, struct ken_error *error);
    /* The next bytes of a tensor. */
    int (*bytes)(void *opaque, size_t tensor, const void *bytes, size_t length, struct ken_error *error);
    /* All bytes of the file were given, but not all that is wrong with the delta and the base may be known before the walk's end. */
    int (*end)(void *opaque, size_t file, struct ken_error *error);
    void *opaque;
};
/* Reads everything once, in order, and checks it. sink NULL: only that. The model may be used only if this returns KEN_OK. */
int ken_delta_walk(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_delta_sink *sink,
                   const struct ken_inject_options *options, struct ken_error *error);
/* Bytes of one file's tensors, and of its header, to be freed. */
uint64_t ken_delta_file_bytes(const struct ken_delta *delta, size_t file);
int ken_delta_header(const struct ken_delta *delta, size_t file, char **bytes, size_t *length, struct ken_error *error);

/* ---- cutting: where the blocks of all tensors are, one after the other */

struct ken_delta_cut {
    size_t tensor;
    uint64_t first;                /* element */
    size_t count;                  /* elements; 0 only where the tensor has none */
    bool last;                     /* of the tensor */
    size_t stored;                 /* elements */
    uint64_t values;               /* where its values are in the delta, or its block of encoding packed */
    size_t values_length;          /* bytes */
    struct ken_packed_entry entry; /* encoding packed */
    const void *places;            /* form mask: bits [count]; form gaps: uint32_t [stored], counted from `first` */
    size_t places_length;          /* bytes */
};
/* Number of the block in its tensor, in encoding packed. */
uint64_t ken_delta_cut_number(const struct ken_delta *delta, const struct ken_delta_cut *cut);

struct ken_delta_cutter;
int ken_delta_cutter_create(struct ken_delta_cutter **cutter, const struct ken_delta *delta, struct ken_error *error);
void ken_delta_cutter_free(struct ken_delta_cutter **cutter);
/* Goes to the beginning of a tensor. */
void ken_delta_cutter_begin(struct ken_delta_cutter *cutter, size_t tensor);
/* The next block; its places are the cutter's, until the next call. Waits for masks, gaps and indexes, and checks them. */
int ken_delta_cutter_next(struct ken_delta_cutter *cutter, struct ken_delta_cut *cut, bool *ended, struct ken_error *error);
/* After a tensor's last block, so that what is wrong with a block can be told before: was everything used? Goes on to the next tensor. */
int ken_delta_cutter_finish(struct ken_delta_cutter *cutter, struct ken_error *error);

/* ---- one block */

struct ken_delta_block {
    const struct ken_delta *delta;
    const struct ken_tensor *base; /* or NULL */
    struct ken_source *base_source;
    struct ken_delta_cut cut;  /* places are the block's, whose memory they begin */
    unsigned char *base_bytes; /* [base_length] */
    size_t base_length;
    unsigned char *values; /* [values_length + KEN_PACKED_SLACK] */
    unsigned char *bytes;  /* [length] of the model; may be base_bytes */
    size_t length;
    int code; /* how it went */
    struct ken_error error;
    const char *misfit; /* why it does not go with the base; told only if the base turns out to be the right one */
};

/* Bytes of memory that a block takes, an unpacker's among them. */
uint64_t ken_delta_block_bytes(const struct ken_delta *delta, const struct ken_delta_cut *cut);
/* The base must have the tensors that the delta was made from. NULL if out of memory. */
struct ken_delta_block *ken_delta_block_create(const struct ken_delta *delta, const struct ken_checkpoint *base,
                                               const struct ken_delta_cut *cut);
void ken_delta_block_destroy(struct ken_delta_block **block);
/* Waits for the bytes that a block reads. */
int ken_delta_block_wait(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_delta_cut *cut,
                         struct ken_error *error);
/* Reads and decodes. On any thread. unpacker: for a block of encoding packed that is not empty. */
void ken_delta_block_run(struct ken_delta_block *block, struct ken_unpacker *unpacker);

/* ---- judging: whether the base is the one that the delta was made from */

/* Zeroed: of no tensor. */
struct ken_delta_judge {
    struct ken_digest digest; /* of the tensor's base */
    const char *misfit;       /* of the tensor's blocks, the last one that does not go with its base */
};

/* Takes all blocks of a tensor that went well, in order; with the last one, KEN_EDIGEST tells of another base. */
int ken_delta_judge_take(struct ken_delta_judge *judge, const struct ken_delta_block *block, struct ken_error *error);
void ken_delta_judge_free(struct ken_delta_judge *judge);
/* As ken_delta_check_base, of one tensor. */
int ken_delta_check_tensor(const struct ken_delta *delta, size_t tensor, const struct ken_checkpoint *base, struct ken_error *error);

/* ---- one tensor's bytes, in pieces, in one thread */

struct ken_delta_stream;

/* Made once for all tensors, which are read one after the other. */
int ken_delta_stream_create(struct ken_delta_stream **stream, const struct ken_delta *delta, const struct ken_checkpoint *base,
                            struct ken_error *error);
void ken_delta_stream_free(struct ken_delta_stream **stream);
/* Begins a tensor. KEN_EMISMATCH if the base has no such one. */
int ken_delta_stream_begin(struct ken_delta_stream *stream, size_t tensor, struct ken_error *error);
/* The next piece, the stream's own until the next call; *length is 0 behind the last one. Once all were given, the base's digest and the
 * delta's own numbers hold. */
int ken_delta_stream_next(struct ken_delta_stream *stream, const void **bytes, size_t *length, struct ken_error *error);

#endif
