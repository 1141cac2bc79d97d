/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of safetensors files, checked in full. */
#ifndef KEN_SAFETENSORS_H
#define KEN_SAFETENSORS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/header_store.h"
#include "error.h"

#include <stdint.h>

/*
 * Reads the header of file->source, whose number in the checkpoint is `number`, and appends its tensors to the store in ascending offset;
 * an empty one goes before the one that begins where it does, empty ones at the same place by name. Sets data_offset, metadata_json (to be
 * freed by the caller), metadata_length, first and count of *file. label: the file's name in messages.
 *
 * KEN_EBAD_CHECKPOINT unless: the header is within the file and one JSON object from its first byte on, followed by white space at most;
 * no name appears twice; every tensor has exactly dtype, shape and data_offsets; its bytes are what dtype and shape say; all of them
 * together are the rest of the file, without holes and overlaps. KEN_EUNSUPPORTED: an unknown dtype. KEN_ETOO_LARGE: over a limit, of
 * which max_header_bytes also bounds what names, shapes and metadata of all files take in memory.
 */
int ken_safetensors_read(struct ken_header_store *store, struct ken_checkpoint_file *file, uint32_t number, const char *label,
                         struct ken_error *error);

#endif
