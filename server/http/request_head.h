/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request: what it says, and whether it is one that is answered. */
#ifndef KEND_HTTP_REQUEST_HEAD_H
#define KEND_HTTP_REQUEST_HEAD_H

#include "http/request.h"

/* Fills the request from its head and refuses it for the first thing that is wrong: form, access, rate, parameters, kind of body. */
void kend_request_check_head(struct kend_request *request, const char *method, const char *version);

#endif
