/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts that read deltas share. */
#ifndef KEN_DELTA_INTERNAL_H
#define KEN_DELTA_INTERNAL_H

#include "arena.h"
#include "delta/delta.h"
#include "digest.h"
#include "options.h"

#include <stddef.h>
#include <stdint.h>

enum { KEN_DELTA_LABEL_SIZE = 160 };

/* Where the stored values of a tensor are. */
struct ken_delta_entries {
    const struct ken_tensor *values; /* T.whole, T.values or T.packed; NULL for form `same` */
    const struct ken_tensor *places; /* T.mask or T.gaps; NULL for the other forms and in encoding packed */
    uint64_t elements, length;       /* of the tensor: elements, bytes */
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

/* A walk over the bytes of the model that a delta and its base make. Returns 0 or an error code, which ends the walk. */
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
/* Bytes of one file's header, to be freed. */
int ken_delta_header(const struct ken_delta *delta, size_t file, char **bytes, size_t *length, struct ken_error *error);

/* ---- one tensor's bytes, in pieces */

struct ken_delta_stream;

/* Made once for all tensors, whose sources are read one after the other. */
int ken_delta_stream_create(struct ken_delta_stream **stream, const struct ken_delta *delta, const struct ken_checkpoint *base,
                            struct ken_error *error);
void ken_delta_stream_free(struct ken_delta_stream **stream);
/* Begins a tensor. KEN_EMISMATCH if the base has no such one. */
int ken_delta_stream_begin(struct ken_delta_stream *stream, size_t tensor, struct ken_error *error);
/* The next piece, the stream's own; *length is 0 behind the last one, and then the base's digest and the delta's own numbers hold. */
int ken_delta_stream_next(struct ken_delta_stream *stream, const void **bytes, size_t *length, struct ken_error *error);

#endif
