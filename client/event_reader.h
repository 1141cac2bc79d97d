/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a stream of events (text/event-stream) apart as its bytes come in. */
#ifndef KENCTL_EVENT_READER_H
#define KENCTL_EVENT_READER_H

#include <stdbool.h>
#include <stddef.h>

struct kenctl_event {
    const char *type; /* "message" if it has none */
    const char *id;   /* of the last event that had one; "" before */
    const char *data; /* its lines, with '\n' between them */
};

/* Zeroed but for the first two: the beginning of a stream. */
struct kenctl_event_reader {
    /* Called with each event, which is borrowed. False ends the reading. */
    bool (*take)(void *opaque, const struct kenctl_event *event);
    void *opaque;

    char *line, *data; /* [line_length], [data_length], both terminated, or NULL */
    size_t line_length, data_length;
    char type[32], id[32];
    char next_id[32];  /* of an event that is not whole */
    bool after_return; /* the last byte was '\r': a '\n' belongs to it */
};

/* The next stream begins behind the event of this id. */
void kenctl_event_reader_begin(struct kenctl_event_reader *reader, long long id);
/* False if `take` said so, out of memory, or an event is beyond all measure. */
bool kenctl_event_reader_put(struct kenctl_event_reader *reader, const char *bytes, size_t length);
/* Forgets what is not whole, as at the end of a stream; the id stays. */
void kenctl_event_reader_end(struct kenctl_event_reader *reader);

#endif
