/* SPDX-License-Identifier: Apache-2.0 */
/* Small torch files for tests, in memory. Failures of the helpers fail the test. */
#ifndef KEN_TESTS_MAKE_TORCH_H
#define KEN_TESTS_MAKE_TORCH_H

#include "make_checkpoint.h"

#include <stddef.h>
#include <stdint.h>

enum { MAKE_TORCH_RANK = 4 };

struct make_torch_tensor {
    const char *name;
    const char *storage; /* its class: "FloatStorage" */
    unsigned key;        /* tensors of the same key share their storage, which the first of them describes */
    uint32_t count;      /* elements of the storage */
    uint32_t element;    /* bytes of each */
    uint32_t offset, rank;
    uint32_t shape[MAKE_TORCH_RANK], strides[MAKE_TORCH_RANK];
};

/* Byte i of a storage. */
unsigned char make_torch_byte(unsigned key, size_t i);
/* A file of this data.pkl [length] and of the storages of tensors [count]: a zip without zip64 records. */
struct made_file make_torch_raw(const void *pickle, size_t length, const struct make_torch_tensor *tensors, size_t count);
/* A state dict of tensors [count]. */
struct made_file make_torch(const struct make_torch_tensor *tensors, size_t count);

#endif
