/* SPDX-License-Identifier: Apache-2.0 */
/* What coding and decoding a block share: its layout, and the arithmetic on one element. */
#ifndef KEN_PACKED_INTERNAL_H
#define KEN_PACKED_INTERNAL_H

#include "delta/packed.h"

#include <string.h>

/* Of the mask. */
enum ken_packed_mask { KEN_PACKED_MASK_ALL, KEN_PACKED_MASK_RAW, KEN_PACKED_MASK_ZSTD };

enum {
    KEN_PACKED_CLASSES = 16,         /* at most */
    KEN_PACKED_HEAD = 8,             /* u8 mask kind, u8 classes, u16 top, u32 mask length */
    KEN_PACKED_CLASS = 12,           /* u8 shift, u8 zstd or not, u16 zero, u32 symbols, u32 length */
    KEN_PACKED_DIRECT = 192,         /* symbols below are numbers themselves */
    KEN_PACKED_WIDE = 184,           /* symbol minus this: bits of the number */
    KEN_PACKED_MOST = KEN_PACKED_RAW /* elements of a block at most */
};

/* The bits of a dtype's element: where its exponent is, which tells its class. */
struct ken_packed_kind {
    size_t size;
    bool floating;
    unsigned fraction;  /* bits below the exponent */
    uint64_t exponents; /* the largest exponent; 0: none, all are of one class */
};

#define KEN_PACKED_F64 ((struct ken_packed_kind){8, true, 52, 0x7ff})
#define KEN_PACKED_F32 ((struct ken_packed_kind){4, true, 23, 0xff})
#define KEN_PACKED_F16 ((struct ken_packed_kind){2, true, 10, 0x1f})
#define KEN_PACKED_BF16 ((struct ken_packed_kind){2, true, 7, 0xff})
#define KEN_PACKED_INTEGER(bytes) ((struct ken_packed_kind){bytes, false, 0, 0})

static inline uint64_t ken_packed_load(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size); /* little-endian */
    return value;
}

static inline uint64_t ken_packed_all(struct ken_packed_kind kind)
{
    return UINT64_MAX >> (64 - 8 * kind.size);
}

/* An element's bits as a signed number that grows with its value, and back; only the lower bits of what is given and returned count. It
 * is that of delta-format.md less 2^(w-1), which differences do not notice. */
static inline uint64_t ken_packed_order(struct ken_packed_kind kind, uint64_t bits)
{
    unsigned unused = 64 - 8 * (unsigned)kind.size;
    int64_t number = (int64_t)(bits << unused) >> unused;
    return (uint64_t)(kind.floating ? number ^ ((number >> 63) & (INT64_MAX >> unused)) : number);
}

/* Differences near zero, of either sign, as small numbers. */
static inline uint64_t ken_packed_fold(struct ken_packed_kind kind, uint64_t difference)
{
    uint64_t negative = (difference >> (8 * kind.size - 1)) & 1;
    return ((difference << 1) ^ (0 - negative)) & ken_packed_all(kind);
}

static inline uint64_t ken_packed_unfold(uint64_t number)
{
    return (number >> 1) ^ (0 - (number & 1));
}

static inline unsigned ken_packed_class(struct ken_packed_kind kind, uint64_t base, unsigned top, unsigned classes)
{
    if (!kind.exponents) return 0;
    unsigned exponent = (unsigned)((base >> kind.fraction) & kind.exponents);
    unsigned below = exponent < top ? top - exponent : 0;
    return below < classes ? below : classes - 1;
}

#endif
