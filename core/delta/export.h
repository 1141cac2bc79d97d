/* SPDX-License-Identifier: Apache-2.0 */
/* A delta in the layouts of other programs, which have the base in memory and put the stored values in their places. */
#ifndef KEN_EXPORT_H
#define KEN_EXPORT_H

#include "delta/delta.h"

#include <stddef.h>
#include <stdint.h>

/* symbol, name, the function of export.c that writes it */
#define KEN_EXPORT_MAP(X) X(TRL, "trl", write_trl)

#define X(symbol, name, writer) KEN_EXPORT_##symbol,
enum ken_export_format { KEN_EXPORT_MAP(X) KEN_EXPORT_COUNT };
#undef X

/* What was written. */
struct ken_export {
    size_t tensors, added; /* those of which values are stored; of them those that the base lacks */
    size_t renamed;        /* of them those that have another name in the base */
    uint64_t values;       /* stored */
    uint64_t elements;     /* of the whole model */
    uint64_t bytes;        /* of the file */
};

/* The format of that name; KEN_EINVALID names those that there are. */
int ken_export_find(enum ken_export_format *format, const char *name, struct ken_error *error);
/*
 * Writes the file `output`, in bounded memory, aside and renamed at the end. base: NULL if it is not at hand, which is KEN_EINVALID where
 * ken_delta_needs_base(); the base tensors of what is written are checked if it is. KEN_ETOO_LARGE or KEN_EUNSUPPORTED names a tensor that
 * the layout cannot hold. *written is set on success.
 */
int ken_delta_export(struct ken_export *written, const struct ken_delta *delta, const struct ken_checkpoint *base,
                     enum ken_export_format format, const char *output, const struct ken_inject_options *options, struct ken_error *error);

#endif
