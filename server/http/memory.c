/* SPDX-License-Identifier: Apache-2.0 */
#include "http/memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool take(struct kend_request *request, size_t bytes)
{
    struct kend_http *http = request->http;
    const size_t before = atomic_fetch_add(&http->held_bytes, bytes), own = request->held + request->document;
    if (before <= own || before + bytes <= http->parts.conf->http_max_memory) return true;
    atomic_fetch_sub(&http->held_bytes, bytes);
    return false;
}

bool kend_request_hold(struct kend_request *request, size_t bytes)
{
    struct kend_http *http = request->http;
    if (kend_connection_hold(http->connections, request->peer, bytes)) {
        if (take(request, bytes)) {
            request->held += bytes;
            return true;
        }
        kend_connection_let_go(http->connections, request->peer, bytes);
    }
    kend_http_metrics_refused(&http->metrics, KEND_REFUSED_MEMORY);
    return false;
}

void kend_request_let_go(struct kend_request *request, size_t bytes)
{
    request->held -= bytes;
    kend_connection_let_go(request->http->connections, request->peer, bytes);
    atomic_fetch_sub(&request->http->held_bytes, bytes);
}

bool kend_request_hold_document(struct kend_request *request, size_t bytes)
{
    if (take(request, bytes)) {
        request->document = bytes;
        return true;
    }
    kend_http_metrics_refused(&request->http->metrics, KEND_REFUSED_MEMORY);
    return false;
}

void kend_request_let_go_document(struct kend_request *request)
{
    atomic_fetch_sub(&request->http->held_bytes, request->document);
    request->document = 0;
}

static bool is_zero(const char *bytes, size_t size)
{
    return bytes[0] == '\0' && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/*
 * libmicrohttpd fills what it has no use for with zeros, and so takes all of a connection's memory. A page of zeros that was given back
 * reads as one again. Where that memory begins and ends nobody tells: only what lies between two things in it is surely the connection's.
 */
void kend_request_give_back(const struct kend_request *request, const char *end)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)request->head, last = (uintptr_t)end / page * page;
    if (last < first || last - first > KEND_CONNECTION_MEMORY) return;
    for (uintptr_t at = (first + page - 1) / page * page, zeros; at < last; at = zeros + page) {
        for (zeros = at; zeros < last && is_zero((const char *)zeros, page); zeros += page) {
        }
        if (zeros > at) madvise((void *)at, zeros - at, MADV_DONTNEED);
    }
}
