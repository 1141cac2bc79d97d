/* SPDX-License-Identifier: Apache-2.0 */
/* Whether kend can take jobs, and why not: what /readyz answers and /metrics tells. */
#ifndef KEND_HTTP_READY_H
#define KEND_HTTP_READY_H

#include "http/server.h"
#include "problem.h"

/* symbol, problem (its code is the reason's name), detail; the first that holds is what /readyz answers with. */
#define KEND_UNREADY_MAP(X)                                                           \
    X(KEND_UNREADY_DRAINING, PROTO_DRAINING, "kend is shutting down")                 \
    X(KEND_UNREADY_STORE, PROTO_STORE_UNAVAILABLE, "the job store cannot be reached") \
    X(KEND_UNREADY_SPACE, PROTO_NO_SPACE, "less disk is free than disk.reserve_bytes, or none")
#define X(symbol, problem, detail) symbol,
enum kend_unready { KEND_UNREADY_MAP(X) KEND_UNREADY_COUNT };
#undef X

struct kend_unready_reason {
    enum proto_problem problem;
    const char *detail;
};
extern const struct kend_unready_reason kend_unready_reasons[KEND_UNREADY_COUNT];

/* Looks, which writes to the store; which reasons hold. True if none does. */
bool kend_is_ready(struct kend_http *http, bool reasons[KEND_UNREADY_COUNT]);

/* Before a job is taken: whether there is too little space for any. */
bool kend_lacks_space(struct kend_http *http);
/* What came of storing a job, once there was space for it: a probe would have found the same. */
void kend_ready_learn(struct kend_http *http, enum kend_store_result written);

#endif
