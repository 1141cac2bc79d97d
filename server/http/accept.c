/* SPDX-License-Identifier: Apache-2.0 */
#include "http/accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Thousandths; a weight that is malformed counts as none given. */
enum { FULL_WEIGHT = 1000 };

struct wish {
    int exactness; /* 0: no range names it */
    int weight;
};

/* "0.25" and alike, up to three digits behind the point. */
static int parse_weight(const char *text, size_t length)
{
    int weight = 0, unit = FULL_WEIGHT;
    if (!length || length > 5 || (*text != '0' && *text != '1')) return FULL_WEIGHT;
    for (size_t i = 0; i < length; i++) {
        if (i == 1 && text[i] != '.') return FULL_WEIGHT;
        if (i == 1) continue;
        if (text[i] < '0' || text[i] > '9') return FULL_WEIGHT;
        weight += (text[i] - '0') * unit;
        unit /= 10;
    }
    return weight < FULL_WEIGHT ? weight : FULL_WEIGHT;
}

/* The weight among the parameters behind a range, up to `end`. */
static int find_weight(const char *at, const char *end)
{
    while (at < end) {
        at += strspn(at, "; \t");
        size_t length = strcspn(at, ";, \t");
        if (length > 2 && strncasecmp(at, "q=", 2) == 0) return parse_weight(at + 2, length - 2);
        at += length ? length : 1;
    }
    return FULL_WEIGHT;
}

static bool is_range(const char *at, size_t length, const char *range)
{
    return length == strlen(range) && strncasecmp(at, range, length) == 0;
}

/* What the header says of a media type, whose ranges are named from the widest to itself. */
static struct wish wish_for(const char *accept, const char *const ranges[3])
{
    struct wish wish = {0};
    while (*accept) {
        accept += strspn(accept, ", \t");
        const size_t length = strcspn(accept, ",; \t");
        const char *end = accept + strcspn(accept, ",");
        for (int i = 0; i < 3; i++)
            if (i >= wish.exactness && is_range(accept, length, ranges[i])) wish = (struct wish){i + 1, find_weight(accept + length, end)};
        accept = end;
    }
    return wish;
}

static struct wish wish_for_events(const char *accept)
{
    static const char *const ranges[] = {"*/*", "text/*", "text/event-stream"};
    return wish_for(accept, ranges);
}

enum kend_media kend_accept_choose(const char *accept)
{
    static const char *const ranges[] = {"*/*", "application/*", "application/json"};
    if (!accept || !*accept) return KEND_MEDIA_JSON;
    const struct wish json = wish_for(accept, ranges), events = wish_for_events(accept);
    if (!json.weight && !events.weight) return KEND_MEDIA_NONE;
    if (json.weight != events.weight) return json.weight > events.weight ? KEND_MEDIA_JSON : KEND_MEDIA_EVENTS;
    return json.exactness >= events.exactness ? KEND_MEDIA_JSON : KEND_MEDIA_EVENTS;
}

bool kend_accept_events(const char *accept)
{
    return !accept || !*accept || wish_for_events(accept).weight > 0;
}
