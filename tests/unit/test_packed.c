/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of encoding packed: what is coded comes back, whatever it is; what is malformed is refused, and nothing can crash. */
#include "delta/packed.h"
#include "unit.h"

#include <string.h>

/* One of each does for all blocks of a test. */
static struct ken_packer *packer;
static struct ken_unpacker *unpacker;

static void make_both(void)
{
    struct ken_error error = {0};
    if (packer) return;
    ck_assert_int_eq(ken_packer_create(&packer, &error), KEN_OK);
    ck_assert_int_eq(ken_unpacker_create(&unpacker, &error), KEN_OK);
}

static void free_both(void)
{
    ken_packer_free(&packer);
    ken_unpacker_free(&unpacker);
}

static uint64_t state = 88172645463325252U;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* One block: the base's elements, the model's, and which of them are stored. */
struct sample {
    enum ken_dtype dtype;
    size_t size, count, stored;
    unsigned char *base, *model, *mask; /* [count], [count], bits [count] */
    unsigned char *values, *bases;      /* [stored] */
};

static void free_sample(struct sample *sample)
{
    free(sample->base);
    free(sample->model);
    free(sample->mask);
    free(sample->values);
    free(sample->bases);
}

static struct sample new_sample(enum ken_dtype dtype, size_t count)
{
    struct sample sample = {.dtype = dtype, .size = ken_packed_size(dtype), .count = count};
    size_t bytes = count * sample.size + 1;
    sample.base = calloc(1, bytes);
    sample.model = calloc(1, bytes);
    sample.values = calloc(1, bytes);
    sample.bases = calloc(1, bytes);
    sample.mask = calloc(1, count / 8 + 1);
    return sample;
}

/* Stores so many percent of the elements; the model has the base's bits in the place of all others. */
static void choose_stored(struct sample *sample, unsigned percent)
{
    sample->stored = 0;
    for (size_t i = 0; i < sample->count; i++) {
        unsigned char *model = sample->model + i * sample->size, *base = sample->base + i * sample->size;
        if (random_bits() % 100 >= percent) {
            memcpy(model, base, sample->size);
            continue;
        }
        sample->mask[i / 8] = (unsigned char)(sample->mask[i / 8] | 1U << i % 8);
        memcpy(sample->values + sample->stored * sample->size, model, sample->size);
        memcpy(sample->bases + sample->stored * sample->size, base, sample->size);
        sample->stored++;
    }
}

struct coded {
    unsigned char *bytes; /* [length + KEN_PACKED_SLACK] */
    struct ken_packed_entry entry;
};

static struct coded code_sample(const struct sample *sample)
{
    struct ken_packed_input input = {.dtype = sample->dtype,
                                     .count = sample->count,
                                     .stored = sample->stored,
                                     .mask = sample->mask,
                                     .values = sample->values,
                                     .base = sample->bases};
    struct ken_error error = {0};
    const unsigned char *bytes;
    struct coded coded;
    make_both();
    ck_assert_int_eq(ken_packer_pack(packer, &input, &bytes, &coded.entry, &error), KEN_OK);
    ck_assert_uint_le(coded.entry.length, KEN_PACKED_LONGEST);
    ck_assert_uint_eq(coded.entry.stored, sample->stored);
    coded.bytes = calloc(1, coded.entry.length + KEN_PACKED_SLACK);
    memcpy(coded.bytes, bytes, coded.entry.length);
    return coded;
}

static void check_sample(struct sample *sample)
{
    struct coded coded = code_sample(sample);
    const char *reason;
    size_t bytes = sample->count * sample->size;
    unsigned char *elements = malloc(bytes + 1);
    memcpy(elements, sample->base, bytes);
    elements[bytes] = 0xa5;
    enum ken_unpacked result =
        ken_unpacker_unpack(unpacker, sample->dtype, elements, sample->count, sample->stored, coded.bytes, coded.entry.length, &reason);
    ck_assert_msg(result == KEN_UNPACKED, "%s: %s", ken_dtype_name(sample->dtype), reason);
    for (size_t i = 0; i < bytes; i++)
        if (elements[i] != sample->model[i])
            ck_abort_msg("%s: byte %zu of %zu: %u, not %u", ken_dtype_name(sample->dtype), i, bytes, elements[i], sample->model[i]);
    ck_assert_uint_eq(elements[bytes], 0xa5);
    /* Where they are stored needs no base. */
    size_t marks = (sample->count + 7) / 8;
    elements[marks] = 0xa5;
    ck_assert(
        ken_unpacker_mask(unpacker, sample->dtype, elements, sample->count, sample->stored, coded.bytes, coded.entry.length, &reason));
    ck_assert(memcmp(elements, sample->mask, marks) == 0 && elements[marks] == 0xa5);
    free(elements);
    free(coded.bytes);
}

/* ---- round trips */

static const unsigned percents[] = {0, 1, 25, 50, 99, 100};
static const size_t counts[] = {1, 7, 8, 9, 63, 64, 65, 1000, 5000};

typedef void filler(struct sample *sample);

static void check_all(filler *fill)
{
    for (unsigned dtype = 0; dtype < KEN_DTYPE_COUNT; dtype++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t p = 0; p < sizeof percents / sizeof *percents; p++) {
                struct sample sample = new_sample((enum ken_dtype)dtype, counts[c]);
                fill(&sample);
                choose_stored(&sample, percents[p]);
                check_sample(&sample);
                free_sample(&sample);
            }
    free_both();
}

static void fill_noise(struct sample *sample)
{
    for (size_t i = 0; i < sample->count * sample->size; i++) {
        sample->base[i] = (unsigned char)random_bits();
        sample->model[i] = (unsigned char)random_bits();
    }
}

static void fill_constant(struct sample *sample)
{
    memset(sample->base, 0x3c, sample->count * sample->size);
    memset(sample->model, 0xbd, sample->count * sample->size);
}

/* Bits of all kinds of edges: zeros of both signs, the smallest, the largest, infinities, NaN. */
static void fill_edges(struct sample *sample)
{
    for (size_t i = 0; i < sample->count * 2; i++) {
        uint64_t word = random_bits() % 3 ? 0 : UINT64_MAX;
        if (random_bits() % 2) word ^= UINT64_C(1) << (random_bits() % (8 * sample->size));
        memcpy((i % 2 ? sample->base : sample->model) + i / 2 * sample->size, &word, sample->size);
    }
}

/* Base of any exponent, with differences of any width. */
static void fill_near(struct sample *sample)
{
    for (size_t i = 0; i < sample->count; i++) {
        uint64_t base = random_bits(), model = base + (random_bits() >> random_bits() % 64);
        memcpy(sample->base + i * sample->size, &base, sample->size);
        memcpy(sample->model + i * sample->size, &model, sample->size);
    }
}

START_TEST(noise_comes_back)
{
    check_all(fill_noise);
}
END_TEST

START_TEST(constants_come_back)
{
    check_all(fill_constant);
}
END_TEST

START_TEST(edges_come_back)
{
    check_all(fill_edges);
}
END_TEST

START_TEST(any_difference_comes_back)
{
    check_all(fill_near);
}
END_TEST

START_TEST(the_largest_blocks_come_back)
{
    static const enum ken_dtype dtypes[] = {KEN_F64, KEN_F32, KEN_BF16, KEN_F16, KEN_I64, KEN_U8, KEN_F4};
    static filler *const fillers[] = {fill_noise, fill_edges, fill_near};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (size_t f = 0; f < sizeof fillers / sizeof *fillers; f++) {
            struct sample sample = new_sample(dtypes[d], ken_packed_elements(ken_packed_size(dtypes[d])));
            fillers[f](&sample);
            choose_stored(&sample, f == 1 ? 30 : 100);
            check_sample(&sample);
            free_sample(&sample);
        }
    free_both();
}
END_TEST

/* ---- what is malformed */

enum { MASK = 8 + 12 }; /* where the mask begins in a block of one class */

/* A block of I16 that stores 3 of 10 elements: a raw mask, one class with shift 0 and raw symbols, no low bits. */
static const unsigned char good[] = {1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x05, 0x02, 1, 2, 3};

static enum ken_unpacked unpack(enum ken_dtype dtype, size_t count, size_t stored, const unsigned char *bytes, size_t length,
                                const char **reason)
{
    unsigned char *block = calloc(1, length + KEN_PACKED_SLACK), *elements = calloc(count + 1, 8);
    make_both();
    memcpy(block, bytes, length);
    enum ken_unpacked result = ken_unpacker_unpack(unpacker, dtype, elements, count, stored, block, length, reason);
    free(elements);
    free(block);
    return result;
}

/* Refused with the reason, once byte `at` is another one (at >= the length: none is). */
struct fault {
    const char *reason;
    size_t at;
    unsigned char byte;
    enum ken_dtype dtype;
    size_t count, stored, length;
};

#define I16_BLOCK KEN_I16, 10, 3, sizeof good
static const struct fault faults[] = {
    {"more elements are stored than it has", 99, 0, KEN_I16, 2, 3, sizeof good},
    {"nothing is stored, but it is not empty", 99, 0, KEN_I16, 10, 0, sizeof good},
    {"it is too short", 99, 0, KEN_I16, 10, 3, 0},
    {"it is too short", 99, 0, KEN_I16, 10, 3, 7},
    {"it is too short", 99, 0, KEN_I16, 10, 3, 8},
    {"it is too short", 99, 0, KEN_I16, 10, 3, MASK - 1},
    {"it has 0 or more than 16 classes", 1, 0, I16_BLOCK},
    {"it has 0 or more than 16 classes", 1, 17, I16_BLOCK},
    {"it has 0 or more than 16 classes", 1, 255, I16_BLOCK},
    {"it has several classes, but its elements have no exponents", 1, 2, I16_BLOCK},
    {"it is too short", 1, 2, KEN_BF16, 10, 3, sizeof good},
    {"its top exponent is too large", 2, 1, I16_BLOCK},
    {"its top exponent is too large", 3, 1, I16_BLOCK},
    {"its top exponent is too large", 3, 1, KEN_BF16, 10, 3, sizeof good},
    {"its top exponent is too large", 2, 32, KEN_F16, 10, 3, sizeof good},
    {"unknown kind of mask", 0, 3, I16_BLOCK},
    {"unknown kind of mask", 0, 255, I16_BLOCK},
    {"it has a mask, but all elements are stored", 0, 0, I16_BLOCK},
    {"a coded part does not tell the length that it must have", 0, 2, I16_BLOCK},
    {"a part that is not coded has the wrong length", 4, 1, I16_BLOCK},
    {"a part that is not coded has the wrong length", 4, 3, I16_BLOCK},
    {"a part is longer than the block", 4, 6, I16_BLOCK},
    {"a part is longer than the block", 7, 255, I16_BLOCK},
    {"its mask has bits behind its last element", MASK + 1, 4, I16_BLOCK},
    {"its mask has another number of bits than are stored", MASK, 7, I16_BLOCK},
    {"its mask has another number of bits than are stored", 99, 0, KEN_I16, 10, 2, sizeof good},
    {"a class has a shift that is too large", 8, 9, I16_BLOCK},
    {"a class has a shift that is too large", 8, 1, KEN_U8, 10, 3, sizeof good},
    {"a class of an unknown kind", 9, 2, I16_BLOCK},
    {"a class of an unknown kind", 10, 1, I16_BLOCK},
    {"a class of an unknown kind", 11, 1, I16_BLOCK},
    {"its classes have more symbols than are stored", 12, 4, I16_BLOCK},
    {"its classes have more symbols than are stored", 15, 255, I16_BLOCK},
    {"a part that is not coded has the wrong length", 12, 2, I16_BLOCK},
    {"a part that is not coded has the wrong length", 16, 2, I16_BLOCK},
    {"a part is longer than the block", 16, 4, I16_BLOCK},
    {"a part is longer than the block", 19, 255, I16_BLOCK},
    {"a part is longer than the block", 99, 0, KEN_I16, 10, 3, sizeof good - 1},
    {"a coded part does not tell the length that it must have", 9, 1, I16_BLOCK},
    {"its low bits have the wrong length", 8, 1, I16_BLOCK},
    {"its low bits have the wrong length", MASK + 2, 192, I16_BLOCK},
    {"a symbol that is too large", MASK + 2, 201, I16_BLOCK},
    {"a symbol that is too large", MASK + 2, 255, I16_BLOCK},
};

START_TEST(malformed_blocks_are_refused)
{
    const char *reason;
    ck_assert_int_eq(unpack(KEN_I16, 10, 3, good, sizeof good, &reason), KEN_UNPACKED);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *fault = &faults[i];
        unsigned char block[sizeof good];
        memcpy(block, good, sizeof good);
        if (fault->at < sizeof good) block[fault->at] = fault->byte;
        enum ken_unpacked result = unpack(fault->dtype, fault->count, fault->stored, block, fault->length, &reason);
        ck_assert_msg(result == KEN_UNPACKED_BAD && strcmp(reason, fault->reason) == 0, "fault %zu: %s, not %s", i, reason, fault->reason);
    }
    free_both();
}
END_TEST

START_TEST(what_stands_behind_the_low_bits_is_refused)
{
    unsigned char block[sizeof good + 2];
    const char *reason;
    memcpy(block, good, sizeof good);
    block[sizeof good] = 0;
    ck_assert_int_eq(unpack(KEN_I16, 10, 3, block, sizeof good + 1, &reason), KEN_UNPACKED_BAD);
    ck_assert_str_eq(reason, "its low bits have the wrong length");
    block[8] = 1; /* three bits, one for each */
    block[sizeof good] = 7;
    ck_assert_int_eq(unpack(KEN_I16, 10, 3, block, sizeof good + 1, &reason), KEN_UNPACKED);
    block[sizeof good] = 8;
    ck_assert_int_eq(unpack(KEN_I16, 10, 3, block, sizeof good + 1, &reason), KEN_UNPACKED_BAD);
    ck_assert_str_eq(reason, "it has bits behind its last element's");
}
END_TEST

START_TEST(a_block_without_mask_stores_all)
{
    unsigned char block[sizeof good];
    const char *reason;
    memcpy(block, good, sizeof good);
    block[0] = block[4] = 0;
    memmove(block + MASK, block + MASK + 2, 3);
    ck_assert_int_eq(unpack(KEN_I16, 3, 3, block, sizeof good - 2, &reason), KEN_UNPACKED);
    ck_assert_int_eq(unpack(KEN_I16, 4, 3, block, sizeof good - 2, &reason), KEN_UNPACKED_BAD);
    ck_assert_str_eq(reason, "it has no mask, but not all elements are stored");
}
END_TEST

/* Another base than the block was made for: refused, or something else comes out, but nothing is read that is not there. */
START_TEST(another_base_does_no_harm)
{
    static const enum ken_dtype dtypes[] = {KEN_F64, KEN_F32, KEN_F16, KEN_BF16};
    unsigned misfits = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct sample sample = new_sample(dtypes[i % 4], 3000);
        const char *reason;
        fill_near(&sample);
        choose_stored(&sample, 50);
        struct coded coded = code_sample(&sample);
        for (size_t b = 0; b < sample.count * sample.size; b++) sample.base[b] = (unsigned char)(i < 100 ? random_bits() : 0);
        enum ken_unpacked result =
            ken_unpacker_unpack(unpacker, sample.dtype, sample.base, sample.count, sample.stored, coded.bytes, coded.entry.length, &reason);
        ck_assert_int_ne(result, KEN_UNPACKED_BAD);
        if (result == KEN_UNPACKED_MISFIT) ck_assert_str_eq(reason, "it was made for a base with other exponents");
        misfits += result == KEN_UNPACKED_MISFIT;
        free(coded.bytes);
        free_sample(&sample);
    }
    ck_assert_uint_gt(misfits, 100);
    free_both();
}
END_TEST

START_TEST(flipped_bits_do_no_harm)
{
    static const enum ken_dtype dtypes[] = {KEN_F64, KEN_F32, KEN_BF16, KEN_F16, KEN_I64, KEN_I32, KEN_I16, KEN_U8};
    for (unsigned i = 0; i < 8; i++) {
        struct sample sample = new_sample(dtypes[i], 2000);
        (i % 2 ? fill_near : fill_edges)(&sample);
        choose_stored(&sample, 40);
        struct coded coded = code_sample(&sample);
        for (unsigned flips = 0; flips < 1000; flips++) {
            unsigned char *copy = malloc(coded.entry.length + KEN_PACKED_SLACK);
            const char *reason;
            memcpy(copy, coded.bytes, coded.entry.length + KEN_PACKED_SLACK);
            size_t reach = flips % 2 ? coded.entry.length : 8 + 12; /* the heads more often */
            for (unsigned more = 0; more <= flips % 3; more++) {
                size_t bit = random_bits() % (8 * reach);
                copy[bit / 8] = (unsigned char)(copy[bit / 8] ^ 1U << bit % 8);
            }
            size_t length = flips % 7 ? coded.entry.length : random_bits() % (coded.entry.length + 1);
            unsigned char *elements = malloc(sample.count * sample.size);
            memcpy(elements, sample.base, sample.count * sample.size);
            ken_unpacker_unpack(unpacker, sample.dtype, elements, sample.count, sample.stored, copy, length, &reason);
            ken_unpacker_mask(unpacker, sample.dtype, elements, sample.count, sample.stored, copy, length, &reason);
            free(elements);
            free(copy);
        }
        free(coded.bytes);
        free_sample(&sample);
    }
    free_both();
}
END_TEST

UNIT_MAIN("packed", noise_comes_back, constants_come_back, edges_come_back, any_difference_comes_back, the_largest_blocks_come_back,
          malformed_blocks_are_refused, what_stands_behind_the_low_bits_is_refused, a_block_without_mask_stores_all,
          another_base_does_no_harm, flipped_bits_do_no_harm)
