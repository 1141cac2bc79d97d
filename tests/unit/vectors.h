/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/data/selection.safetensors, read with no help from the code that is tested. */
#ifndef KEN_TESTS_VECTORS_H
#define KEN_TESTS_VECTORS_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTOR_CASES = 120 };

struct vector_case {
    size_t rows, n, k;
    const unsigned char *x;    /* [rows, n] of float32, unaligned */
    const unsigned char *mask; /* [rows, n] */
};

struct vectors {
    unsigned char *bytes; /* the whole file */
    struct vector_case cases[VECTOR_CASES];
};

/* The number behind `label`, which must come after `from`. */
static inline size_t vector_number(const char *from, const char *label)
{
    const char *at = strstr(from, label);
    ck_assert_msg(at != NULL, "no %s in the vectors' header", label);
    return strtoull(at + strlen(label), NULL, 10);
}

static inline const unsigned char *vector_tensor(const char *header, const unsigned char *data, int index, const char *part, size_t *rows)
{
    char name[32];
    snprintf(name, sizeof name, "\"case%03d.%s\":", index, part);
    const char *at = strstr(header, name);
    ck_assert_msg(at != NULL, "no %s in the vectors", name);
    *rows = vector_number(at, "\"shape\":[");
    return data + vector_number(at, "\"data_offsets\":[");
}

static inline void vectors_read(struct vectors *vectors)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/selection.safetensors", getenv("KEND_TEST_DATA"));
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file), header_size;
    rewind(file);
    vectors->bytes = malloc(size);
    ck_assert_uint_eq(fread(vectors->bytes, 1, size, file), size);
    fclose(file);
    memcpy(&header_size, vectors->bytes, sizeof header_size);
    char *header = strndup((const char *)vectors->bytes + 8, header_size);
    const unsigned char *data = vectors->bytes + 8 + header_size;
    for (int i = 0; i < VECTOR_CASES; i++) {
        struct vector_case *one = &vectors->cases[i];
        char name[32];
        snprintf(name, sizeof name, "\"case%03d\":", i);
        const char *metadata = strstr(header, name);
        ck_assert_ptr_nonnull(metadata);
        one->k = vector_number(metadata, "\\\"k\\\": ");
        one->n = vector_number(metadata, "\\\"n\\\": ");
        one->x = vector_tensor(header, data, i, "rows", &one->rows);
        one->mask = vector_tensor(header, data, i, "mask", &one->rows);
    }
    free(header);
}

static inline void vectors_free(struct vectors *vectors)
{
    free(vectors->bytes);
}

#endif
