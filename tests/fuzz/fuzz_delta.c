/* SPDX-License-Identifier: Apache-2.0 */
/* A whole delta in encoding plain. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_check_delta(data, size);
    return 0;
}
