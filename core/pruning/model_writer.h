/* SPDX-License-Identifier: Apache-2.0 */
/* The dense files of all variants while they grow: preallocated, written in order, digested on the way. */
#ifndef KEN_MODEL_WRITER_H
#define KEN_MODEL_WRITER_H

#include "folder.h"
#include "pruning/plan.h"

struct ken_model_writer;

/* Path below the working folder of one dense file of a variant. */
void ken_model_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant, size_t file);
/*
 * fresh: makes all files, with their headers, at full length (KEN_ENO_SPACE where there is no room). Else they must be there at full length
 * (KEN_ENOT_FOUND). The plan must live as long as the writer.
 */
int ken_model_writer_open(struct ken_model_writer **writer, const struct ken_plan *plan, int directory, bool durable, bool fresh,
                          struct ken_error *error);
/* Writes bytes of a tensor, from `first` on. Calls must come in the plan's order of work, one at a time. */
int ken_model_writer_write(struct ken_model_writer *writer, size_t variant, size_t tensor, uint64_t first, const void *bytes,
                           uint64_t length, struct ken_error *error);
/* Makes durable what was written before the call; may be called while another thread writes. */
int ken_model_writer_sync(struct ken_model_writer *writer, struct ken_error *error);
/* The digest of one file if it was written whole by this writer. */
bool ken_model_writer_digest(const struct ken_model_writer *writer, size_t variant, size_t file, unsigned char sha256[KEN_SHA256_SIZE]);
void ken_model_writer_close(struct ken_model_writer **writer);

#endif
