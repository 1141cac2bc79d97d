/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests hold in memory: all of them http.max_memory, and of what may stay for as long as a client likes (bodies that come, answers
 * that go) those of one address, and where there are tokens those of one owner, a share of it, so that others find room. Whoever holds
 * nothing else may hold one thing of any size.
 */
#ifndef KEND_HTTP_MEMORY_H
#define KEND_HTTP_MEMORY_H

#include "http/request.h"

/* What a request is told that is turned away. */
#define KEND_CROWDED "too many large bodies and answers at once (http.max_memory)"

/* Takes so many bytes until the request ends, or kend_request_let_go. False if others hold too much already. */
bool kend_request_hold(struct kend_request *request, size_t bytes);
void kend_request_let_go(struct kend_request *request, size_t bytes);
/* The same for one thing that nobody outside can make stay: a document, or what an answer is made with. */
bool kend_request_hold_document(struct kend_request *request, size_t bytes);
void kend_request_let_go_document(struct kend_request *request);

/*
 * Gives what the connection does not use of its memory, from the request's head to `end`, back to the system, until it is written to.
 * `end` is in the same memory, or just behind it. For requests that stay long; on the connection's own thread.
 */
void kend_request_give_back(const struct kend_request *request, const char *end);

#endif
