/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/head.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { STRONG_AFTER_SECONDS = 60, LOCATION_MAX = 16384 };

void kend_head_reset(struct kend_head *head, long status)
{
    free(head->location);
    *head = (struct kend_head){.status = status, .retry_after = -1, .date = -1};
}

/* A decimal number that is all of text up to `stop`; returns what is behind it, or NULL. */
static const char *read_number(const char *text, uint64_t *number)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) return NULL;
    *number = value;
    return at > text ? at : NULL;
}

static void read_length(struct kend_head *head, const char *value)
{
    uint64_t length;
    const char *end = read_number(value, &length);
    if (!end || *end || (head->has_length && head->length != length)) {
        head->malformed = true;
        return;
    }
    head->has_length = true;
    head->length = length;
}

/* "bytes 0-9/100", "bytes 0-9" + "/" + "*", "bytes *" + "/100" */
static void read_range(struct kend_head *head, const char *value)
{
    uint64_t last = 0;
    bool good = !head->has_range && strncasecmp(value, "bytes ", 6) == 0;
    const char *at = good ? value + 6 : NULL;
    if (at && *at == '*') {
        at++;
    } else {
        at = at ? read_number(at, &head->first) : NULL;
        at = at && *at == '-' ? read_number(at + 1, &last) : NULL;
        good = at && last >= head->first && last < UINT64_MAX;
        head->end = good ? last + 1 : 0;
    }
    if (!good || !at || *at++ != '/') {
        head->malformed = true;
        return;
    }
    head->has_range = true;
    if (strcmp(at, "*") == 0) return;
    at = read_number(at, &head->total);
    head->has_total = at && !*at;
    if (!head->has_total || head->end > head->total) head->malformed = true;
}

static void read_text(struct kend_head *head, char *to, size_t size, const char *value)
{
    if (*to && strcmp(to, value) != 0) head->malformed = true;
    size_t length = strlen(value);
    for (const char *at = value; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f) return;
    if (length < size) memcpy(to, value, length + 1); /* a longer one counts as none */
}

static void read_etag(struct kend_head *head, const char *value)
{
    const char *quote = strncmp(value, "W/", 2) == 0 ? value + 2 : value;
    size_t length = strlen(quote);
    if (length < 2 || *quote != '"' || strchr(quote + 1, '"') != quote + length - 1) return; /* none that could be sent back */
    read_text(head, head->validators.etag, sizeof head->validators.etag, value);
}

static void read_location(struct kend_head *head, const char *value)
{
    if (head->location && strcmp(head->location, value) != 0) head->malformed = true;
    if (head->location || strlen(value) > LOCATION_MAX) return;
    head->location = strdup(value);
    head->no_memory |= !head->location;
}

static void read_encoding(struct kend_head *head, const char *value)
{
    if (strcasecmp(value, "identity") != 0 && strcasecmp(value, "chunked") != 0) head->encoded = true;
}

static void read_retry_after(struct kend_head *head, const char *value)
{
    uint64_t seconds;
    const char *end = read_number(value, &seconds);
    if (end && !*end) {
        head->retry_after = seconds > INT32_MAX ? INT32_MAX : (int64_t)seconds;
        return;
    }
    time_t when = curl_getdate(value, NULL), now = time(NULL);
    if (when >= 0) head->retry_after = when > now ? (int64_t)(when - now) : 0;
}

static void read_date(struct kend_head *head, const char *value)
{
    head->date = (int64_t)curl_getdate(value, NULL);
}

static void read_modified(struct kend_head *head, const char *value)
{
    read_text(head, head->validators.last_modified, sizeof head->validators.last_modified, value);
}

static void read_type(struct kend_head *head, const char *value)
{
    head->multipart = strncasecmp(value, "multipart/byteranges", 20) == 0;
}

void kend_head_line(struct kend_head *head, const char *line, size_t length)
{
    static const struct {
        const char *name;
        void (*read)(struct kend_head *head, const char *value);
    } fields[] = {
        {"Content-Length", read_length},      {"Content-Range", read_range},     {"ETag", read_etag},
        {"Last-Modified", read_modified},     {"Location", read_location},       {"Content-Encoding", read_encoding},
        {"Transfer-Encoding", read_encoding}, {"Retry-After", read_retry_after}, {"Date", read_date},
        {"Content-Type", read_type},
    };
    const char *colon = memchr(line, ':', length);
    if (!colon) return;
    const char *value = colon + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && strchr(" \t\r\n", end[-1]) && end[-1]) end--;
    if (memchr(value, '\0', (size_t)(end - value))) return;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != (size_t)(colon - line) || strncasecmp(fields[i].name, line, (size_t)(colon - line)) != 0) continue;
        char *copy = strndup(value, (size_t)(end - value));
        if (copy)
            fields[i].read(head, copy);
        else
            head->no_memory = true;
        free(copy);
    }
}

void kend_head_end(struct kend_head *head)
{
    struct kend_validators *own = &head->validators;
    if (own->etag[0]) {
        own->strong = own->etag[0] == '"';
    } else if (own->last_modified[0]) {
        time_t modified = curl_getdate(own->last_modified, NULL);
        own->strong = modified >= 0 && head->date - (int64_t)modified >= STRONG_AFTER_SECONDS;
    }
}

bool kend_validators_known(const struct kend_validators *validators)
{
    return validators->etag[0] || validators->last_modified[0];
}

bool kend_validators_equal(const struct kend_validators *a, const struct kend_validators *b)
{
    if (a->etag[0] && b->etag[0]) return strcmp(a->etag, b->etag) == 0;
    return a->last_modified[0] && strcmp(a->last_modified, b->last_modified) == 0;
}
