/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets share. A property is asserted with KEN_ASSERT: in a target, one that does not hold is a finding. The entry point has the
 * name that libFuzzer looks for; replay.c calls it where there is no libFuzzer.
 */
#ifndef KEN_TESTS_FUZZ_H
#define KEN_TESTS_FUZZ_H

#include "checkpoint/checkpoint.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether the last input was well-formed: the replay holds the names of seeds against it. */
extern bool fuzz_accepted;

/* What messages call a file: so long that they are cut. */
extern const char fuzz_label[];
/* A failure has a code that there is, and a message that is not empty and can be printed. */
void fuzz_check_error(int code, const struct ken_error *error);

/* Limits that are small enough to be reached. */
extern const struct ken_checkpoint_limits fuzz_limits;
/* Opens one file in memory; on failure checks the error, on success all that a checkpoint promises. To be closed; NULL on failure. */
struct ken_checkpoint *fuzz_open(const void *bytes, size_t length);
/*
 * Holds a checkpoint to what it promises: files sorted, names unique, shapes that multiply up, tensors one behind the other to the end of
 * their file, every byte readable in pieces of any length; and a safetensors file written of what was read says the same.
 */
void fuzz_check_checkpoint(const struct ken_checkpoint *checkpoint);

/* The base that deltas of the corpus were made from: five small tensors, open as long as the program runs. */
const struct ken_checkpoint *fuzz_base(void);
/* Opens a delta, injects it into that base, in memory, and verifies what comes out. */
void fuzz_check_delta(const void *bytes, size_t length);

#endif
