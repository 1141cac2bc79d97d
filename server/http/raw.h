/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that go around libmicrohttpd, for which it has no way: whole, and the last of their connection. */
#ifndef KEND_HTTP_RAW_H
#define KEND_HTTP_RAW_H

#include "problem.h"

#include <stddef.h>

enum { KEND_RAW_SIZE = 2048, KEND_RAW_BODY = 1024 };

/* The body of such an answer: malloc'ed, shorter than KEND_RAW_BODY for a detail of some words. NULL if out of memory. */
char *kend_raw_body(enum proto_problem problem, const char *detail);
/* The answer to a request of that id (KEND_REQUEST_ID_MAX bytes at most); its length. */
size_t kend_raw_answer(char answer[KEND_RAW_SIZE], enum proto_problem problem, const char *request, const char *body);

#endif
