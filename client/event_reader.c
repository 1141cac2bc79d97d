/* SPDX-License-Identifier: Apache-2.0 */
#include "event_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READER_MOST = 64 << 20 };

static bool append(char **text, size_t *length, const char *bytes, size_t count)
{
    if (count > READER_MOST - *length) return false;
    char *longer = realloc(*text, *length + count + 1);
    if (!longer) return false;
    memcpy(longer + *length, bytes, count);
    *length += count;
    longer[*length] = '\0';
    *text = longer;
    return true;
}

static void forget(char **text, size_t *length)
{
    free(*text);
    *text = NULL;
    *length = 0;
}

/* An empty line: the event is whole. One without data is none. */
static bool give(struct kenctl_event_reader *reader)
{
    bool goes_on = true;
    memcpy(reader->id, reader->next_id, sizeof reader->id);
    if (reader->data) {
        const struct kenctl_event event = {*reader->type ? reader->type : "message", reader->id, reader->data};
        goes_on = reader->take(reader->opaque, &event);
    }
    forget(&reader->data, &reader->data_length);
    reader->type[0] = '\0';
    return goes_on;
}

static bool is_field(const char *line, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(line, name, length) == 0;
}

static bool take_line(struct kenctl_event_reader *reader)
{
    const char *line = reader->line ? reader->line : "";
    if (!*line) return give(reader);
    const size_t name = strcspn(line, ":");
    const char *value = line + name + (line[name] == ':');
    if (*value == ' ') value++;
    if (is_field(line, name, "event")) snprintf(reader->type, sizeof reader->type, "%s", value);
    if (is_field(line, name, "id")) snprintf(reader->next_id, sizeof reader->next_id, "%s", value);
    if (!is_field(line, name, "data")) return true; /* a comment, or what a later kend may send */
    if (reader->data && !append(&reader->data, &reader->data_length, "\n", 1)) return false;
    return append(&reader->data, &reader->data_length, value, strlen(value));
}

void kenctl_event_reader_begin(struct kenctl_event_reader *reader, long long id)
{
    snprintf(reader->id, sizeof reader->id, "%lld", id);
    memcpy(reader->next_id, reader->id, sizeof reader->next_id);
}

bool kenctl_event_reader_put(struct kenctl_event_reader *reader, const char *bytes, size_t length)
{
    while (length) {
        if (reader->after_return && *bytes == '\n') {
            reader->after_return = false;
            bytes++;
            length--;
            continue;
        }
        reader->after_return = false;
        size_t count = 0;
        while (count < length && bytes[count] != '\r' && bytes[count] != '\n') count++;
        if (!append(&reader->line, &reader->line_length, bytes, count)) return false;
        if (count == length) return true;
        reader->after_return = bytes[count] == '\r';
        bytes += count + 1;
        length -= count + 1;
        const bool goes_on = take_line(reader);
        forget(&reader->line, &reader->line_length);
        if (!goes_on) return false;
    }
    return true;
}

void kenctl_event_reader_end(struct kenctl_event_reader *reader)
{
    forget(&reader->line, &reader->line_length);
    forget(&reader->data, &reader->data_length);
    memcpy(reader->next_id, reader->id, sizeof reader->next_id);
    reader->type[0] = '\0';
    reader->after_return = false;
}
