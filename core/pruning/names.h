/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a checkpoint's tensors, and what of them may differ from those of another checkpoint of the same model: prefixes that one
 * side lacks, old names of a norm's parameters, other names of the same elements. docs/design/architecture.md, "Names".
 */
#ifndef KEN_NAMES_H
#define KEN_NAMES_H

#include "arena.h"
#include "checkpoint/checkpoint.h"

/* Matrices that models tie: the embedding of the input, and the head of the output. */
enum ken_tied_class { KEN_TIED_EMBEDDING, KEN_TIED_HEAD, KEN_TIED_CLASSES };
enum { KEN_NAME_PREFIXES = 8 };

/* A name without what may differ. */
struct ken_bare_name {
    unsigned char prefixes[KEN_NAME_PREFIXES]; /* numbers in the table, from 1; 0 behind the last */
    unsigned char ending;                      /* ".weight" or ".gamma", ".bias" or ".beta", or none of them; no part of the stem */
    uint32_t length;                           /* of the stem */
    const char *stem;                          /* [length] within the name */
};

/* A name of a tensor: its own, or another one for the same elements. */
struct ken_name {
    const char *text;
    const struct ken_tensor *tensor;
    bool tied; /* another one */
    struct ken_bare_name bare;
};

struct ken_names {
    const struct ken_checkpoint *checkpoint;
    struct ken_name *names; /* [count] sorted by their bare names, then as texts */
    size_t count;
    const struct ken_name **ties; /* [tie_count] those of them that are other names, sorted as texts */
    size_t tie_count;
    struct ken_arena arena; /* texts of ties */
};

/* Reads the names of both sides, and takes from each what the other lacks. Free both in any case; a zeroed one may be freed. */
int ken_names_read(struct ken_names *model, struct ken_names *base, const struct ken_checkpoint *of_model,
                   const struct ken_checkpoint *of_base, struct ken_error *error);
void ken_names_free(struct ken_names *names);
/* The tensor that has the name as its own or another one; NULL if there is none. */
const struct ken_tensor *ken_names_find(const struct ken_names *names, const char *text);
/* The order of bare names; 0 if they are the same. */
int ken_bare_name_compare(const struct ken_bare_name *a, const struct ken_bare_name *b);
/* The class of tied matrices that a name tells, KEN_TIED_CLASSES if it tells none. *word: its number in the table of the class. */
enum ken_tied_class ken_bare_name_class(const struct ken_bare_name *name, size_t *word);

#endif
