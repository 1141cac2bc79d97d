/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http/access.h"
#include "http/respond.h"
#include "json.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* Whoever asks, for the page: what it may show, and until when. */
static struct MHD_Response *response_session(struct kend_request *request)
{
    const struct kend_identity *identity = &request->identity;
    char names[PROTO_SCOPES_SIZE], *rest = names, *name, expiry[PROTO_TIME_SIZE];
    json_t *scopes = json_array();
    proto_scopes_format(names, identity->scopes);
    while (scopes && (name = strsep(&rest, ","))) scopes = proto_json_append(scopes, json_string(name));
    proto_time_format(expiry, identity->expires_at);
    return kend_response_json(request,
                              json_pack("{s:s, s:s?, s:o, s:s?}", "object", "session", "owner", *identity->owner ? identity->owner : NULL,
                                        "scopes", scopes, "token_expires_at", identity->expires_at ? expiry : NULL));
}

/* Set-Cookie: no script reads it, no other site's page has it sent. */
static void set_cookie(const struct kend_request *request, struct MHD_Response **response, const char *secret, uint64_t seconds)
{
    char cookie[256];
    snprintf(cookie, sizeof cookie, "%s=%s; Path=/; Max-Age=%llu; HttpOnly; SameSite=Strict%s", kend_access_cookie_name(request), secret,
             (unsigned long long)seconds, request->http->secure ? "; Secure" : "");
    kend_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie);
    OPENSSL_cleanse(cookie, sizeof cookie);
}

enum MHD_Result kend_route_session_begin(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    char secret[KEND_SESSION_SECRET + 1];
    struct ken_error error = {0};
    if (!parts->tokens) return kend_answer_problem(request, PROTO_NOT_SUPPORTED, "this server has no tokens: nobody needs to sign in");
    if (!request->headers.value[KEND_AUTHORIZATION])
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "a session is made of a token: send it as Authorization: Bearer TOKEN");
    if (kend_sessions_add(parts->sessions, &request->identity, kend_monotonic_ms(), secret, &error))
        return kend_answer_problem(request, PROTO_INTERNAL, "%s", error.message);
    struct MHD_Response *response = response_session(request);
    set_cookie(request, &response, secret, parts->conf->auth_session_seconds);
    OPENSSL_cleanse(secret, sizeof secret);
    return kend_send(request, 200, response);
}

enum MHD_Result kend_route_session_show(struct kend_request *request)
{
    return kend_send(request, 200, response_session(request));
}

enum MHD_Result kend_route_session_end(struct kend_request *request)
{
    char secret[KEND_SESSION_SECRET + 1];
    if (kend_access_cookie(request, secret)) kend_sessions_remove(request->http->parts.sessions, secret);
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    set_cookie(request, &response, "", 0);
    return kend_send(request, 204, response);
}
