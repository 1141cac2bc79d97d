/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a command, whose files its output must not replace. */
#ifndef KENCTL_INPUTS_H
#define KENCTL_INPUTS_H

#include "checkpoint/checkpoint.h"

#include <stddef.h>

struct kenctl_input {
    const char *side;                        /* "base" */
    const char *path;                        /* as it was given */
    const struct ken_checkpoint *checkpoint; /* that was opened there; NULL: the path is the only file */
};

/* KENCTL_SUCCESS, unless one of the inputs [count] is or has the file that is at output: a failure that was told. */
int kenctl_check_inputs(const char *output, const struct kenctl_input *inputs, size_t count);
/* As above of a file in a folder. */
int kenctl_check_inputs_in(const char *folder, const char *name, const struct kenctl_input *inputs, size_t count);

#endif
