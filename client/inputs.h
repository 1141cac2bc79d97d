/* SPDX-License-Identifier: Apache-2.0 */
/* What a command's output must not replace: the files of its inputs, and what is no file of bytes at all. */
#ifndef KENCTL_INPUTS_H
#define KENCTL_INPUTS_H

#include "checkpoint/checkpoint.h"

#include <stddef.h>

struct kenctl_input {
    const char *side;                        /* "base" */
    const char *path;                        /* as it was given */
    const struct ken_checkpoint *checkpoint; /* that was opened there; NULL: the path is the only file */
};

/* KENCTL_SUCCESS, unless one of the inputs [count] is or has the file that is at output, or a device, a FIFO or a socket is there: a
 * failure that was told. */
int kenctl_check_inputs(const char *output, const struct kenctl_input *inputs, size_t count);
/* As above of a file in a folder. */
int kenctl_check_inputs_in(const char *folder, const char *name, const struct kenctl_input *inputs, size_t count);

#endif
