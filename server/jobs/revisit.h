/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A finished job's inputs, opened once more beside its delta. They are looked for by the job's owner and URLs in what is cached (or lies on
 * the disk, for file: URLs), never asked for again, and are used only if they are the very bytes that the job had: docs/design/threats.md.
 */
#ifndef KEND_REVISIT_H
#define KEND_REVISIT_H

#include "inspect/pair.h"
#include "jobs/engine.h"

struct kend_revisit {
    struct ken_pair pair;
    struct proto_job *job; /* with the one variant */
    struct kend_location *locations[2];
    struct ken_checkpoint *checkpoints[2];
    struct ken_plan *plan;
};

/* What it takes to open one. */
struct kend_revisit_request {
    const struct kend_conf *conf;
    struct kend_fetcher *fetcher;
    const struct kend_job *job;
    const json_t *spec;   /* the job's document */
    const char *variant;  /* "" for the only one */
    const json_t *inputs; /* of kend_inputs_read */
    int cells, delta;     /* the job's files, of so many bytes; borrowed */
    uint64_t cells_bytes, delta_bytes;
};

/*
 * Opens and checks. Any thread; blocks on the disk alone. KEN_ENOT_FOUND: an input is not there any more as the job used it. KEN_ENOMEM,
 * KEN_EIO, KEN_EINTERNAL. To be closed in any case.
 */
int kend_revisit_open(struct kend_revisit *revisit, const struct kend_revisit_request *request, struct ken_error *error);
/* After reading: KEN_ENOT_FOUND if an input has changed meanwhile, so that nothing that was read is to be used. */
int kend_revisit_check(const struct kend_revisit *revisit, struct ken_error *error);
void kend_revisit_close(struct kend_revisit *revisit);

#endif
