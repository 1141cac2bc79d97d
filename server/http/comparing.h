/* SPDX-License-Identifier: Apache-2.0 */
/* Which two pruned models a request compares, and what it is told where that cannot be. */
#ifndef KEND_HTTP_COMPARING_H
#define KEND_HTTP_COMPARING_H

#include "http/comparison.h"
#include "http/respond.h"

/* Reads "variant", "with" and "with_variant" of jobs that the request may see; without "with" it is the same job. False: it was answered.
 */
bool kend_comparing_read(struct kend_comparing *comparing, struct kend_request *request, enum MHD_Result *result);
/* Answers with what kept them from being compared. */
enum MHD_Result kend_comparing_failed(struct kend_request *request, const struct ken_error *error);

#endif
