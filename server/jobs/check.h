/* SPDX-License-Identifier: Apache-2.0 */
/* The check stage: the headers of all inputs, the plan, and whether disk and memory suffice, before any weight is fetched. */
#ifndef KEND_CHECK_H
#define KEND_CHECK_H

#include "checkpoint/checkpoint.h"
#include "fetch/fetch.h"
#include "jobs/engine.h"

enum { KEND_SIDES = 2 };
struct kend_kind;

/* One input that has been looked at. */
struct kend_side {
    struct kend_location *location;
    struct ken_checkpoint *checkpoint; /* NULL where it became the check's delta */
    uint64_t files, tensors, bytes;
};

/* What a job needs and makes, from headers alone. */
struct kend_need {
    uint64_t rows;              /* that its progress counts */
    uint64_t disk_bytes;        /* in the working folder at the peak, at most */
    uint64_t memory_bytes;      /* of buffers */
    uint64_t pruned_parameters; /* of each variant */
    uint64_t model_bytes;       /* of an inject job: what it makes, but for the index */
};

/* Inputs that have been looked at. A zeroed struct is "nothing open". */
struct kend_check {
    const struct kend_kind *kind;
    struct kend_side sides[KEND_SIDES]; /* as the kind has them */
    struct ken_plan *plan;              /* of a prune job; borrows the checkpoints and the job's options */
    struct ken_delta *delta;            /* of an inject job */
    struct kend_need need;
    const char *pointer; /* whose fault a failure is: "/model", "/base", "/delta" or "" (several, or the machine); static */
};

/* Who asks, and how to stop it: as in kend_location_request. */
struct kend_check_request {
    const struct proto_job *job; /* borrowed for the life of the check */
    const char *owner;
    bool (*cancelled)(void *opaque);
    void (*note)(void *opaque, const char *text);
    void *opaque;
    struct kend_turn *turn; /* reserves room in the cache for the job's files; NULL for a dry run */
    const char *id;         /* of the job, whose earlier attempts may have left outputs; NULL for a dry run, which changes nothing */
};

/* Whatever fails: an enum ken_code, and the check is closed again. KEN_ENO_SPACE and KEN_ETOO_LARGE say what is needed and what there is;
 * KEN_EBUSY: running jobs hold the room that is missing, see kend_turn_wait.
 */
int kend_check_open(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                    struct ken_error *error);
void kend_check_close(struct kend_check *check);
/* The plan as a dry run answers it. A new reference, or NULL if out of memory. At most KEND_PLAN_TENSORS tensors are listed. */
enum { KEND_PLAN_TENSORS = 1000 };
json_t *kend_check_to_json(const struct kend_check *check, const struct proto_job *job);
/* The state of all locations together. */
void kend_check_state(const struct kend_check *check, struct kend_location_state *state);

#endif
