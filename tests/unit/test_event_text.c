/* SPDX-License-Identifier: Apache-2.0 */
#include "http/accept.h"
#include "http/event_text.h"
#include "unit.h"

#include <stdlib.h>

static void expect_event(const char *type, int64_t id, const char *data, const char *wanted)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    ck_assert_ptr_nonnull(out);
    kend_event_text(out, type, id, data);
    fclose(out);
    ck_assert_str_eq(text, wanted);
    free(text);
}

START_TEST(an_event_is_lines_and_an_empty_one)
{
    expect_event("status", 7, "{\"a\":1}\n", "id: 7\nevent: status\ndata: {\"a\":1}\n\n");
    expect_event("progress", 0, "{}", "event: progress\ndata: {}\n\n");
}
END_TEST

START_TEST(no_data_can_begin_another_event)
{
    expect_event("log", 0, "", "event: log\ndata: \n\n");
    expect_event("log", 0, "a\n\nevent: status\r\rb\r\nc",
                 "event: log\ndata: a\ndata: \ndata: event: status\ndata: \ndata: b\ndata: c\n\n");
}
END_TEST

START_TEST(pings_and_pauses)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    kend_event_retry(out, 1000);
    kend_event_ping(out);
    fclose(out);
    ck_assert_str_eq(text, "retry: 1000\n\n: ping\n\n");
    free(text);
}
END_TEST

START_TEST(accept_chooses)
{
    static const struct {
        const char *accept;
        enum kend_media choice;
        bool events;
    } cases[] = {
        {NULL, KEND_MEDIA_JSON, true},
        {"", KEND_MEDIA_JSON, true},
        {"*/*", KEND_MEDIA_JSON, true},
        {"application/json", KEND_MEDIA_JSON, false},
        {"APPLICATION/*", KEND_MEDIA_JSON, false},
        {"text/event-stream", KEND_MEDIA_EVENTS, true},
        {"text/event-stream;q=0.5, application/json", KEND_MEDIA_JSON, true},
        {"text/event-stream, application/json;q=0.9", KEND_MEDIA_EVENTS, true},
        {"application/json, text/event-stream", KEND_MEDIA_JSON, true},
        {"text/event-stream, */*", KEND_MEDIA_EVENTS, true},
        {"*/*;q=0.8,text/event-stream ; charset=utf-8 ; Q=0.9", KEND_MEDIA_EVENTS, true},
        {"text/*", KEND_MEDIA_EVENTS, true},
        {"text/*, text/event-stream;q=0", KEND_MEDIA_NONE, false},
        {"application/json;q=0, */*;q=0.001", KEND_MEDIA_EVENTS, true},
        {"text/html, image/png", KEND_MEDIA_NONE, false},
        {"application/jsonx, application", KEND_MEDIA_NONE, false},
        {"application/json;q=nonsense", KEND_MEDIA_JSON, false},
        {"application/json;q=1.7", KEND_MEDIA_JSON, false},
        {"application/json;q=0.12345, text/event-stream", KEND_MEDIA_JSON, true},
        {", ;q=1, ,", KEND_MEDIA_NONE, false},
        {";;;,q=,*/*;q", KEND_MEDIA_JSON, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *accept = cases[i].accept;
        ck_assert_msg(kend_accept_choose(accept) == cases[i].choice, "%s", accept ? accept : "none");
        ck_assert_msg(kend_accept_events(accept) == cases[i].events, "%s", accept ? accept : "none");
    }
}
END_TEST

UNIT_MAIN("event_text", an_event_is_lines_and_an_empty_one, no_data_can_begin_another_event, pings_and_pauses, accept_chooses)
