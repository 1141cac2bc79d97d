/* SPDX-License-Identifier: Apache-2.0 */
/* Events as the text of text/event-stream (the HTML standard, "Server-sent events"). */
#ifndef KEND_HTTP_EVENT_TEXT_H
#define KEND_HTTP_EVENT_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* One event. id 0: it has none. Lines of data may end as they like: each becomes one of the event's. */
void kend_event_text(FILE *out, const char *type, int64_t id, const char *data);
/* After how many milliseconds a client comes again when the stream has broken off. */
void kend_event_retry(FILE *out, unsigned milliseconds);
/* What clients pass over: tells the way to them that it is still in use. */
void kend_event_ping(FILE *out);

#endif
