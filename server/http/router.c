/* SPDX-License-Identifier: Apache-2.0 */
#include "http/router.h"

#include "error.h"
#include "http/query.h"

#include <stdio.h>
#include <string.h>

#define X(symbol, method, pattern, scope, area, body, parameters, handler) \
    {method, PROTO_SCOPE_##scope, KEND_AREA_##area, body, pattern, parameters, handler},
const struct kend_route kend_routes[KEND_ROUTE_COUNT] = {KEND_ROUTE_MAP(X)};
#undef X

static const char *const method_names[] = {
#define X(symbol, name) name,
    KEND_METHOD_MAP(X)
#undef X
};

const char *kend_method_name(enum kend_method method)
{
    return method_names[method];
}

bool kend_method_is_safe(enum kend_method method)
{
    return method == KEND_GET || method == KEND_HEAD;
}

enum kend_method kend_method_parse(const char *name)
{
    for (size_t i = 0; i < KEND_OTHER_METHOD; i++)
        if (strcmp(name, method_names[i]) == 0) return (enum kend_method)i;
    return KEND_OTHER_METHOD;
}

/* Decodes the `length` raw bytes at text into out [size]; false if they do not fit or are malformed. */
static bool segment_decode(char *out, size_t size, const char *text, size_t length)
{
    if (length >= size) return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return kend_percent_decode(out, false);
}

/* One segment of the pattern against one of the path. Both begin after their '/'. */
static bool segment_matches(const char *pattern, size_t pattern_length, const char *path, size_t length, struct kend_match *match)
{
    char literal[32];
    if (*pattern == '{') return length && segment_decode(match->id, sizeof match->id, path, length);
    return segment_decode(literal, sizeof literal, path, length) && strlen(literal) == pattern_length &&
           memcmp(literal, pattern, pattern_length) == 0;
}

static bool path_matches(const char *pattern, const char *path, struct kend_match *match)
{
    match->id[0] = match->name[0] = '\0';
    while (*pattern == '/' && *path == '/') {
        size_t pattern_length = strcspn(++pattern, "/"), length = strcspn(++path, "/");
        if (strcmp(pattern, "{name}") == 0) return *path && segment_decode(match->name, sizeof match->name, path, strlen(path));
        if (!segment_matches(pattern, pattern_length, path, length, match)) return false;
        pattern += pattern_length;
        path += length;
    }
    return !*pattern && !*path;
}

static void allow_add(struct kend_match *match, enum kend_method method)
{
    size_t used = strlen(match->allow), room = sizeof match->allow - used;
    const char *name = method == KEND_GET ? "GET, HEAD" : method_names[method];
    int length = snprintf(match->allow + used, room, "%s%s", used ? ", " : "", name);
    KEN_ASSERT(length > 0 && (size_t)length < room);
}

enum kend_match_result kend_route_find(enum kend_method method, const char *path, struct kend_match *match)
{
    char whole[KEND_MAX_TARGET + 1];
    enum kend_route_index other = KEND_ROUTE_COUNT;
    match->route = KEND_ROUTE_COUNT;
    match->allow[0] = '\0';
    if (*path != '/' || !segment_decode(whole, sizeof whole, path, strlen(path))) return KEND_MATCH_MALFORMED;
    for (unsigned i = 0; i < KEND_ROUTE_COUNT; i++) {
        if (!path_matches(kend_routes[i].pattern, path, match)) continue;
        match->route = (enum kend_route_index)i;
        if (kend_routes[i].method == method || (kend_routes[i].method == KEND_GET && method == KEND_HEAD)) return KEND_MATCHED;
        if (other == KEND_ROUTE_COUNT) other = match->route;
        allow_add(match, kend_routes[i].method);
    }
    match->route = other;
    return other == KEND_ROUTE_COUNT ? KEND_MATCH_NO_PATH : KEND_MATCH_NO_METHOD;
}
