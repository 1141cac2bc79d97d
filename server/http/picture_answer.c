/* SPDX-License-Identifier: Apache-2.0 */
#include "http/picture_answer.h"

#include "http/failure.h"
#include "http/memory.h"
#include "http/picture_files.h"

#include <stdio.h>
#include <stdlib.h>

bool kend_picture_is_known(struct kend_request *request, enum MHD_Result *result)
{
    char etag[KEND_PICTURE_ETAG_SIZE];
    if (!kend_picture_etag(etag, request))
        *result = kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    else if (kend_etag_matches(request->headers.value[KEND_IF_NONE_MATCH], etag))
        *result = kend_answer_empty(request, 304, etag);
    else
        return false;
    return true;
}

static enum MHD_Result answer_failure(struct kend_request *request, const struct ken_error *error, bool opened)
{
    static const struct kend_failure failure = {
        .missing = KEND_NO_PICTURE_FILES, .log = "a picture cannot be drawn", .told = "the picture cannot be drawn"};
    if (error->code == KEN_ENOT_FOUND && opened) return kend_answer_problem(request, PROTO_NOT_FOUND, "%s", error->message);
    if (error->code == KEN_EINVALID) return kend_answer_problem(request, PROTO_BAD_REQUEST, "query parameter %s", error->message);
    return kend_answer_failure(request, error, &failure);
}

enum MHD_Result kend_answer_picture(struct kend_request *request, struct ken_picture *picture, const struct ken_error *error, bool opened)
{
    char end[32], etag[KEND_PICTURE_ETAG_SIZE];
    kend_request_let_go_document(request);
    if (!picture) return answer_failure(request, error, opened);
    const bool tagged = kend_picture_etag(etag, request);
    struct MHD_Response *response = tagged ? kend_response_take(request, (char *)picture->png, picture->length, "image/png") : NULL;
    if (!tagged) free(picture->png);
    picture->png = NULL;
    snprintf(end, sizeof end, "%.9g", picture->end);
    kend_response_header(&response, "X-Heatmap-Max", end);
    kend_response_header(&response, MHD_HTTP_HEADER_ETAG, etag);
    return kend_send_cacheable(request, 200, response);
}
