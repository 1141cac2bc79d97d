/* SPDX-License-Identifier: Apache-2.0 */
/* The life-cycle of a job: one table of transitions, drawn in proto/lifecycle.md; nothing else changes a status. */
#ifndef PROTO_LIFECYCLE_H
#define PROTO_LIFECYCLE_H

#include <stdbool.h>

#define PROTO_STATUS_MAP(X)               \
    X(PROTO_QUEUED, "queued", false)      \
    X(PROTO_RUNNING, "running", false)    \
    X(PROTO_SUCCEEDED, "succeeded", true) \
    X(PROTO_FAILED, "failed", true)       \
    X(PROTO_CANCELLED, "cancelled", true)
#define PROTO_STAGE_MAP(X)        \
    X(PROTO_NO_STAGE, "")         \
    X(PROTO_CHECKING, "checking") \
    X(PROTO_FETCHING, "fetching") \
    X(PROTO_PRUNING, "pruning")   \
    X(PROTO_PUBLISHING, "publishing")

#define X(symbol, name, terminal) symbol,
enum proto_status { PROTO_STATUS_MAP(X) PROTO_STATUS_COUNT };
#undef X
#define X(symbol, name) symbol,
enum proto_stage { PROTO_STAGE_MAP(X) PROTO_STAGE_COUNT };
#undef X

/* What can happen to a job: event, its name, from, to. A pair that is not in the table is refused. */
#define PROTO_TRANSITION_MAP(X)                                                                                           \
    X(PROTO_CLAIM, "claim", PROTO_QUEUED, PROTO_RUNNING)         /* a runner takes it with a lease */                     \
    X(PROTO_RECLAIM, "reclaim", PROTO_RUNNING, PROTO_RUNNING)    /* its lease ran out: a runner died, another takes it */ \
    X(PROTO_EXHAUST, "exhaust", PROTO_RUNNING, PROTO_FAILED)     /* the third death in a row without durable progress */  \
    X(PROTO_HAND_BACK, "hand back", PROTO_RUNNING, PROTO_QUEUED) /* its runner is shutting down */                        \
    X(PROTO_SUCCEED, "succeed", PROTO_RUNNING, PROTO_SUCCEEDED)                                                           \
    X(PROTO_FAIL, "fail", PROTO_RUNNING, PROTO_FAILED)                                                                    \
    X(PROTO_STOP, "stop", PROTO_RUNNING, PROTO_CANCELLED) /* its runner saw the cancel request */                         \
    X(PROTO_CANCEL, "cancel", PROTO_QUEUED, PROTO_CANCELLED)

#define X(event, name, from, to) event,
enum proto_event { PROTO_TRANSITION_MAP(X) PROTO_EVENT_COUNT };
#undef X

const char *proto_status_name(enum proto_status status);
bool proto_status_is_terminal(enum proto_status status);
/* False if there is no status of that name. */
bool proto_status_parse(const char *name, enum proto_status *status);
const char *proto_stage_name(enum proto_stage stage);
bool proto_stage_parse(const char *name, enum proto_stage *stage);
/* The event's name in proto/lifecycle.md. */
const char *proto_event_name(enum proto_event event);
/* The status after the event, or false if a job of status `from` cannot have it. */
bool proto_transition(enum proto_event event, enum proto_status from, enum proto_status *to);

#endif
