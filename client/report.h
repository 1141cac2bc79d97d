/* SPDX-License-Identifier: Apache-2.0 */
/* Holding a report against the delta and the model that it tells of. */
#ifndef KENCTL_REPORT_H
#define KENCTL_REPORT_H

#include "checkpoint/checkpoint.h"
#include "delta/delta.h"

/*
 * Checks the report at path: the sizes of both, what it says each tensor is and keeps, and that each tensor's counts and the totals add
 * up. What only the fine-tuned model could tell (reset against unchanged, relative_l2) is not checked. model may be NULL. The exit status;
 * a difference was told.
 */
int kenctl_report_check(const char *path, const struct ken_delta *delta, uint64_t delta_bytes, const struct ken_checkpoint *model);

#endif
