/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a job's variants a request is about. */
#ifndef KEND_HTTP_VARIANT_H
#define KEND_HTTP_VARIANT_H

#include "options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* spec: the job's document. Copies the variant's name, "" of a job that has none, where `wanted` (or NULL), the value of that parameter,
 * names one. False with a reason in detail [size]. */
bool kend_variant_find(char name[KEN_MAX_VARIANT_NAME + 1], const json_t *spec, const char *parameter, const char *wanted, char *detail,
                       size_t size);

#endif
