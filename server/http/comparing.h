/* SPDX-License-Identifier: Apache-2.0 */
/* Which two pruned models a request compares. */
#ifndef KEND_HTTP_COMPARING_H
#define KEND_HTTP_COMPARING_H

#include "http/comparison.h"
#include "http/respond.h"

/* Reads "variant", "with" and "with_variant" of jobs that the request may see; without "with" it is the same job. False: it was answered.
 */
bool kend_comparing_read(struct kend_comparing *comparing, struct kend_request *request, enum MHD_Result *result);

#endif
