/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include "error.h"
#include "id.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line is at most the size of a pipe's atomic write, so that lines of several processes do not mix. */
enum { LINE_MAX_BYTES = 4096, VALUE_MAX_BYTES = 1024 };

static const char *const level_names[] = {
    [KEND_LOG_ERROR] = "error", [KEND_LOG_WARN] = "warn", [KEND_LOG_INFO] = "info", [KEND_LOG_DEBUG] = "debug", [KEND_LOG_ALWAYS] = "info"};

/* Set once at start, read by every thread. */
static atomic_int log_level = KEND_LOG_INFO;
static atomic_int log_format = KEND_LOG_LOGFMT;

struct line {
    size_t used;
    bool json, cut;
    char text[LINE_MAX_BYTES];
};

enum kend_log_level kend_log_level_of(const char *name)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) return (enum kend_log_level)i;
    return KEND_LOG_INFO;
}

enum kend_log_format kend_log_format_of(const char *name)
{
    return strcmp(name, "json") == 0 ? KEND_LOG_JSON : KEND_LOG_LOGFMT;
}

void kend_log_setup(enum kend_log_level level, enum kend_log_format format)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_format, (int)format);
}

/* Appends a whole "key=value" or nothing: a line that is cut stays parseable. */
static void append(struct line *line, const char *key, const char *value)
{
    static const char end[] = "}\n";
    const char *comma = line->used ? line->json ? "," : " " : line->json ? "{" : "";
    size_t room = sizeof line->text - line->used - sizeof end;
    int length = snprintf(line->text + line->used, room, line->json ? "%s\"%s\":%s" : "%s%s=%s", comma, key, value);
    if (length < 0 || (size_t)length >= room)
        line->cut = true;
    else if (!line->cut)
        line->used += (size_t)length;
}

/*
 * One character of printable text, in quotes. Printable text holds no quotes, and backslashes only as the begin of \xNN: those that stand
 * for a quote or a backslash are written as people (and JSON) know them.
 */
static char *quote(char *to, const char **from, bool json)
{
    const bool known = strncmp(*from, "\\x22", 4) == 0 || strncmp(*from, "\\x5c", 4) == 0;
    if (known || (json && **from == '\\')) *to++ = '\\';
    *to++ = known && (*from)[2] == '2' ? '"' : **from;
    *from += known ? 4 : 1;
    return to;
}

static void append_text(struct line *line, const char *key, const char *text)
{
    char printable[VALUE_MAX_BYTES], quoted[2 * VALUE_MAX_BYTES + 3];
    ken_printable(printable, sizeof printable, text, strlen(text));
    bool bare = !line->json && *printable && !strpbrk(printable, " =\\");
    if (bare) {
        append(line, key, printable);
        return;
    }
    char *to = quoted;
    *to++ = '"';
    for (const char *from = printable; *from;) to = quote(to, &from, line->json);
    *to++ = '"';
    *to = '\0';
    append(line, key, quoted);
}

static void append_field(struct line *line, const struct kend_log_field *field)
{
    char number[32];
    if (field->kind == KEND_LOG_NUMBER) {
        snprintf(number, sizeof number, "%" PRId64, field->number);
        append(line, field->key, number);
    } else if (field->kind == KEND_LOG_SECONDS) {
        snprintf(number, sizeof number, "%.6f", field->seconds);
        append(line, field->key, number);
    } else if (field->text) {
        append_text(line, field->key, field->text);
    }
}

void kend_log_fields(enum kend_log_level level, const char *message, const struct kend_log_field *fields)
{
    if (level != KEND_LOG_ALWAYS && (int)level > atomic_load(&log_level)) return;
    struct line line;
    line.used = 0;
    line.cut = false;
    line.json = atomic_load(&log_format) == KEND_LOG_JSON;
    char now[PROTO_TIME_SIZE];
    proto_time_format(now, proto_now_ms());
    append_text(&line, "time", now);
    append_text(&line, "level", level_names[level]);
    append_text(&line, "message", message);
    for (; fields->key; fields++) append_field(&line, fields);
    if (line.json) line.text[line.used++] = '}';
    line.text[line.used++] = '\n';
    /* One write, so that lines of several threads do not mix. A log that cannot be written has nobody left to tell. */
    ssize_t written = write(STDERR_FILENO, line.text, line.used);
    (void)written;
}
