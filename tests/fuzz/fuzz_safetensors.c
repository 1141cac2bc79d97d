/* SPDX-License-Identifier: Apache-2.0 */
/* A whole safetensors file. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ken_checkpoint *checkpoint = fuzz_open(data, size);
    ken_checkpoint_close(&checkpoint);
    return 0;
}
