/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

#include "error.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    bool terminal;
} statuses[PROTO_STATUS_COUNT] = {
#define X(symbol, text, ends) [symbol] = {.name = text, .terminal = ends},
    PROTO_STATUS_MAP(X)
#undef X
};

static const char *const stages[PROTO_STAGE_COUNT] = {
#define X(symbol, name) [symbol] = name,
    PROTO_STAGE_MAP(X)
#undef X
};

static const struct {
    const char *name;
    enum proto_status from, to;
} transitions[PROTO_EVENT_COUNT] = {
#define X(event, text, before, after) [event] = {.name = text, .from = before, .to = after},
    PROTO_TRANSITION_MAP(X)
#undef X
};

const char *proto_status_name(enum proto_status status)
{
    KEN_ASSERT((unsigned)status < PROTO_STATUS_COUNT);
    return statuses[status].name;
}

bool proto_status_is_terminal(enum proto_status status)
{
    KEN_ASSERT((unsigned)status < PROTO_STATUS_COUNT);
    return statuses[status].terminal;
}

bool proto_status_parse(const char *name, enum proto_status *status)
{
    for (unsigned i = 0; i < PROTO_STATUS_COUNT; i++) {
        if (strcmp(statuses[i].name, name) != 0) continue;
        *status = (enum proto_status)i;
        return true;
    }
    return false;
}

const char *proto_stage_name(enum proto_stage stage)
{
    KEN_ASSERT((unsigned)stage < PROTO_STAGE_COUNT);
    return stages[stage];
}

bool proto_stage_parse(const char *name, enum proto_stage *stage)
{
    for (unsigned i = 0; i < PROTO_STAGE_COUNT; i++) {
        if (strcmp(stages[i], name) != 0) continue;
        *stage = (enum proto_stage)i;
        return true;
    }
    return false;
}

const char *proto_event_name(enum proto_event event)
{
    KEN_ASSERT((unsigned)event < PROTO_EVENT_COUNT);
    return transitions[event].name;
}

bool proto_transition(enum proto_event event, enum proto_status from, enum proto_status *to)
{
    KEN_ASSERT((unsigned)event < PROTO_EVENT_COUNT);
    if (transitions[event].from != from) return false;
    *to = transitions[event].to;
    return true;
}
