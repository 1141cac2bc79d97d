/* SPDX-License-Identifier: Apache-2.0 */
#include "kenctl.h"

#include "allocator.h"
#include "folder.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    ken_allocator_keep_freed();
    return ken_standard_files() == 0 ? kenctl_run(argc, argv) : EXIT_FAILURE;
}
