/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http/accept.h"
#include "http/cursor.h"
#include "http/event_text.h"
#include "http/job_answer.h"
#include "http/list.h"
#include "http/stream.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS_AT_ONCE = 50, FEED_AT_ONCE = 64, FEED_MOST_SECONDS = 86400 };

static json_t *event_document(const struct kend_event *event)
{
    const struct proto_event_view view = {event->sequence, event->time, event->type, event->data};
    return proto_event_view_to_json(&view);
}

/* ---- as a list */

static json_t *events_document(const struct kend_event_list *list)
{
    char next[KEND_CURSOR_SIZE];
    json_t *data = json_array();
    for (size_t i = 0; data && i < list->count; i++) {
        if (json_array_append_new(data, event_document(&list->item[i])) == 0) continue;
        json_decref(data);
        return NULL;
    }
    if (list->has_more) kend_cursor_format(next, (uint64_t)list->item[list->count - 1].sequence);
    return proto_list_to_json(data, list->has_more ? next : NULL);
}

static enum MHD_Result answer_list(struct kend_request *request, const struct kend_job *job, uint64_t after, uint64_t limit)
{
    struct kend_store *store = request->http->parts.store;
    struct kend_event_list list = {0};
    enum kend_store_result listed = store->ops->events(store, job->id, (int64_t)after, limit, &list);
    if (listed != KEND_STORE_OK) return kend_answer_store(request, listed);
    enum MHD_Result result = kend_answer_json(request, 200, events_document(&list));
    kend_event_list_clear(&list);
    return result;
}

/* ---- as a stream */

struct job_stream {
    struct kend_stream stream;
    char job[PROTO_ID_SIZE];
    int64_t after; /* the sequence number of the last durable event that was told */
    bool told;     /* `stage` and `progress` were */
    enum proto_stage stage;
    struct kend_progress progress;
};

/* Writes an event whose document is taken over. False if out of memory. */
static bool write_document(FILE *out, const char *type, int64_t id, json_t *document)
{
    char *text = document ? proto_json_line(document) : NULL;
    json_decref(document);
    if (text) kend_event_text(out, type, id, text);
    free(text);
    return text != NULL;
}

static bool write_progress(struct job_stream *own, const struct kend_job *job, FILE *out)
{
    const bool news = !own->told || own->stage != job->stage || memcmp(&own->progress, &job->progress, sizeof own->progress) != 0;
    if (job->status != PROTO_RUNNING || !news) return true;
    own->told = true;
    own->stage = job->stage;
    own->progress = job->progress;
    return write_document(out, "progress", 0, kend_progress_document(own->stream.request, job));
}

/*
 * The durable events behind the last one, and then how far the job is. It was read before them: with an ended one its end has been told.
 * What may come later still, that its artifacts were evicted, is told to whoever asks again.
 */
static enum kend_stream_look write_news(struct job_stream *own, const struct kend_job *job, FILE *out)
{
    struct kend_store *store = own->stream.request->http->parts.store;
    struct kend_event_list list = {0};
    if (store->ops->events(store, job->id, own->after, EVENTS_AT_ONCE, &list) != KEND_STORE_OK) return KEND_STREAM_ENDS;
    bool written = true;
    for (size_t i = 0; written && i < list.count; i++) {
        written = write_document(out, list.item[i].type, list.item[i].sequence, event_document(&list.item[i]));
        if (written) own->after = list.item[i].sequence;
    }
    const bool more = list.has_more;
    kend_event_list_clear(&list);
    if (written && !more) written = write_progress(own, job, out);
    if (!written) return KEND_STREAM_ENDS;
    if (more) return KEND_STREAM_MORE;
    return proto_status_is_terminal(job->status) ? KEND_STREAM_ENDS : KEND_STREAM_WAITS;
}

static enum kend_stream_look look(struct kend_stream *stream, FILE *out)
{
    struct job_stream *own = (struct job_stream *)stream;
    struct kend_store *store = stream->request->http->parts.store;
    struct kend_job *job = NULL;
    if (store->ops->get(store, own->job, kend_request_sees(stream->request), &job) != KEND_STORE_OK) return KEND_STREAM_ENDS;
    const enum kend_stream_look found = write_news(own, job, out);
    kend_job_free(&job);
    return found;
}

static enum MHD_Result answer_stream(struct kend_request *request, const struct kend_job *job, uint64_t after)
{
    /* An EventSource comes again after every end but this one. */
    if (proto_status_is_terminal(job->status) && (int64_t)after >= job->sequence) return kend_answer_empty(request, 204, NULL);
    struct job_stream *own = calloc(1, sizeof *own);
    if (!own) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    memcpy(own->job, job->id, sizeof own->job);
    own->after = (int64_t)after;
    own->stream.subject = own->job;
    own->stream.look = look;
    return kend_stream_answer(request, &own->stream);
}

/* The header goes before the parameter: it comes from a client that asks for the same URL again. False: it was answered. */
static bool read_after(struct kend_request *request, uint64_t *after, enum MHD_Result *result)
{
    const char *last = request->headers.value[KEND_LAST_EVENT_ID];
    if (!kend_list_after(request, after, result)) return false;
    if (!last || kend_cursor_parse(last, after)) return true;
    *result = kend_answer_problem(request, PROTO_BAD_REQUEST, "Last-Event-ID is not the id of an event");
    return false;
}

enum MHD_Result kend_route_events(struct kend_request *request)
{
    const enum kend_media media = kend_accept_choose(request->headers.value[KEND_ACCEPT]);
    struct kend_job *job;
    enum MHD_Result result;
    uint64_t limit, after;
    if (media == KEND_MEDIA_NONE)
        return kend_answer_problem(request, PROTO_NOT_ACCEPTABLE, "there are application/json and text/event-stream");
    if (!kend_list_limit(request, &limit, &result) || !read_after(request, &after, &result)) return result;
    if (!kend_find_job(request, &job, &result)) return result;
    result = media == KEND_MEDIA_EVENTS ? answer_stream(request, job, after) : answer_list(request, job, after, limit);
    kend_job_free(&job);
    return result;
}

/* ---- the stream of all jobs */

struct feed_stream {
    struct kend_stream stream;
    uint64_t position;
};

static bool write_removed(const struct kend_feed_entry *entry, FILE *out)
{
    return write_document(out, "deleted", 0, json_pack("{s:s}", "id", entry->job));
}

/* As it is now. One that is not there is passed over: it was removed, and that is told further on. */
static bool write_changed(const struct kend_stream *stream, const struct kend_feed_entry *entry, FILE *out)
{
    struct kend_store *store = stream->request->http->parts.store;
    struct kend_job *job = NULL;
    const enum kend_store_result found = store->ops->get(store, entry->job, kend_request_sees(stream->request), &job);
    if (found == KEND_STORE_NONE) return true;
    if (found != KEND_STORE_OK) return false;
    const bool written = write_document(out, "job", 0, kend_listed_job_document(stream->request, job));
    kend_job_free(&job);
    return written;
}

static enum kend_stream_look look_at_all(struct kend_stream *stream, FILE *out)
{
    struct feed_stream *own = (struct feed_stream *)stream;
    struct kend_feed *feed = kend_waits_feed(stream->request->http->parts.waits);
    const char *sees = kend_request_sees(stream->request);
    struct kend_feed_entry entry;
    for (int own_jobs = 0; own_jobs < FEED_AT_ONCE && ftell(out) < KEND_STREAM_ENOUGH;) {
        switch (kend_feed_take(feed, &own->position, &entry)) {
        case KEND_FEED_NOTHING: return KEND_STREAM_WAITS;
        case KEND_FEED_LOST: return KEND_STREAM_ENDS;
        case KEND_FEED_TAKEN: break;
        }
        if (sees && strcmp(sees, entry.owner) != 0) continue;
        own_jobs++;
        if (!(entry.removed ? write_removed(&entry, out) : write_changed(stream, &entry, out))) return KEND_STREAM_ENDS;
    }
    return KEND_STREAM_MORE;
}

enum MHD_Result kend_route_feed(struct kend_request *request)
{
    char detail[256];
    uint64_t seconds = 0;
    if (!kend_accept_events(request->headers.value[KEND_ACCEPT]))
        return kend_answer_problem(request, PROTO_NOT_ACCEPTABLE, "there is text/event-stream alone");
    if (!kend_query_number(&request->query, "seconds", 0, FEED_MOST_SECONDS, &seconds, detail, sizeof detail))
        return kend_answer_problem(request, PROTO_BAD_REQUEST, "%s", detail);
    struct feed_stream *own = calloc(1, sizeof *own);
    if (!own) return kend_answer_problem(request, PROTO_INTERNAL, "out of memory");
    if (kend_query_get(&request->query, "seconds")) own->stream.end_at = kend_monotonic_ms() + (int64_t)seconds * 1000;
    own->position = kend_feed_end(kend_waits_feed(request->http->parts.waits));
    own->stream.subject = KEND_WAIT_ANY;
    own->stream.look = look_at_all;
    return kend_stream_answer(request, &own->stream);
}
