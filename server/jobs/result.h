/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a pruning, kept beside its artifacts until the store knows it: a crash between the two goes on from there. */
#ifndef KEND_RESULT_H
#define KEND_RESULT_H

#include "jobs/store.h"
#include "job.h"
#include "pruning/prune.h"

struct kend_result {
    struct kend_artifact_list artifacts;
    char *summary; /* JSON text */
};
void kend_result_clear(struct kend_result *result);
/* From a finished pruning. KEN_ENOMEM. */
int kend_result_make(struct kend_result *result, const struct ken_prune *prune, const struct ken_options *options, struct ken_error *error);
/* Writes out/.kend/result.json below the working folder, which a finished pruning has left there, and syncs it. */
int kend_result_write(const struct kend_result *result, int directory, struct ken_error *error);
/* Reads what kend_result_write wrote, from a published job's file. KEN_EINTERNAL if it is not whole. */
int kend_result_read(struct kend_result *result, int file, uint64_t size, struct ken_error *error);
#define KEND_RESULT_NAME ".kend/result.json"

#endif
