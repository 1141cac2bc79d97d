/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a plan, for the pruning of a pair alone; what others see of it is in prune.h. */
#ifndef KEN_PLAN_H
#define KEN_PLAN_H

#include "heatmap/cells.h"
#include "pruning/prune.h"

struct ken_names;

/*
 * Every tensor is worked on in units: the rows of a pruned one, spans of KEN_SPAN elements of any other (of bytes where an element has not
 * whole bytes). Sums of floating-point numbers are kept per unit, so units must not depend on memory or threads; blocks of units may.
 */
enum { KEN_SPAN = 16384 };

struct ken_entry {
    const struct ken_tensor *model,
        *base;                /* base: of the same shape, and of a dtype that can be one; or NULL. May be that of others, too */
    struct ken_amount amount; /* the rule's own; both 0: the variant's */
    enum ken_action action;   /* what is done: an added tensor or one of a dtype that is not pruned is kept */
    bool pruned;
    bool packed;                  /* elements have not whole bytes: a span is of bytes */
    bool tight;                   /* a row takes so much memory that outputs are made one after the other, see block.h */
    size_t size;                  /* bytes of an element, 1 if packed */
    uint64_t elements;            /* of the tensor; bytes if packed */
    uint64_t unit, units;         /* elements in a unit (the last span may be shorter), number of units */
    uint64_t block_units;         /* units in a block: blocks begin at multiples of it */
    struct ken_cells_shape cells; /* of a pruned tensor */
};

struct ken_plan {
    const struct ken_checkpoint *model, *base;
    const struct ken_options *options;
    struct ken_entry *entries; /* [model->tensor_count], the order of work */
    size_t *dropped;           /* [dropped_count] indexes of base tensors that are nothing's in the model */
    size_t dropped_count;
    char **warnings; /* [warning_count] */
    size_t warning_count;
    bool *used;             /* [options->rule_count + options->name_count] the rule, or names rule, matches a tensor */
    uint64_t *header_bytes; /* [model->file_count] of the dense files */
    uint64_t *file_bytes;   /* [model->file_count] of the dense files */
    struct ken_plan_totals totals;
};

/* A range of units of one tensor. */
struct ken_range {
    size_t tensor;
    uint64_t first, units;
};

/* Adds a warning of the report; KEN_ENOMEM. */
int ken_plan_warn(struct ken_plan *plan, struct ken_error *error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Between two tensors: KEN_ECANCELLED if nobody wants the plan any more. */
int ken_plan_go_on(const struct ken_plan_limits *limits, struct ken_error *error);
/* A tensor's name as messages show it; returns the buffer. */
enum { KEN_PLAN_NAME = 160 };
const char *ken_plan_show(char buffer[KEN_PLAN_NAME], const char *name);
/* Finds the base of every entry, and what is dropped, with warnings where there is none or no sure one. KEN_EMISMATCH if nothing that could
 * be pruned has one. */
int ken_plan_match(struct ken_plan *plan, const struct ken_plan_limits *limits, struct ken_error *error);
/* Fails with that, and tells the reasons ("" if there are none), names of both sides, and a rule that would help where it is seen. */
int ken_plan_mismatch(const struct ken_plan *plan, const struct ken_names *base, const char *reasons, struct ken_error *error);
/* The next block at or behind (*tensor, *unit), which is moved behind it; false at the end. */
bool ken_plan_next(const struct ken_plan *plan, size_t *tensor, uint64_t *unit, struct ken_range *range);
/* First element of a unit, and elements in a range of units. */
uint64_t ken_entry_first(const struct ken_entry *entry, uint64_t unit);
uint64_t ken_entry_elements(const struct ken_entry *entry, uint64_t first, uint64_t units);
/* Where the tensor's bytes begin in its dense file. */
uint64_t ken_plan_offset(const struct ken_plan *plan, size_t tensor);
/* The header of one dense file, and the index of all; the bytes are the caller's, to be freed. */
int ken_plan_header(const struct ken_plan *plan, size_t file, char **bytes, size_t *length, struct ken_error *error);
int ken_plan_index(const struct ken_plan *plan, char **text, size_t *length, struct ken_error *error);
/* SHA-256 over all that decides the outputs; for the tensors' bytes stands the state of their files. */
int ken_plan_fingerprint(const struct ken_plan *plan, unsigned char sha256[32], struct ken_error *error);

#endif
