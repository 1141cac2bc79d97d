/* SPDX-License-Identifier: Apache-2.0 */
/* What a comparison has found, for people and as JSON. */
#ifndef KENCTL_DIFF_VIEW_H
#define KENCTL_DIFF_VIEW_H

#include "compare/compare.h"
#include "compare/overlap.h"
#include "kenctl.h"

/* Of two models. KENCTL_SUCCESS, or KENCTL_FAILURE that was told: whether something differs is for the caller to see. */
int kenctl_print_comparison(const struct kenctl *kenctl, const struct ken_comparison *comparison);
/* Of two deltas. */
int kenctl_print_overlap(const struct kenctl *kenctl, const struct ken_overlap *overlap);

#endif
