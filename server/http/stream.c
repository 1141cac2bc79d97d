/* SPDX-License-Identifier: Apache-2.0 */
#include "http/stream.h"

#include "clock.h"
#include "http/access.h"
#include "http/event_text.h"
#include "http/memory.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum {
    STREAM_LOOK_MS = 250,
    STREAM_PING_MS = 15000,
    STREAM_RETRY_MS = 1000,
    STREAM_BLOCK = 1024,      /* what libmicrohttpd asks for at once where the answer is not in chunks */
    STREAM_SMALL = 16 << 10,  /* a text up to this size needs no part of http.max_memory: http.max_streams bounds how many there are */
    STREAM_RETRY_SECONDS = 5, /* for those that found no place */
};

/* ---- its text */

static void text_clear(struct kend_stream *stream)
{
    if (stream->held) kend_request_let_go(stream->request, stream->held);
    free(stream->text);
    stream->text = NULL;
    stream->length = stream->sent = stream->held = 0;
}

static size_t text_give(struct kend_stream *stream, char *buffer, size_t most)
{
    size_t count = stream->length - stream->sent;
    if (count > most) count = most;
    memcpy(buffer, stream->text + stream->sent, count);
    stream->sent += count;
    stream->request->bytes += count;
    if (stream->sent == stream->length) text_clear(stream);
    return count;
}

/* What the subject tells, and a ping when it is time. False: it ends without. */
static bool text_write(struct kend_stream *stream, FILE *out, int64_t now, uint64_t seen)
{
    if (stream->look_at <= now && (stream->more || seen != stream->seen)) {
        const enum kend_stream_look found = stream->look(stream, out);
        stream->ended = found == KEND_STREAM_ENDS;
        stream->more = found == KEND_STREAM_MORE;
        stream->look_at = stream->more ? now : now + STREAM_LOOK_MS;
        if (!stream->more) stream->seen = seen;
    }
    if (stream->end_at && now >= stream->end_at) stream->ended = true;
    if (stream->ended || now < stream->ping_at) return true;
    kend_event_ping(out);
    stream->ping_at = now + STREAM_PING_MS;
    return kend_access_lasts(stream->request);
}

/* Fills the text, if there is anything to tell. For want of memory the stream ends: its client comes again, and goes on from there. */
static void text_fill(struct kend_stream *stream, uint64_t seen)
{
    FILE *out = open_memstream(&stream->text, &stream->length);
    const bool lasts = out && text_write(stream, out, kend_monotonic_ms(), seen);
    bool whole = out && !ferror(out);
    if (out && fclose(out)) whole = false;
    if (whole && lasts && stream->length > STREAM_SMALL && kend_request_hold(stream->request, stream->length))
        stream->held = stream->length;
    const bool fits = stream->length <= STREAM_SMALL || stream->held;
    if (!whole || !lasts || !fits) stream->ended = true;
    if (!whole || !lasts || !fits || !stream->length) text_clear(stream);
}

/* ---- its connection */

/* False: there is no waiting any more. *again: something has happened meanwhile. */
static bool stream_suspend(struct kend_stream *stream, uint64_t seen, bool *again)
{
    struct kend_request *request = stream->request;
    const bool looks = stream->more || seen != stream->seen; /* as soon as it may */
    int64_t until = looks && stream->look_at < stream->ping_at ? stream->look_at : stream->ping_at;
    if (stream->end_at && stream->end_at < until) until = stream->end_at;
    const enum kend_wait_result result =
        kend_wait_suspend(request->http->parts.waits, &request->wait, request->connection, looks ? NULL : stream->subject, seen, until);
    *again = result == KEND_WAIT_CHANGED;
    return result == KEND_WAIT_SUSPENDED || *again;
}

/*
 * Before the first rest. A buffer of more than a block is the connection's own, behind the head, for an answer in chunks; else it is the
 * response's block, which lies anywhere.
 */
static void stream_settle(struct kend_stream *stream, const char *buffer, size_t most)
{
    if (!stream->settled && most > STREAM_BLOCK) kend_request_give_back(stream->request, buffer + most);
    stream->settled = true;
}

/* What libmicrohttpd asks for the next bytes. 0: the connection was suspended; it asks again when it is resumed. */
static ssize_t stream_read(void *opaque, uint64_t position, char *buffer, size_t most)
{
    struct kend_stream *stream = opaque;
    struct kend_request *request = stream->request;
    (void)position;
    for (bool again = true; again;) {
        if (request->wait.gone) return MHD_CONTENT_READER_END_WITH_ERROR;
        const uint64_t seen = kend_waits_seen(request->http->parts.waits, stream->subject);
        if (!stream->text && !stream->ended) text_fill(stream, seen);
        if (stream->text) return (ssize_t)text_give(stream, buffer, most);
        if (!stream->ended) stream_settle(stream, buffer, most);
        if (stream->ended || !stream_suspend(stream, seen, &again)) return MHD_CONTENT_READER_END_OF_STREAM;
    }
    return 0;
}

/* ---- its beginning and its end */

static void stream_close(void *opaque)
{
    struct kend_stream *stream = opaque;
    struct kend_request *request = stream->request;
    text_clear(stream);
    if (request->wait.stream) kend_wait_end_stream(request->http->parts.waits, &request->wait);
    if (stream->counted) kend_shares_give(request->http->stream_shares, stream->owner);
    free(stream);
}

/* NULL, or which option allows no more. */
static const char *stream_enter(struct kend_stream *stream)
{
    struct kend_http *http = stream->request->http;
    const bool counts = http->stream_shares && http->parts.tokens;
    stream->counted = counts && kend_shares_take(http->stream_shares, stream->owner);
    if (counts && !stream->counted) return "http.max_streams_per_owner";
    return kend_wait_begin_stream(http->parts.waits, &stream->request->wait) ? NULL : "http.max_streams";
}

static bool stream_greet(struct kend_stream *stream)
{
    FILE *out = open_memstream(&stream->text, &stream->length);
    if (!out) return false;
    kend_event_retry(out, STREAM_RETRY_MS);
    return fclose(out) == 0;
}

/* A client that has vanished without a word is noticed by what it does not acknowledge. */
static void notice_silence(const struct kend_request *request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const unsigned most = (unsigned)request->http->parts.conf->http_idle_seconds * 1000;
    if (info) setsockopt(info->connect_fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most);
}

enum MHD_Result kend_stream_answer(struct kend_request *request, struct kend_stream *stream)
{
    stream->request = request;
    strncpy(stream->owner, kend_request_owner(request), sizeof stream->owner - 1);
    stream->more = true;
    stream->ping_at = kend_monotonic_ms() + STREAM_PING_MS;
    request->state = stream;
    request->release = stream_close;
    const char *refusal = request->method == KEND_HEAD ? NULL : stream_enter(stream);
    stream->ended = atomic_load(&request->http->ending); /* who is told an end comes again; a status would stop an EventSource for good */
    if (refusal && !stream->ended) {
        kend_http_metrics_refused(&request->http->metrics, KEND_REFUSED_STREAMS);
        request->retry_after = STREAM_RETRY_SECONDS;
        return kend_answer_problem(request, PROTO_RATE_LIMITED, "too many streams of events are open (%s)", refusal);
    }
    if (!stream_greet(stream)) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    notice_silence(request);
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, stream, NULL);
    kend_response_header(&response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    kend_response_header(&response, "X-Accel-Buffering", "no"); /* a proxy passes on what comes, when it comes */
    return kend_send(request, 200, response);
}
