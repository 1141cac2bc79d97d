/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that need no server share. */
#ifndef KENCTL_LOCAL_H
#define KENCTL_LOCAL_H

#include "delta/delta.h"
#include "kenctl.h"
#include "progress.h"

enum { KENCTL_MEMORY = 96 << 20 /* of buffers, unless told otherwise */ };
/* The threads to work with, as --threads says or one for each CPU. KENCTL_SUCCESS, or KENCTL_USAGE that was told. */
int kenctl_threads(const struct kenctl *kenctl, unsigned *threads);

/* Progress and interruption of the core's work on bytes; its address is the options' opaque. */
struct kenctl_work {
    struct kenctl_progress progress;
    const char *stage;
};
/* Fills both; watches signals from now on. The work must outlive the options' use. */
void kenctl_work_begin(struct kenctl_work *work, const struct kenctl *kenctl, const char *stage, struct ken_inject_options *options);
/* Adds threads and memory to the options, to be ended also after a failure. An exit status that was told. */
int kenctl_executor_begin(const struct kenctl *kenctl, struct ken_inject_options *options);
void kenctl_executor_end(struct ken_inject_options *options);

/* Opens the path that an option names; a usage error if it was not given. KENCTL_SUCCESS, or an exit status that was told. */
int kenctl_open_checkpoint(const struct kenctl *kenctl, enum kenctl_option option, const char *name, struct ken_checkpoint **checkpoint);
/* KENCTL_SUCCESS, unless something is at output that may not be replaced: a failure that was told. */
int kenctl_check_free(const struct kenctl *kenctl, const char *output);
/* The path that an input of a job document means: a path as it is, a file: URL decoded. malloc'ed; NULL if out of memory. */
char *kenctl_input_path(const char *input);
/* "[2,3]", malloc'ed; NULL if out of memory. */
char *kenctl_shape_text(const uint64_t *shape, uint32_t rank);

#endif
