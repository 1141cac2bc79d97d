/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and whether it may: a bearer token, else the cookie of a session, else nobody. Checked before a request's body is read, by the
 * scope that the table of routes says.
 */
#ifndef KEND_HTTP_ACCESS_H
#define KEND_HTTP_ACCESS_H

#include "http/request.h"

/* Fills request->identity, or refuses the request: 401, or 403. Its route and headers are known. */
void kend_access_check(struct kend_request *request);
/* Whether what let the request in still does: its token, and the session that it came by. An answer that goes on asks now and then. */
bool kend_access_lasts(struct kend_request *request);
/* Refuses a request that has waited if it does not. */
void kend_access_check_again(struct kend_request *request);
/*
 * The name of the session's cookie. Over https it is one that browsers take from this host over https alone: neither a sibling of its
 * domain nor plain http can plant a session of another.
 */
const char *kend_access_cookie_name(const struct kend_request *request);
/* The secret of the session's cookie, into secret [KEND_SESSION_SECRET + 1]; false if the request has none, or two. */
bool kend_access_cookie(const struct kend_request *request, char *secret);

#endif
