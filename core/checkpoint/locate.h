/* SPDX-License-Identifier: Apache-2.0 */
/* Where a checkpoint begins: which file of a location it is, told from the file's content. */
#ifndef KEN_LOCATE_H
#define KEN_LOCATE_H

#include "error.h"
#include "source.h"

#include <stddef.h>

enum ken_content {
    KEN_CONTENT_SAFETENSORS,
    KEN_CONTENT_JSON,
    KEN_CONTENT_TORCH_ZIP,
    KEN_CONTENT_TORCH_PICKLE, /* of PyTorch before 1.6, or any other pickle */
    KEN_CONTENT_TORCH_TAR,    /* of PyTorch before 0.1.10, or any other tar archive */
    KEN_CONTENT_HTML,
    KEN_CONTENT_LFS_POINTER, /* what a Git clone without LFS has in place of the file */
    KEN_CONTENT_UNKNOWN,
};

enum { KEN_CONTENT_HEAD = 512, KEN_LABEL_SIZE = 256 };

/* What a file is, from its first bytes [length], of which KEN_CONTENT_HEAD are enough. */
enum ken_content ken_content_of(const unsigned char *head, size_t length);
/* As above, reading them. *content is KEN_CONTENT_SAFETENSORS, KEN_CONTENT_JSON or KEN_CONTENT_TORCH_ZIP; anything else fails with
 * KEN_EBAD_CHECKPOINT or, for the older formats of PyTorch, KEN_EUNSUPPORTED. The label is the file's name in messages. */
int ken_content_detect(struct ken_source *source, const char *label, enum ken_content *content, struct ken_error *error);

/*
 * Opens the file that a checkpoint begins with: the location itself, or in a folder the first of the usual names that is there (or the
 * opener's only one). *source is the caller's. label receives its name for messages. KEN_ENOT_FOUND where there is none.
 */
int ken_locate(struct ken_opener *opener, struct ken_source **source, enum ken_content *content, char label[KEN_LABEL_SIZE],
               struct ken_error *error);

#endif
