/* SPDX-License-Identifier: Apache-2.0 */
#include "http/headers.h"

#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const header_names[] = {
#define X(symbol, name) name,
    KEND_HEADER_MAP(X)
#undef X
};

static void headers_fail(struct kend_headers *headers, enum proto_problem problem, bool framing, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void headers_fail(struct kend_headers *headers, enum proto_problem problem, bool framing, const char *format, ...)
{
    va_list arguments;
    if (framing) headers->framing = true;
    if (headers->failed) return;
    headers->failed = true;
    headers->problem = problem;
    va_start(arguments, format);
    vsnprintf(headers->detail, sizeof headers->detail, format, arguments);
    va_end(arguments);
}

static bool is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    const char *at = text;
    for (; *at; at++) {
        bool alphanumeric = (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        if (!alphanumeric && !strchr(others, *at)) return false;
    }
    return at > text;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f) return true;
    return false;
}

void kend_headers_add(struct kend_headers *headers, const char *name, const char *value)
{
    char shown[80];
    headers->count++;
    headers->bytes += strlen(name) + strlen(value) + 4;
    if (headers->count > headers->most)
        headers_fail(headers, PROTO_HEADERS_TOO_LARGE, false, "more than http.max_headers (%zu) header fields", headers->most);
    if (headers->bytes > headers->most_bytes)
        headers_fail(headers, PROTO_HEADERS_TOO_LARGE, false, "the header fields are larger than http.max_header_bytes (%zu)",
                     headers->most_bytes);
    if (!is_token(name)) {
        /* "Content-Length : 5" is one header to some readers and none to others */
        headers_fail(headers, PROTO_BAD_REQUEST, true, "malformed header name \"%s\"",
                     ken_printable(shown, sizeof shown, name, strlen(name)));
        return;
    }
    if (has_control(value)) headers_fail(headers, PROTO_BAD_REQUEST, true, "control character in header %.64s", name);
    for (size_t i = 0; i < KEND_HEADER_COUNT; i++) {
        if (strcasecmp(name, header_names[i]) != 0) continue;
        if (headers->value[i] && i == KEND_TRACEPARENT)
            headers->value[i] = ""; /* of no use, and no reason to refuse anything */
        else if (headers->value[i])
            headers_fail(headers, PROTO_BAD_REQUEST, i == KEND_CONTENT_LENGTH || i == KEND_TRANSFER_ENCODING || i == KEND_HOST,
                         "more than one %s header", header_names[i]);
        else
            headers->value[i] = value;
    }
}

void kend_headers_gap(struct kend_headers *headers)
{
    headers_fail(headers, PROTO_BAD_REQUEST, true, "a line of the head is folded, ends without CR, has no name or holds a NUL byte");
}

/* 1 to 18 digits, nothing else: not "+5", not "5, 5". */
static bool length_parse(const char *text, uint64_t *length)
{
    size_t digits = strspn(text, "0123456789");
    *length = 0;
    if (!digits || digits > 18 || text[digits]) return false;
    for (; *text; text++) *length = *length * 10 + (uint64_t)(*text - '0');
    return true;
}

void kend_headers_end(struct kend_headers *headers, const char *version)
{
    const char *length = headers->value[KEND_CONTENT_LENGTH], *encoding = headers->value[KEND_TRANSFER_ENCODING];
    if (!headers->value[KEND_HOST]) headers_fail(headers, PROTO_BAD_REQUEST, false, "the Host header is missing");
    if (length && !length_parse(length, &headers->content_length))
        headers_fail(headers, PROTO_BAD_REQUEST, true, "Content-Length is not a number");
    if (encoding) {
        headers->chunked = true;
        if (strcasecmp(encoding, "chunked") != 0)
            headers_fail(headers, PROTO_BAD_REQUEST, true, "the only Transfer-Encoding understood is chunked");
        if (length) headers_fail(headers, PROTO_BAD_REQUEST, true, "both Content-Length and Transfer-Encoding are given");
        if (!version || strcmp(version, "HTTP/1.1") != 0)
            headers_fail(headers, PROTO_BAD_REQUEST, true, "Transfer-Encoding needs HTTP/1.1");
    }
    if (headers->value[KEND_EXPECT] && strcasecmp(headers->value[KEND_EXPECT], "100-continue") != 0)
        headers_fail(headers, PROTO_BAD_REQUEST, false, "the only expectation understood is 100-continue");
}

bool kend_etag_matches(const char *value, const char *etag)
{
    size_t length = strlen(etag);
    while (value && *value) {
        value += strspn(value, " \t,");
        if (*value == '*') return true;
        if (strncmp(value, "W/", 2) == 0) value += 2;
        if (*value != '"') return false;
        const char *end = strchr(value + 1, '"');
        if (!end) return false;
        if ((size_t)(end + 1 - value) == length && memcmp(value, etag, length) == 0) return true;
        value = end + 1;
    }
    return false;
}
