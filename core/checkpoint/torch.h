/* SPDX-License-Identifier: Apache-2.0 */
/* Torch files: what torch.save writes since PyTorch 1.6, a zip of a pickle and of the bytes of storages. */
#ifndef KEN_TORCH_H
#define KEN_TORCH_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/header_store.h"
#include "error.h"

#include <stdint.h>

/*
 * Reads the state dict of file->source, whose number in the checkpoint is `number`, appends its tensors to the store, and puts a view
 * (torch_view.h) in the place of the source, which file->stored keeps; on failure the source stays what it was. Tensors are ordered by
 * where they begin in the file, then by name; empty ones in a row by name. Names for the same elements (storage, place, shape, strides)
 * after the first one in the dict's order become ties, and entries of the metadata, {"format": "pt", TIE: NAME}, as
 * safetensors.torch.save_model has it. Sets the same fields of *file as ken_safetensors_read.
 *
 * KEN_EBAD_CHECKPOINT unless zip and pickle are well-formed (zip.h, pickle.h), every storage has its entry, of just its size, and every
 * tensor lies in its storage. KEN_EUNSUPPORTED: what those say, big-endian files, a zip that is no torch file. KEN_ETOO_LARGE: over a
 * limit of the store (of max_header_bytes, the zip's directory may be half; data.pkl and its objects together all), or tensors that are
 * more than KEN_TORCH_SPREAD times the file, as expanded ones may be.
 */
int ken_torch_read(struct ken_header_store *store, struct ken_checkpoint_file *file, uint32_t number, const char *label,
                   struct ken_error *error);

#define KEN_TORCH_SPREAD UINT64_C(16)

#endif
