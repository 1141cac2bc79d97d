/* SPDX-License-Identifier: Apache-2.0 */
#include "http/raw.h"

#include "error.h"
#include "json.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *kend_raw_body(enum proto_problem problem, const char *detail)
{
    json_t *document = proto_problem_to_json(problem, detail, NULL);
    char *text = document ? proto_json_line(document) : NULL;
    json_decref(document);
    KEN_ASSERT(!text || strlen(text) < KEND_RAW_BODY);
    return text;
}

size_t kend_raw_answer(char answer[KEND_RAW_SIZE], enum proto_problem problem, const char *request, const char *body)
{
    const int status = proto_problem_status(problem);
    int length = snprintf(answer, KEND_RAW_SIZE,
                          "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                          "Content-Length: %zu\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: %s\r\n\r\n%s",
                          status, MHD_get_reason_phrase_for((unsigned)status), strlen(body), request, body);
    KEN_ASSERT(length > 0 && length < KEND_RAW_SIZE);
    return (size_t)length;
}
