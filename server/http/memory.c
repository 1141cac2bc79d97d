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

/*
 * Whether it counts among its owner's. Those without a token are one owner's, too, but need not be where they are told apart by their
 * addresses.
 */
static bool is_of_owner(const struct kend_request *request)
{
    const struct kend_http *http = request->http;
    return http->parts.tokens && (*request->identity.token || !http->parts.conf->http_max_connections_per_address);
}

static bool hold_of_owner(struct kend_request *request, size_t bytes)
{
    return !is_of_owner(request) || kend_shares_take_more(request->http->memory_shares, kend_request_owner(request), request->held, bytes);
}

static void let_go_of_owner(struct kend_request *request, size_t bytes)
{
    if (bytes && is_of_owner(request)) kend_shares_give_some(request->http->memory_shares, kend_request_owner(request), bytes);
}

bool kend_request_hold(struct kend_request *request, size_t bytes)
{
    struct kend_http *http = request->http;
    if (!kend_connection_hold(http->connections, request->peer, bytes)) goto no_room;
    if (!hold_of_owner(request, bytes)) goto no_share;
    if (take(request, bytes)) {
        request->held += bytes;
        return true;
    }
    let_go_of_owner(request, bytes);
no_share:
    kend_connection_let_go(http->connections, request->peer, bytes);
no_room:
    kend_http_metrics_refused(&http->metrics, KEND_REFUSED_MEMORY);
    return false;
}

void kend_request_let_go(struct kend_request *request, size_t bytes)
{
    request->held -= bytes;
    let_go_of_owner(request, bytes);
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
