/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a job, kept beside its artifacts until the store knows it: a crash between the two goes on from there. */
#ifndef KEND_RESULT_H
#define KEND_RESULT_H

#include "error.h"
#include "jobs/store.h"

struct kend_result {
    struct kend_artifact_list artifacts;
    char *summary; /* JSON text */
};
void kend_result_clear(struct kend_result *result);
/* Adds an artifact. KEN_ENOMEM. */
int kend_result_add(struct kend_result *result, const char *name, const char *variant, uint64_t size, const unsigned char sha256[32],
                    struct ken_error *error);
/* Takes over the summary; NULL is KEN_ENOMEM. */
int kend_result_summarize(struct kend_result *result, char *summary, struct ken_error *error);
/* Writes a text to the file `path` below a folder, and syncs it. */
int kend_result_write_text(int directory, const char *path, const char *text, struct ken_error *error);
/* Writes out/.kend/result.json below the working folder, which finished work has left there, and syncs it. */
int kend_result_write(const struct kend_result *result, int directory, struct ken_error *error);
/* Reads what kend_result_write wrote, from a published job's file. KEN_EINTERNAL if it is not whole. */
int kend_result_read(struct kend_result *result, int file, uint64_t size, struct ken_error *error);
#define KEND_RESULT_NAME ".kend/result.json"

#endif
