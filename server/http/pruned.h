/* SPDX-License-Identifier: Apache-2.0 */
/* Which pruned model of a job a request is about. */
#ifndef KEND_HTTP_PRUNED_H
#define KEND_HTTP_PRUNED_H

#include "http/respond.h"
#include "options.h"

/*
 * As kend_variant_find, of a job that has succeeded and so may have a delta. wanted: the value of that parameter, or NULL. False: it was
 * answered.
 */
bool kend_pruned_find(char variant[KEN_MAX_VARIANT_NAME + 1], struct kend_request *request, const struct kend_job *job,
                      const char *parameter, const char *wanted, enum MHD_Result *result);

#endif
