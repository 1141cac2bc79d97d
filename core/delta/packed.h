/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of encoding packed, see proto/delta-format.md "Packed": coding and decoding one at a time. */
#ifndef KEN_PACKED_H
#define KEN_PACKED_H

#include "dtype.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEN_PACKED_RAW = 1 << 19,                                           /* bytes of the tensor that a block stands for, at most */
    KEN_PACKED_INDEX_ENTRY = 16,                                        /* bytes of the index for each block */
    KEN_PACKED_LONGEST = 2 * KEN_PACKED_RAW + KEN_PACKED_RAW / 8 + 256, /* bytes of a block at most */
    KEN_PACKED_SLACK = 528 /* bytes that must be there behind a block that is decoded: they are read, and may be anything */
};

/* What the index tells of a block. */
struct ken_packed_entry {
    uint32_t length;        /* bytes */
    uint32_t stored;        /* elements */
    unsigned char check[8]; /* the first bytes of the block's SHA-256 */
};

/* Bytes of an element as packing sees it: 1 where elements have not whole bytes. */
size_t ken_packed_size(enum ken_dtype dtype);
/* Elements of such a size in a block, but for the last one; and blocks of a tensor. */
uint64_t ken_packed_elements(size_t size);
uint64_t ken_packed_blocks(uint64_t elements, size_t size);
void ken_packed_entry_write(unsigned char bytes[KEN_PACKED_INDEX_ENTRY], const struct ken_packed_entry *entry);
void ken_packed_entry_read(struct ken_packed_entry *entry, const unsigned char bytes[KEN_PACKED_INDEX_ENTRY]);
int ken_packed_check(unsigned char check[8], const void *bytes, size_t length, struct ken_error *error);

/* ---- coding */

struct ken_packer;
/* Makes blocks, one after the other, in buffers of its own. KEN_ENOMEM. */
int ken_packer_create(struct ken_packer **packer, struct ken_error *error);
void ken_packer_free(struct ken_packer **packer);
/* Bytes of memory that one takes, roughly. */
enum { KEN_PACKER_BYTES = 4 << 20 };

struct ken_packed_input {
    enum ken_dtype dtype;
    size_t count, stored;      /* elements of the block, at most ken_packed_elements, and how many of them are stored */
    const unsigned char *mask; /* [ceil(count / 8)], ones: stored */
    const void *values;        /* [stored] */
    const void *base;          /* [stored] what the base has there, in the same dtype; NULL: zero bits */
};
/* Codes a block: *bytes [entry->length] are the packer's, until its next call. */
int ken_packer_pack(struct ken_packer *packer, const struct ken_packed_input *input, const unsigned char **bytes,
                    struct ken_packed_entry *entry, struct ken_error *error);

/* ---- decoding */

struct ken_unpacker;
/* Bytes of memory that one takes, roughly. */
enum { KEN_UNPACKER_BYTES = 3 << 19 };
int ken_unpacker_create(struct ken_unpacker **unpacker, struct ken_error *error);
void ken_unpacker_free(struct ken_unpacker **unpacker);

/* What came of a block. */
enum ken_unpacked {
    KEN_UNPACKED,       /* all is well */
    KEN_UNPACKED_BAD,   /* the block is malformed, whatever the base is */
    KEN_UNPACKED_MISFIT /* it does not go with this base; what is in elements is of no use */
};
/*
 * Decodes a block, whose check holds: elements [count] of dtype are the base's before and the model's after, or all zero bits before if
 * there is no base. bytes [length + KEN_PACKED_SLACK] may be anything. *reason says what is wrong otherwise.
 */
enum ken_unpacked ken_unpacker_unpack(struct ken_unpacker *unpacker, enum ken_dtype dtype, void *elements, size_t count, size_t stored,
                                      const unsigned char *bytes, size_t length, const char **reason);

/*
 * Only which of a block's elements are stored: mask [ceil(count / 8)], ones, and zeros behind the last element. The base is not needed, and
 * what is behind the mask is not looked at. False: the block is malformed, *reason says how.
 */
bool ken_unpacker_mask(struct ken_unpacker *unpacker, enum ken_dtype dtype, unsigned char *mask, size_t count, size_t stored,
                       const unsigned char *bytes, size_t length, const char **reason);

#endif
