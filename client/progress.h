/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error: a bar on a terminal, plain lines in a pipe. */
#ifndef KENCTL_PROGRESS_H
#define KENCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum kenctl_unit { KENCTL_BYTES, KENCTL_ROWS };

struct kenctl_progress {
    bool quiet, terminal, drawn;
    char stage[32];
    double began, stage_began, shown_at; /* seconds of the monotonic clock */
    uint64_t stage_first;                /* what was done when the stage began, for the rate */
};

struct kenctl_progress_state {
    const char *stage;
    uint64_t done, total; /* total 0: not known */
    enum kenctl_unit unit;
    double eta_seconds; /* negative: worked out from the rate so far */
};

void kenctl_progress_begin(struct kenctl_progress *progress, bool quiet);
/* Shows where things are, but not more often than makes sense: a terminal some times a second, a pipe at the beginning of each stage
 * and every ten seconds. */
void kenctl_progress_show(struct kenctl_progress *progress, const struct kenctl_progress_state *state);
/* Removes the bar, so that other things can be printed: a complaint, for example. */
void kenctl_progress_clear(struct kenctl_progress *progress);
/* The same at the end; a pipe gets a last line of the result and the time since the beginning, if it got any line. */
void kenctl_progress_end(struct kenctl_progress *progress, const char *result);

#endif
