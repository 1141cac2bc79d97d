/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of jobs: what is looked at, planned, done and told of for each. All else is the same for all of them. */
#ifndef KEND_KIND_H
#define KEND_KIND_H

#include "delta/delta.h"
#include "job.h"
#include "jobs/check.h"
#include "jobs/result.h"
#include "plan_view.h"
#include "pruning/prune.h"

/* A running job's work. A zeroed struct: nothing was begun. */
struct kend_work {
    const struct kend_check *check; /* borrowed, as all below */
    const struct proto_job *job;
    struct ken_executor *executor;
    struct ken_budget *budget;
    int directory;                   /* the job's working folder */
    bool (*cancelled)(void *opaque); /* any thread */
    void (*rows)(void *opaque, uint64_t rows);
    void (*durable_rows)(void *opaque, uint64_t rows);
    void *opaque;

    struct ken_prune *prune;       /* of a prune job */
    struct ken_inject_file *files; /* of an inject job */
};

/* A field of the document that is an input. */
struct kend_kind_side {
    const char *name, *pointer;
    size_t input; /* offset in struct proto_job */
    bool is_delta;
};

struct kend_kind {
    struct kend_kind_side sides[KEND_SIDES];
    bool resumes; /* takes up what an earlier attempt left in the working folder; else that is removed first */
    /* Fills plan or delta, and need, from the checkpoints of the sides, which are open. */
    int (*plan)(struct kend_check *check, const struct kend_parts *parts, const struct kend_check_request *request,
                struct ken_error *error);
    /* "totals", "variants", "warnings" and "tensors" of the plan, of which at most KEND_PLAN_TENSORS are listed. A new reference. */
    json_t *(*plan_to_json)(const struct kend_check *check, const struct proto_job *job);
    /* Opens the working folder; *resumed_rows need not be done again. */
    int (*open)(struct kend_work *work, uint64_t *resumed_rows, struct ken_error *error);
    /* Stage "pruning", which begins while the inputs are still being fetched. KEN_EDIGEST: the base is another one than the delta's. */
    int (*run)(struct kend_work *work, struct ken_error *error);
    /* Stage "publishing": all that belongs to the artifacts is in out/ and durable, and the result tells of it. */
    int (*finish)(struct kend_work *work, struct kend_result *result, struct ken_error *error);
    void (*close)(struct kend_work *work);
};

const struct kend_kind *kend_kind_of(const struct proto_job *job);

/* prune_kind.c, inject_kind.c */
extern const struct kend_kind kend_kind_prune, kend_kind_inject;

#endif
