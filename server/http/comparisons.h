/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparisons that were made last, so that a list's pages are not each a new one. A job's delta never changes: they hold as long as
 * both jobs are there.
 */
#ifndef KEND_HTTP_COMPARISONS_H
#define KEND_HTTP_COMPARISONS_H

#include "http/comparison.h"

struct kend_comparisons;
enum { KEND_COMPARISONS = 8, KEND_COMPARISONS_BYTES = 8 << 20 };
int kend_comparisons_create(struct kend_comparisons **comparisons, struct ken_error *error);
void kend_comparisons_destroy(struct kend_comparisons **comparisons);
/* One that was made of these two, to be given back; NULL if none is kept. */
const struct kend_comparison *kend_comparisons_find(struct kend_comparisons *comparisons, const struct kend_comparing *comparing);
/* Takes one over, which is made empty, and keeps it until others need its place; returned as by kend_comparisons_find. NULL if out of
 * memory: it is the caller's still. */
const struct kend_comparison *kend_comparisons_keep(struct kend_comparisons *comparisons, const struct kend_comparing *comparing,
                                                    struct kend_comparison *comparison);
void kend_comparisons_give_back(struct kend_comparisons *comparisons, const struct kend_comparison *comparison);

#endif
