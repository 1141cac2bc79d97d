/* SPDX-License-Identifier: Apache-2.0 */
#include "event_reader.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* What was taken, each as "type|id|data;". */
struct taken {
    char text[1024];
    unsigned most;
};

static bool take(void *opaque, const struct kenctl_event *event)
{
    struct taken *taken = opaque;
    size_t length = strlen(taken->text);
    snprintf(taken->text + length, sizeof taken->text - length, "%s|%s|%s;", event->type, event->id, event->data);
    return !taken->most || --taken->most;
}

/* In pieces of every size the same comes out. */
static void expect(const char *text, const char *wanted)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct taken taken = {.most = 0};
        struct kenctl_event_reader reader = {.take = take, .opaque = &taken};
        for (size_t at = 0; at < strlen(text); at += piece) {
            size_t left = strlen(text) - at;
            ck_assert(kenctl_event_reader_put(&reader, text + at, left < piece ? left : piece));
        }
        kenctl_event_reader_end(&reader);
        ck_assert_str_eq(taken.text, wanted);
    }
}

START_TEST(events_come_out_whole)
{
    expect("retry: 1000\n\nid: 7\nevent: status\ndata: {}\n\n: ping\n\nevent: progress\ndata: a\ndata:b\n\n",
           "status|7|{};progress|7|a\nb;");
    expect("data: a\r\rdata: b\r\n\r\ndata\n\ndata:\n\n", "message||a;message||b;message||;message||;");
    expect("data:  two blanks\nother: x\nid\n\n", "message|| two blanks;");
}
END_TEST

START_TEST(what_is_not_whole_is_none)
{
    expect("id: 1\nevent: a\n\nevent: b\ndata: x\n", "");
    expect("id: 1\nevent: a\n\ndata: y\n\nid: 2\nda", "message|1|y;");
}
END_TEST

START_TEST(the_id_stays_over_streams)
{
    struct taken taken = {.most = 0};
    struct kenctl_event_reader reader = {.take = take, .opaque = &taken};
    const char first[] = "id: 5\ndata: a\n\nid: 6\nevent: lost\ndata: los", second[] = "data: b\n\n";
    ck_assert(kenctl_event_reader_put(&reader, first, strlen(first)));
    kenctl_event_reader_end(&reader);
    ck_assert_str_eq(reader.id, "5"); /* the event that was lost comes again */
    ck_assert(kenctl_event_reader_put(&reader, second, strlen(second)));
    ck_assert_str_eq(taken.text, "message|5|a;message|5|b;");
    kenctl_event_reader_begin(&reader, 9);
    ck_assert(kenctl_event_reader_put(&reader, second, strlen(second)));
    ck_assert_str_eq(taken.text, "message|5|a;message|5|b;message|9|b;");
}
END_TEST

START_TEST(who_has_enough_ends_it)
{
    struct taken taken = {.most = 2};
    struct kenctl_event_reader reader = {.take = take, .opaque = &taken};
    const char text[] = "data: a\n\ndata: b\n\ndata: c\n\n";
    ck_assert(!kenctl_event_reader_put(&reader, text, strlen(text)));
    kenctl_event_reader_end(&reader);
    ck_assert_str_eq(taken.text, "message||a;message||b;");
}
END_TEST

UNIT_MAIN("event_reader", events_come_out_whole, what_is_not_whole_is_none, the_id_stays_over_streams, who_has_enough_ends_it)
