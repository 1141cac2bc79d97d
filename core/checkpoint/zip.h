/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a zip archive as torch.save writes it: entries that are stored, so that their bytes can be read where they lie. */
#ifndef KEN_ZIP_H
#define KEN_ZIP_H

#include "error.h"
#include "source.h"

#include <stddef.h>
#include <stdint.h>

struct ken_zip_entry {
    const char *name;      /* without NUL inside, but any other bytes; the zip's */
    uint64_t header;       /* where its local header begins in the file */
    uint64_t offset, size; /* its bytes in the file */
    uint32_t crc;          /* as the directory has it: not checked against the bytes, which PyTorch may leave out */
    uint16_t flags, name_size;
};

struct ken_zip {
    struct ken_zip_entry *entries; /* [count], sorted by name */
    size_t count;
    char *names;
};

/*
 * Reads the central directory and the header of every entry, zip64 or not. The source is borrowed. On failure *zip is empty.
 *
 * KEN_EBAD_CHECKPOINT unless: the directory is whole and ends the file; no name appears twice; every entry has a local header that says
 * the same; the entries lie before the directory and do not overlap. KEN_EUNSUPPORTED: an entry that is compressed or encrypted, or an
 * archive in several parts. KEN_ETOO_LARGE: a directory of more than max_bytes. Messages begin with the label, the file's name.
 */
int ken_zip_read(struct ken_zip *zip, struct ken_source *source, const char *label, uint64_t max_bytes, struct ken_error *error);
/* The entry of that name, or NULL. */
const struct ken_zip_entry *ken_zip_find(const struct ken_zip *zip, const char *name);
void ken_zip_free(struct ken_zip *zip);

#endif
