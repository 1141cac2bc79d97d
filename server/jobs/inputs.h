/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a job's inputs were: kept beside its artifacts, so that they can be looked at again as long as the very same bytes are
 * there. Not an artifact.
 */
#ifndef KEND_INPUTS_H
#define KEND_INPUTS_H

#include "jobs/check.h"

#define KEND_INPUTS_NAME ".kend/inputs.json"

/* Writes out/.kend/inputs.json below the working folder of a job whose inputs are whole, and syncs it. */
int kend_inputs_write(const struct kend_check *check, int directory, struct ken_error *error);
/* Reads what kend_inputs_write wrote, from a published job's file: a new reference. KEN_EINTERNAL if it is not whole. */
int kend_inputs_read(json_t **inputs, int file, uint64_t size, struct ken_error *error);
/* Bytes that the headers of all files took, roughly. */
uint64_t kend_inputs_header_bytes(const json_t *inputs);
/* Whether the files of a side ("model") are the very ones: by their digests, and where these are not known by inode, size and mtime. */
bool kend_inputs_are(const json_t *inputs, const char *side, const struct ken_checkpoint *checkpoint);

#endif
