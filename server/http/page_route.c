/* SPDX-License-Identifier: Apache-2.0 */
/* The page and its files: the same for everybody, so nobody has to say who he is before he can sign in. */
#include "http/etag.h"
#include "http/respond.h"
#include "web/web.h"

#include <string.h>

static const char page_name[] = "index.html";
/* What the page may do: nothing but show, and talk to, what comes from here. Pictures are also made in it. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
                             "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

static const struct kend_web_file *find(const char *name)
{
    for (size_t i = 0; i < kend_web_count; i++)
        if (strcmp(kend_web_files[i].name, name) == 0) return &kend_web_files[i];
    return NULL;
}

static enum MHD_Result answer_file(struct kend_request *request, const struct kend_web_file *file)
{
    char etag[KEND_ETAG_SIZE];
    if (!kend_etag_of(etag, file->text, file->length)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag)) return kend_answer_empty(request, 304, etag);
    struct MHD_Response *response = kend_response_text(request, file->text, file->length, file->type);
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    kend_response_header(&response, "Content-Security-Policy", policy);
    kend_response_header(&response, "Referrer-Policy", "no-referrer");
    return kend_send_cacheable(request, 200, response);
}

enum MHD_Result kend_route_page(struct kend_request *request)
{
    return answer_file(request, find(page_name));
}

enum MHD_Result kend_route_web(struct kend_request *request)
{
    const struct kend_web_file *file = strcmp(request->match.name, page_name) ? find(request->match.name) : NULL;
    return file ? answer_file(request, file) : kend_answer_problem(request, PROTO_NOT_FOUND, "the page has no such file");
}
