/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer that goes on: text/event-stream. While there is nothing to tell, its connection is suspended. It keeps no queue: its kind looks
 * for what is new when all that it has found before was taken, so that who reads slowly holds up nothing but the own stream.
 */
#ifndef KEND_HTTP_STREAM_H
#define KEND_HTTP_STREAM_H

#include "http/respond.h"

enum kend_stream_look {
    KEND_STREAM_WAITS, /* there is nothing more for now */
    KEND_STREAM_MORE,  /* there may be: look again as soon as this has gone */
    KEND_STREAM_ENDS,  /* with what was written */
};

/* Embedded in what a kind keeps, as the first field, zeroed. Fields belong to stream.c but for the first four. */
struct kend_stream {
    const char *subject; /* the job's id, or KEND_WAIT_ANY: what it waits for; outlives it */
    /* Writes what is new: called at once, and when the subject has changed, at most four times a second. HTTP threads, as the handlers. */
    enum kend_stream_look (*look)(struct kend_stream *stream, FILE *out);
    int64_t end_at;               /* monotonic ms; 0: it goes on until a look ends it */
    struct kend_request *request; /* set by kend_stream_answer */

    char owner[PROTO_OWNER_MAX + 1]; /* as it was at the beginning */
    bool counted;                    /* of the owner's */
    char *text;                      /* [length], of which `sent` have gone; NULL: there is none */
    size_t length, sent;
    size_t held;              /* of http.max_memory */
    int64_t look_at, ping_at; /* monotonic ms: not before; at the latest */
    uint64_t seen;            /* the count of changes before the last look */
    bool more;                /* look again, whether the subject has changed or not */
    bool ended;               /* nothing comes behind `text` */
    bool settled;             /* has waited */
};

/* A text that is as much as a look should write; more is left for the next one. */
enum { KEND_STREAM_ENOUGH = 8 << 10 };

/*
 * Answers with the stream (malloc'ed, taken over with what embeds it, and freed by free() when the request ends), with 429 where there are
 * too many, and to HEAD with the header alone.
 */
enum MHD_Result kend_stream_answer(struct kend_request *request, struct kend_stream *stream);

#endif
