/* SPDX-License-Identifier: Apache-2.0 */
#include "http/access.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const unsigned anonymous_scopes = PROTO_SCOPE_READ | PROTO_SCOPE_SUBMIT;

const char *kend_access_cookie_name(const struct kend_request *request)
{
    return request->http->secure ? "__Host-kend_session" : "kend_session";
}

bool kend_access_cookie(const struct kend_request *request, char *secret)
{
    const char *name = kend_access_cookie_name(request), *at = request->headers.value[KEND_COOKIE];
    const size_t before = strlen(name) + 1;
    unsigned found = 0;
    *secret = '\0';
    while (at && *at) {
        at += strspn(at, "; \t");
        size_t length = strcspn(at, "; \t");
        bool is_it = length >= before && strncmp(at, name, before - 1) == 0 && at[before - 1] == '=';
        if (is_it && length == before + KEND_SESSION_SECRET) {
            memcpy(secret, at + before, KEND_SESSION_SECRET);
            secret[KEND_SESSION_SECRET] = '\0';
        }
        found += is_it;
        at += length;
    }
    return found == 1 && strlen(secret) == KEND_SESSION_SECRET;
}

static void refuse_unauthorized(struct kend_request *request, const char *error, const char *detail)
{
    snprintf(request->challenge, sizeof request->challenge, "Bearer realm=\"kend\"%s%s%s", *error ? ", error=\"" : "", error,
             *error ? "\"" : "");
    kend_request_refuse(request, PROTO_UNAUTHORIZED, "%s", detail);
}

/* "Bearer TOKEN". */
static bool by_bearer(struct kend_request *request, const char *header)
{
    static const char scheme[] = "Bearer";
    size_t length = strcspn(header, " ");
    if (length != sizeof scheme - 1 || strncasecmp(header, scheme, length) != 0) {
        refuse_unauthorized(request, "invalid_request", "Authorization must be: Bearer TOKEN");
        return false;
    }
    header += length + strspn(header + length, " ");
    if (kend_tokens_verify(request->http->parts.tokens, header, proto_now_ms(), &request->identity)) return true;
    refuse_unauthorized(request, "invalid_token", "the token is not one of this server's: unknown, revoked or over");
    return false;
}

/*
 * A browser sends what another site's page asks for, with the cookie as far as SameSite lets it, and without one where nobody needs a name;
 * so the origin of what changes something must be ours. Programs tell none: `needed` says whether one must be told. A bearer token is
 * nothing that such a page could send.
 */
static bool is_own_origin(struct kend_request *request, bool needed)
{
    const char *origin = request->headers.value[KEND_ORIGIN];
    if (kend_method_is_safe(request->method) || (!origin && !needed)) return true;
    if (origin && kend_host_is_origin(&request->http->hosts, request->headers.value[KEND_HOST], origin)) return true;
    kend_request_refuse(request, PROTO_FORBIDDEN,
                        origin ? "Origin must be this server's own (http.public_url)"
                               : "with a session's cookie, this method needs an Origin header");
    return false;
}

/* Sets *found if there is a session. False: refused. */
static bool by_cookie(struct kend_request *request, bool *found)
{
    const struct kend_http_parts *parts = &request->http->parts;
    char secret[KEND_SESSION_SECRET + 1];
    struct kend_identity *identity = &request->identity;
    *found = false;
    if (!kend_access_cookie(request, secret) || !kend_sessions_find(parts->sessions, secret, kend_monotonic_ms(), identity)) return true;
    *found = kend_tokens_renew(parts->tokens, proto_now_ms(), identity);
    if (*found) return is_own_origin(request, true);
    kend_sessions_remove(parts->sessions, secret);
    *identity = (struct kend_identity){.scopes = 0};
    return true;
}

static bool let_in_nameless(struct kend_request *request)
{
    if (!is_own_origin(request, false)) return false;
    request->identity.scopes = anonymous_scopes;
    return true;
}

static bool identify(struct kend_request *request)
{
    const char *header = request->headers.value[KEND_AUTHORIZATION];
    bool found;
    if (header) return by_bearer(request, header);
    if (!by_cookie(request, &found) || found) return found;
    if (request->http->parts.conf->auth_allow_anonymous) return let_in_nameless(request);
    refuse_unauthorized(request, "", "send a token as Authorization: Bearer TOKEN, or sign in");
    return false;
}

void kend_access_check(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    const struct kend_route *route = &kend_routes[request->match.route];
    if (!parts->tokens) {
        let_in_nameless(request);
        return;
    }
    if (kend_area_is_public(parts->conf, route->area) || !identify(request) || request->identity.scopes & route->scope) return;
    const char *scope = proto_scope_name(route->scope);
    snprintf(request->challenge, sizeof request->challenge, "Bearer realm=\"kend\", error=\"insufficient_scope\", scope=\"%s\"", scope);
    kend_request_refuse(request, PROTO_FORBIDDEN, "this needs a token with scope %s", scope);
}

bool kend_access_lasts(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    char secret[KEND_SESSION_SECRET + 1];
    if (!*request->identity.token) return true;
    const bool by_session = !request->headers.value[KEND_AUTHORIZATION];
    if (by_session && (!kend_access_cookie(request, secret) || !kend_sessions_lasts(parts->sessions, secret, kend_monotonic_ms())))
        return false;
    struct kend_identity now = request->identity;
    /* What the request holds is counted under its owner: a token that was given to another one is another. */
    if (!kend_tokens_renew(parts->tokens, proto_now_ms(), &now) || strcmp(now.owner, request->identity.owner) != 0) return false;
    request->identity = now;
    return request->identity.scopes & kend_routes[request->match.route].scope;
}

void kend_access_check_again(struct kend_request *request)
{
    if (!kend_access_lasts(request))
        refuse_unauthorized(request, "invalid_token", "the token was revoked, or the session ended, while the request waited");
}

const char *kend_request_owner(const struct kend_request *request)
{
    return request->identity.owner;
}

const char *kend_request_sees(const struct kend_request *request)
{
    return request->identity.scopes & PROTO_SCOPE_ADMIN ? NULL : request->identity.owner;
}
