/* SPDX-License-Identifier: Apache-2.0 */
/* The request target: percent-decoding, once and strictly, and the query's parameters. */
#ifndef KEND_HTTP_QUERY_H
#define KEND_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEND_MAX_PARAMETERS = 32, KEND_MAX_TARGET = 8192 };

struct kend_parameter {
    const char *name, *value;
};

struct kend_query {
    struct kend_parameter parameter[KEND_MAX_PARAMETERS];
    size_t count;
};

/* Decodes text in place. plus: '+' is a blank. False: a malformed escape, a NUL byte or text that is not UTF-8. */
bool kend_percent_decode(char *text, bool plus);
/* Cuts the text after the '?' (changed, borrowed by query) into parameters. False with a reason in detail [size]: malformed, too many, or a
 * name twice. */
bool kend_query_parse(struct kend_query *query, char *text, char *detail, size_t size);
/* Whether all are among `allowed`: names separated by blanks; one ending in ".*" stands for all names that begin so. False with a reason
 * that names the first other one. */
bool kend_query_only(const struct kend_query *query, const char *allowed, char *detail, size_t size);
/* The value, or NULL. */
const char *kend_query_get(const struct kend_query *query, const char *name);
/* A decimal number of least..most (0: without a limit; more than 18 digits are UINT64_MAX); *number stays if the parameter is not there.
 * False with a reason. */
bool kend_query_number(const struct kend_query *query, const char *name, uint64_t least, uint64_t most, uint64_t *number, char *detail,
                       size_t size);
/* true or false. */
bool kend_query_flag(const struct kend_query *query, const char *name, bool *flag, char *detail, size_t size);

#endif
